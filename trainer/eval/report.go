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

	"github.com/millrace/millrace/internal/model"
)

// Report is one evaluation; its JSON is what `millrace evaluate --json` prints.
type Report struct {
	Protocol     string    `json:"protocol"`
	Data         string    `json:"data"`
	Site         string    `json:"site,omitempty"`
	Seed         uint64    `json:"seed"`
	RepeatPolicy string    `json:"repeat_policy"` // of all models; "per model" where the validation part chose differently
	Examples     int       `json:"examples"`      // predictions of each model
	Sessions     int       `json:"sessions"`      // test sessions that they come from
	Split        string    `json:"split"`
	TrainEvents  int       `json:"train_events"`
	Items        int       `json:"items"` // of the training part, all of which are ranked
	Rows         int       `json:"rows"`
	BadRows      int       `json:"bad_rows"`
	FirstBadRow  string    `json:"first_bad_row,omitempty"`
	Clock        string    `json:"clock"` // "event", or "logical" where the data has only an order
	First        time.Time `json:"first"`
	Last         time.Time `json:"last"`
	Results      []Result  `json:"results"`
}

// Result is one model's figures.
type Result struct {
	Model        string                 `json:"model"`
	Params       any                    `json:"params"`
	RepeatPolicy model.RepeatPolicy     `json:"repeat_policy"`
	Metrics      map[string]MetricValue `json:"metrics"`
	FitSeconds   float64                `json:"fit_seconds"`
	QueryP50     float64                `json:"query_p50_us"`
	QueryP99     float64                `json:"query_p99_us"`
	Tuning       *Tuning                `json:"tuning,omitempty"`
	TuneSeconds  float64                `json:"tune_seconds,omitempty"`
	// Shares are, of a blend, what each family adds to the lists.
	Shares map[string]float64 `json:"shares,omitempty"`

	order []string // metric names as measured, for the table
}

// MetricValue is a figure with its 95 % interval; the interval is null for a figure of the whole test, such as coverage.
type MetricValue struct {
	Value float64  `json:"value"`
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
}

// mixedPolicies is Report.RepeatPolicy where the models do not share one.
const mixedPolicies = "per model"

// Clocks of a report.
const (
	clockEvent   = "event"
	clockLogical = "logical"
)

// WriteJSON writes the report as one line.
func (r *Report) WriteJSON(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s on %s, seed %d, n = %d predictions of %d sessions\n", r.Protocol, r.Data, r.Seed, r.Examples, r.Sessions)
	fmt.Fprintf(t, "split: %s\n", r.Split)
	if r.Clock == clockLogical {
		fmt.Fprintf(t, "times: none, the order of the rows is the clock\n")
	} else {
		fmt.Fprintf(t, "times: %s to %s\n", r.First.Format(time.RFC3339), r.Last.Format(time.RFC3339))
	}
	fmt.Fprintf(t, "rows: %d used, %d bad; %d training events of %d items, all ranked\n", r.Rows, r.BadRows, r.TrainEvents, r.Items)
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

func (r *Result) writeTable(w io.Writer) {
	fmt.Fprintf(w, "\n%s\trepeats %s\tfit %.2f s\tquery p50 %.0f us, p99 %.0f us\n", r.Model, r.RepeatPolicy, r.FitSeconds, r.QueryP50, r.QueryP99)
	for _, name := range r.order {
		m := r.Metrics[name]
		interval := ""
		if m.Low != nil && m.High != nil {
			interval = fmt.Sprintf("%.4f to %.4f", *m.Low, *m.High)
		}
		fmt.Fprintf(w, "  %s\t%.4f\t%s\n", name, m.Value, interval)
	}
	if params, err := json.Marshal(r.Params); err == nil {
		fmt.Fprintf(w, "  params\t%s\n", params)
	}
	if t := r.Tuning; t != nil {
		fmt.Fprintf(w, "  chosen\t%s by %s (%.4f) on %d validation predictions, %d settings in %.1f s\n",
			strings.Join(slices.Sorted(maps.Keys(t.Grid)), ", "), t.Objective, t.Value, t.Examples, t.Trials, r.TuneSeconds)
	}
}
