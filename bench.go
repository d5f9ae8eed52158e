package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// benchResult is one figure of `millrace bench`, beside the limit that was measured in the same run. Ratio is value over
// limit; whether more or less is better follows from the unit.
type benchResult struct {
	Bench  string  `json:"bench"`
	Metric string  `json:"metric"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Limit  float64 `json:"limit"`
	Ratio  float64 `json:"ratio"`

	limitIs string // what the limit is, for people
}

// benchmark is one hot path: run measures it and reports each figure through emit. Progress goes to progress.
type benchmark struct {
	name string
	run  func(ctx context.Context, progress io.Writer, emit func(benchResult) error) error
}

func benchmarks(serving *servingOptions) []benchmark {
	return []benchmark{
		{"collector", benchCollector},
		{"landing", benchLanding},
		{"freshness", benchFreshness},
		{"stream", benchStream},
		{"training", benchTraining},
		{"serving", serving.run},
	}
}

func benchNames() []string {
	var names []string
	for _, b := range benchmarks(nil) {
		names = append(names, b.name)
	}
	return names
}

func (a *app) benchCommand() *cobra.Command {
	asJSON, serving := false, &servingOptions{}
	cmd := &cobra.Command{
		Use:       "bench [" + strings.Join(append(benchNames(), "all"), "|") + "]",
		Short:     "Measure this machine: each figure beside its limit in the same run",
		ValidArgs: append(benchNames(), "all"),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || (len(args) == 1 && args[0] != "all" && !slices.Contains(benchNames(), args[0])) {
				return usageError{fmt.Errorf("bench takes one of %s, all", strings.Join(benchNames(), ", "))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			emit := a.printBench
			if asJSON {
				encoder := json.NewEncoder(a.stdout)
				emit = func(r benchResult) error { return encoder.Encode(r) }
			}
			for _, b := range benchmarks(serving) {
				if len(args) == 1 && args[0] != "all" && args[0] != b.name {
					continue
				}
				fmt.Fprintf(a.stderr, "bench %s...\n", b.name)
				if err := b.run(cmd.Context(), a.stderr, emit); err != nil {
					return fmt.Errorf("bench %s: %w", b.name, err)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	serving.flags(cmd.Flags())
	return cmd
}

func (a *app) printBench(r benchResult) error {
	_, err := fmt.Fprintf(a.stdout, "%-10s %-28s %12.4g %-8s limit %12.4g (%s), ratio %.3f\n",
		r.Bench, r.Metric, r.Value, r.Unit, r.Limit, r.limitIs, r.Ratio)
	return err
}

// against completes a figure with its limit.
func (r benchResult) against(limit float64, what string) benchResult {
	r.Limit, r.limitIs = limit, what
	if limit != 0 {
		r.Ratio = r.Value / limit
	}
	return r
}

// median of at least one value.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// percentile p (0 to 100) of at least one value, by the nearest rank.
func percentile(values []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(float64(len(sorted))*p/100))]
}
