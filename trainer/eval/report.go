package eval

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// Report is one evaluation; its JSON is what `millrace evaluate --json` prints.
type Report struct {
	Protocol      string         `json:"protocol"`
	Data          string         `json:"data"`
	Site          string         `json:"site,omitempty"`
	Seed          uint64         `json:"seed"`
	Seeds         []uint64       `json:"seeds,omitempty"` // of the splits that were drawn; absent where nothing was
	RepeatPolicy  string         `json:"repeat_policy"`   // of all models; "per model" where the validation part chose differently
	Examples      int            `json:"examples"`        // predictions of each model, of all seeds together
	Unit          string         `json:"unit"`            // what intervals draw: session or user
	Groups        int            `json:"groups"`          // how many of them the test has
	Sessions      int            `json:"sessions,omitempty"`
	PrimaryMetric string         `json:"primary_metric"` // the one to look at first
	Baseline      string         `json:"baseline,omitempty"`
	Split         string         `json:"split"`
	TrainEvents   int            `json:"train_events"`
	TrainUsers    int            `json:"train_users,omitempty"`
	Items         int            `json:"items"` // that models may recommend, all of which are ranked
	ColdUsers     int            `json:"cold_users"`
	ColdEvents    int            `json:"cold_events"`
	IncludeUnseen bool           `json:"include_unseen"` // whether events of items that no model knows are counted
	Rows          int            `json:"rows"`
	LeftOut       int            `json:"left_out,omitempty"`
	Types         map[string]int `json:"types,omitempty"`
	BadRows       int            `json:"bad_rows"`
	FirstBadRow   string         `json:"first_bad_row,omitempty"`
	Clock         string         `json:"clock"` // "event", or "logical" where the data has only an order
	First         time.Time      `json:"first"`
	Last          time.Time      `json:"last"`
	Results       []Result       `json:"results"`
}

// Result is one model's figures. With several seeds they are of all predictions together, so means over the seeds; Params,
// RepeatPolicy and Tuning are those of the first.
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
	Versus *Versus            `json:"versus,omitempty"` // absent for the baseline itself
	Seeds  []SeedResult       `json:"seeds,omitempty"`
	Slices []Slice            `json:"slices,omitempty"`
}

// MetricValue is a figure with its 95 % interval; the interval is null for a figure of the whole test, such as coverage.
type MetricValue struct {
	Value float64  `json:"value"`
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
}

// Versus is a model beside the baseline on the same predictions: ours minus theirs. An interval above 0 is a win, one
// below it a loss.
type Versus struct {
	Model   string                 `json:"model"`
	Metrics map[string]MetricValue `json:"metrics"`
}

// SeedResult is what a model reached on the split of one seed.
type SeedResult struct {
	Seed         uint64             `json:"seed"`
	Examples     int                `json:"examples"`
	Params       any                `json:"params"`
	RepeatPolicy model.RepeatPolicy `json:"repeat_policy"`
	Metrics      map[string]float64 `json:"metrics"`
}

// Slice is what a model reached on a part of the predictions.
type Slice struct {
	Kind     string                 `json:"kind"` // visitor, item, category or device
	Name     string                 `json:"name"`
	Examples int                    `json:"examples"`
	Groups   int                    `json:"groups"`
	Small    bool                   `json:"small,omitempty"` // too few predictions to conclude anything from
	Metrics  map[string]MetricValue `json:"metrics"`
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
