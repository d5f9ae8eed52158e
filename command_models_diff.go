package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/registry"
)

func (a *app) modelsDiffCommand(open func(ctx context.Context) (*registry.Registry, error), site *string) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: "diff A B", Short: "Data, settings and metrics of two versions beside each other",
		Long:    "A version is named by its name, by a beginning that no other one has, or as champion.",
		Example: "  millrace models diff champion 20260301",
		Args:    exactArgs("A", "B"),
		RunE: func(cmd *cobra.Command, args []string) error {
			models, err := open(cmd.Context())
			if err != nil {
				return err
			}
			one, err := a.findModel(cmd.Context(), models, *site, args[0])
			if err != nil {
				return err
			}
			other, err := a.findModel(cmd.Context(), models, *site, args[1])
			if err != nil {
				return err
			}
			d, err := diffModels(one, other)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(d)
			}
			return printDiff(a.stdout, d)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// modelDiff is what two versions have in common and what not.
type modelDiff struct {
	A modelSide `json:"a"`
	B modelSide `json:"b"`
	// SameTest is whether both were measured on the same predictions: then metrics differ by the models alone.
	SameTest bool         `json:"same_test"`
	Settings []settingGap `json:"settings"` // those that differ
	Metrics  []metricGap  `json:"metrics"`  // all of them
}

// modelSide is one of the two versions, without what is compared.
type modelSide struct {
	Version         string          `json:"version"`
	Champion        bool            `json:"champion"`
	CreatedAt       time.Time       `json:"created_at"`
	Seed            uint64          `json:"seed"`
	Source          registry.Source `json:"source"`
	Gate            registry.Gate   `json:"gate"`
	NotReproducible string          `json:"not_reproducible_since_erasure,omitempty"`
}

// settingGap is a field of a model whose values differ; nil on the side that has no such field, or no such model.
type settingGap struct {
	Model string  `json:"model"`
	Field string  `json:"field"`
	A     *string `json:"a"`
	B     *string `json:"b"`
}

// metricGap is a metric of a model on both sides; nil where it was not measured.
type metricGap struct {
	Model      string           `json:"model"`
	Metric     string           `json:"metric"`
	A          *registry.Metric `json:"a"`
	B          *registry.Metric `json:"b"`
	Difference *float64         `json:"difference"` // of B over A
}

func diffModels(a, b shownModel) (*modelDiff, error) {
	d := &modelDiff{
		A: sideOf(a), B: sideOf(b), SameTest: sameTest(a.Manifest, b.Manifest),
		Settings: []settingGap{}, Metrics: []metricGap{},
	}
	names := metricNames(a.Models, b.Models)
	for _, model := range union(a.Models, b.Models) {
		gaps, err := settingGaps(model, a.Models, b.Models)
		if err != nil {
			return nil, fmt.Errorf("compare model %s: %w", model, err)
		}
		d.Settings = append(d.Settings, gaps...)
		for _, name := range names {
			gap := metricGap{Model: model, Metric: name, A: found(a.Models[model].Metrics, name), B: found(b.Models[model].Metrics, name)}
			if gap.A != nil && gap.B != nil {
				difference := gap.B.Value - gap.A.Value
				gap.Difference = &difference
			}
			if gap.A != nil || gap.B != nil {
				d.Metrics = append(d.Metrics, gap)
			}
		}
	}
	return d, nil
}

func sideOf(m shownModel) modelSide {
	return modelSide{m.Version, m.Champion, m.CreatedAt, m.Seed, m.Source, m.Gate, m.NotReproducible}
}

// sameTest tells by the data: the test is its newest part, so the same events in the same order have the same one. A snapshot that
// was compacted in between may be the same events; that it is cannot be told, so the answer is no.
func sameTest(a, b registry.Manifest) bool {
	one, other := a.Source, b.Source
	return a.Site == b.Site && one.SnapshotID == other.SnapshotID && one.Epoch == other.Epoch && a.Gate.Examples == b.Gate.Examples &&
		one.Rows == other.Rows && one.Events == other.Events && one.Sessions == other.Sessions && one.Items == other.Items &&
		one.From.Equal(other.From) && one.To.Equal(other.To)
}

func settingGaps(model string, a, b map[string]registry.ModelInfo) (gaps []settingGap, err error) {
	var sides [2]map[string]string
	for i, models := range []map[string]registry.ModelInfo{a, b} {
		if info, ok := models[model]; ok {
			if sides[i], err = settingsOf(info); err != nil {
				return nil, err
			}
		}
	}
	for _, field := range union(sides[0], sides[1]) {
		gap := settingGap{Model: model, Field: field, A: found(sides[0], field), B: found(sides[1], field)}
		if gap.A == nil || gap.B == nil || *gap.A != *gap.B {
			gaps = append(gaps, gap)
		}
	}
	return gaps, nil
}

// union lists the keys of both maps, in order.
func union[V any](a, b map[string]V) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// found is the value of a key, or nil.
func found[V any](m map[string]V, key string) *V {
	if value, ok := m[key]; ok {
		return &value
	}
	return nil
}

func printDiff(out io.Writer, d *modelDiff) error {
	if err := printSides(out, d.A, d.B); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nSETTINGS THAT DIFFER")
	if len(d.Settings) == 0 {
		fmt.Fprintln(out, "none")
	}
	for _, gap := range d.Settings {
		fmt.Fprintf(out, "%s %s: %s -> %s\n", gap.Model, gap.Field, settingText(gap.A), settingText(gap.B))
	}
	if d.SameTest {
		fmt.Fprintln(out, "\nMetrics were measured on the same test.")
	} else {
		fmt.Fprintln(out, "\nMetrics were measured on different tests, so differences come from the data as well as from the models; "+
			"`millrace evaluate --data lake` compares models on one test.")
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MODEL\tMETRIC\tA\tB\tB - A")
	for _, gap := range d.Metrics {
		difference := absent
		if gap.Difference != nil {
			difference = fmt.Sprintf("%+.4f", *gap.Difference)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", gap.Model, gap.Metric, metricText(gap.A), metricText(gap.B), difference)
	}
	return w.Flush()
}

func settingText(s *string) string {
	if s == nil {
		return absent
	}
	return *s
}

func printSides(out io.Writer, a, b modelSide) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tA\tB")
	for _, row := range []struct {
		name string
		of   func(s modelSide) string
	}{
		{"version", func(s modelSide) string { return marked(s.Version, s.Champion) }},
		{"created (UTC)", func(s modelSide) string { return s.CreatedAt.Format(time.DateTime) }},
		{"seed", func(s modelSide) string { return fmt.Sprint(s.Seed) }},
		{"rows", func(s modelSide) string { return fmt.Sprint(s.Source.Rows) }},
		{"interactions", func(s modelSide) string { return fmt.Sprint(s.Source.Events) }},
		{"sessions", func(s modelSide) string { return fmt.Sprint(s.Source.Sessions) }},
		{"items", func(s modelSide) string { return fmt.Sprint(s.Source.Items) }},
		{"happened", func(s modelSide) string { return happened(s.Source) }},
		{"snapshot", func(s modelSide) string { return fmt.Sprint(s.Source.SnapshotID) }},
		{"predictions", func(s modelSide) string { return fmt.Sprint(s.Gate.Examples) }},
		{"not reproducible since", func(s modelSide) string { return cmp.Or(s.NotReproducible, absent) }},
	} {
		fmt.Fprintf(w, "%s\t%s\t%s\n", row.name, row.of(a), row.of(b))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "gate of A: %s\ngate of B: %s\n", gateText(a.Gate), gateText(b.Gate))
	return err
}
