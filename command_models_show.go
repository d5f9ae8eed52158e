package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/registry"
)

const (
	metricsInRow  = 4   // metrics beside each other, so that a table of them fits a terminal
	settingsWidth = 110 // columns that a line of settings takes
)

func (a *app) modelsShowCommand(open func(ctx context.Context) (*registry.Registry, error), site *string) *cobra.Command {
	page, asJSON := "", false
	cmd := &cobra.Command{
		Use: "show VERSION|champion", Short: "Data, settings, metrics and files of a version, and the gate's decision",
		Long: "A version is named by its name, by a beginning that no other one has, or as champion.",
		Args: exactArgs("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			models, err := open(cmd.Context())
			if err != nil {
				return err
			}
			m, err := a.findModel(cmd.Context(), models, *site, args[0])
			if err != nil {
				return err
			}
			if page != "" {
				if err := writeModelReport(cmd.Context(), models, m.Manifest, page); err != nil {
					return err
				}
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(m)
			}
			return printModel(a.stdout, m)
		},
	}
	cmd.Flags().StringVar(&page, "report", "", "write the version's evaluation to this file, too: a page with plots that needs nothing else")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// shownModel is a version, and whether it is in force.
type shownModel struct {
	listedModel
	Champion bool `json:"champion"`
}

// marked is the name of a version, with a word where it is in force.
func marked(version string, champion bool) string {
	if champion {
		return version + " (champion)"
	}
	return version
}

// findModel finds the version that is meant by a name. Damage to the champion file hides none that is named otherwise.
func (a *app) findModel(ctx context.Context, models *registry.Registry, site, name string) (m shownModel, err error) {
	version, err := models.Resolve(ctx, site, name)
	if err != nil {
		return m, err
	}
	if m.Manifest, err = models.Manifest(ctx, site, version); err != nil {
		return m, err
	}
	champion, err := models.ChampionVersion(ctx, site)
	if err != nil && !errors.Is(err, registry.ErrNoChampion) && !errors.Is(err, registry.ErrCorrupt) {
		return m, err
	}
	m.Champion = champion == version
	err = a.withControl(ctx, func(store *control.Store) error {
		erasures, err := store.Erasures(ctx, site)
		m.NotReproducible = control.NotReproducibleSince(erasures, m.CreatedAt)
		return err
	})
	return m, err
}

// writeModelReport writes the stored page of a version to a file. A page that was not finished is not left behind.
func writeModelReport(ctx context.Context, models *registry.Registry, m registry.Manifest, page string) error {
	content, err := models.Report(ctx, m.Site, m.Version, registry.ReportHTML)
	if errors.Is(err, registry.ErrNoReport) {
		return fmt.Errorf("write report of %s: %w; `millrace train` makes a version that has one", m.Version, err)
	}
	if err != nil {
		return err
	}
	file, err := os.Create(page)
	if err != nil {
		return fmt.Errorf("write report page: %w", err)
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write report page: %w", errors.Join(err, os.Remove(page)))
	}
	return nil
}

func printModel(out io.Writer, m shownModel) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "version\t%s\nsite\t%s\ncreated\t%s UTC\nseed\t%d\n", marked(m.Version, m.Champion), m.Site, m.CreatedAt.Format(time.DateTime), m.Seed)
	fmt.Fprintf(w, "gate\t%s\n", gateText(m.Gate))
	fmt.Fprintf(w, "judged on\t%d predictions%s\n", m.Gate.Examples, against(m.Gate))
	fmt.Fprintf(w, "data\t%d rows read, %d interactions in %d sessions of two or more, %d items\n", m.Source.Rows, m.Source.Events, m.Source.Sessions, m.Source.Items)
	fmt.Fprintf(w, "happened\t%s\n", happened(m.Source))
	fmt.Fprintf(w, "snapshot\t%d of the lake's events\n", m.Source.SnapshotID)
	if m.NotReproducible != "" {
		fmt.Fprintf(w, "reproducible\tnot since erasure %s, which took rows that it was trained on\n", m.NotReproducible)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for names := range slices.Chunk(metricNames(m.Models), metricsInRow) {
		if err := printMetrics(out, m.Models, names); err != nil {
			return err
		}
	}
	if err := printSettings(out, m.Models); err != nil {
		return err
	}
	return printFiles(out, slices.Concat(m.Files, m.Reports))
}

func gateText(g registry.Gate) string {
	if g.Promoted {
		return "promoted: " + g.Reason
	}
	return "kept: " + g.Reason
}

func against(g registry.Gate) string {
	if g.Champion == "" {
		return ", without a champion"
	}
	return ", beside the champion " + g.Champion
}

// absent stands for what a version does not have.
const absent = "-"

// metricText is a metric with its interval; one that was found of the whole test at once has none.
func metricText(m *registry.Metric) string {
	switch {
	case m == nil:
		return absent
	case m.Low == m.High:
		return fmt.Sprintf("%.4f", m.Value)
	}
	return fmt.Sprintf("%.4f (%.4f to %.4f)", m.Value, m.Low, m.High)
}

// happened says when the events of a source happened. A logical clock knows their order alone.
func happened(s registry.Source) string {
	if s.Logical {
		return "in an order without times"
	}
	return s.From.UTC().Format(time.DateTime) + " to " + s.To.UTC().Format(time.DateTime) + " UTC"
}

func printMetrics(out io.Writer, models map[string]registry.ModelInfo, names []string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nMODEL\t%s\n", strings.Join(names, "\t"))
	for _, model := range slices.Sorted(maps.Keys(models)) {
		fmt.Fprint(w, model)
		for _, name := range names {
			fmt.Fprint(w, "\t"+metricText(found(models[model].Metrics, name)))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func printSettings(out io.Writer, models map[string]registry.ModelInfo) error {
	for _, model := range slices.Sorted(maps.Keys(models)) {
		info := models[model]
		settings, err := settingsOf(info)
		if err != nil {
			return fmt.Errorf("model %s: %w", model, err)
		}
		delete(settings, "kind")
		fmt.Fprintf(out, "\n%s: %s, fitted in %.3g s\n", model, info.Kind, info.FitSeconds)
		line := ""
		for _, field := range slices.Sorted(maps.Keys(settings)) {
			word := field + "=" + settings[field]
			if line != "" && len(line)+len(word)+2 > settingsWidth {
				fmt.Fprintln(out, line)
				line = ""
			}
			line += "  " + word
		}
		if line != "" {
			fmt.Fprintln(out, line)
		}
	}
	return nil
}

func printFiles(out io.Writer, files []registry.File) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nFILE\tKIND\tBYTES\tSHA256")
	for _, f := range files {
		kind := f.Kind
		if kind == "" {
			kind = f.Model // a report has no codec
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", f.Name, kind, f.Bytes, f.SHA256)
	}
	return w.Flush()
}
