package eval

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	seeds := fmt.Sprintf("seed %d", r.Seed)
	if len(r.Seeds) > 0 {
		seeds = "seeds " + strings.Trim(fmt.Sprint(r.Seeds), "[]")
	}
	fmt.Fprintf(t, "%s on %s, %s, n = %d predictions of %d %ss\n", r.Protocol, r.Data, seeds, r.Examples, r.Groups, r.Unit)
	fmt.Fprintf(t, "split: %s\n", r.Split)
	if r.Clock == clockLogical {
		fmt.Fprintf(t, "times: none, the order of the rows is the clock\n")
	} else {
		fmt.Fprintf(t, "times: %s to %s\n", r.First.Format(time.RFC3339), r.Last.Format(time.RFC3339))
	}
	fmt.Fprintf(t, "rows: %d used, %d left out, %d bad; %d training events of %d items, all ranked\n", r.Rows, r.LeftOut, r.BadRows, r.TrainEvents, r.Items)
	fmt.Fprintf(t, "cold: %s\n", r.cold())
	if r.FirstBadRow != "" {
		fmt.Fprintf(t, "first bad row: %s\n", r.FirstBadRow)
	}
	for _, result := range r.Results {
		result.writeTable(t)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// cold says who and what of the test nothing was known of.
func (r *Report) cold() string {
	words := grouped(r.ColdEvents) + " test events of items that were not in the training part"
	if r.IncludeUnseen {
		words += ", counted"
	} else {
		words += ", left out"
	}
	if r.Unit == UnitUser {
		words = grouped(r.ColdUsers) + " users of whom nothing was known, asked about all the same; " + words
	}
	return words
}

func (r *Result) writeTable(w io.Writer) {
	fmt.Fprintf(w, "\n%s\trepeats %s\tfit %.2f s\tquery p50 %.0f us, p99 %.0f us\n", r.Model, r.RepeatPolicy, r.FitSeconds, r.QueryP50, r.QueryP99)
	for _, name := range metricsOf(r.Metrics) {
		versus := ""
		if r.Versus != nil {
			if m, ok := r.Versus.Metrics[name]; ok {
				versus = fmt.Sprintf("%+.4f over %s (%s)", m.Value, r.Versus.Model, m.signed())
			}
		}
		m := r.Metrics[name]
		fmt.Fprintf(w, "  %s\t%.4f\t%s\t%s\n", name, m.Value, m.interval(), versus)
	}
	if params, err := json.Marshal(r.Params); err == nil {
		fmt.Fprintf(w, "  params\t%s\n", params)
	}
	if t := r.Tuning; t != nil {
		fmt.Fprintf(w, "  chosen\t%s by %s (%.4f) on %d validation predictions, %d settings in %.1f s\n",
			strings.Join(slices.Sorted(maps.Keys(t.Grid)), ", "), t.Objective, t.Value, t.Examples, t.Trials, r.TuneSeconds)
	}
}

// interval is the interval in words, "" where there is none.
func (m MetricValue) interval() string {
	if m.Low == nil || m.High == nil {
		return ""
	}
	return fmt.Sprintf("%.4f to %.4f", *m.Low, *m.High)
}

// signed is interval for a difference.
func (m MetricValue) signed() string {
	if m.Low == nil || m.High == nil {
		return ""
	}
	return fmt.Sprintf("%+.4f to %+.4f", *m.Low, *m.High)
}
