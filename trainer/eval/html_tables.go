package eval

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// depth is the table of all figures at one length of the list.
type depth struct {
	K       int
	Columns []string
	Rows    []depthRow
}

type depthRow struct {
	*Result
	Best  bool // by the primary metric
	Cells []cell
}

// cell is one figure of a table.
type cell struct {
	Value    string
	Interval string
	Versus   string // "win", "loss" or "" beside the baseline
	Best     bool
	Share    int // of the best in its row or column, in percent
}

// depths makes the tables, the longest list first.
func (r *Report) depths() []depth {
	lengths := map[int]bool{}
	for name := range r.allMetrics() {
		lengths[parseMetric(name).k] = true
	}
	var out []depth
	best := r.best()
	for _, k := range slices.Backward(slices.Sorted(maps.Keys(lengths))) {
		d := depth{K: k}
		for _, name := range metricsOf(r.allMetrics()) {
			if parseMetric(name).k == k {
				d.Columns = append(d.Columns, name)
			}
		}
		for i := range r.Results {
			d.Rows = append(d.Rows, depthRow{Result: &r.Results[i], Best: &r.Results[i] == best, Cells: r.cells(&r.Results[i], d.Columns)})
		}
		out = append(out, d)
	}
	return out
}

// allMetrics are the figures that any model has.
func (r *Report) allMetrics() map[string]MetricValue {
	out := map[string]MetricValue{}
	for _, result := range r.Results {
		maps.Copy(out, result.Metrics)
	}
	return out
}

func (r *Report) cells(result *Result, columns []string) []cell {
	var out []cell
	for _, name := range columns {
		m, ok := result.Metrics[name]
		if !ok {
			out = append(out, cell{Value: "–"}) // it says nothing of any list
			continue
		}
		c := cell{Value: figure(m.Value), Interval: m.brief(), Best: parseMetric(name).quality()}
		for _, other := range r.Results {
			c.Best = c.Best && other.Metrics[name].Value <= m.Value
		}
		if result.Versus != nil {
			c.Versus = result.Versus.Metrics[name].verdict()
		}
		out = append(out, c)
	}
	return out
}

// verdict says of a difference whether it is more than chance.
func (m MetricValue) verdict() string {
	switch {
	case m.Low == nil || m.High == nil:
		return ""
	case *m.Low > 0:
		return "win"
	case *m.High < 0:
		return "loss"
	}
	return ""
}

// sliceTable is one kind of slices, a row each.
type sliceTable struct {
	Kind   string
	Models []string
	Rows   []sliceRow
}

type sliceRow struct {
	Slice
	Cells []cell
}

func (r *Report) sliceTables() []sliceTable {
	if len(r.Results) == 0 {
		return nil
	}
	var out []sliceTable
	for _, kind := range []string{sliceVisitor, sliceItem, sliceCategory, sliceDevice} {
		t := sliceTable{Kind: kind}
		for _, result := range r.Results {
			t.Models = append(t.Models, result.Model)
		}
		for _, s := range r.Results[0].Slices {
			if s.Kind == kind {
				t.Rows = append(t.Rows, sliceRow{Slice: s, Cells: r.sliceCells(s)})
			}
		}
		if len(t.Rows) > 0 {
			out = append(out, t)
		}
	}
	return out
}

// sliceCells is the primary metric of every model on one slice.
func (r *Report) sliceCells(s Slice) []cell {
	values, most := make([]MetricValue, len(r.Results)), 0.0
	for i, result := range r.Results {
		at := slices.IndexFunc(result.Slices, func(o Slice) bool { return o.Kind == s.Kind && o.Name == s.Name })
		if at >= 0 {
			values[i] = result.Slices[at].Metrics[r.PrimaryMetric]
			most = max(most, values[i].Value)
		}
	}
	var out []cell
	for _, m := range values {
		c := cell{Value: figure(m.Value), Interval: m.brief()}
		if most > 0 {
			c.Best, c.Share = m.Value == most, int(100*m.Value/most)
		}
		out = append(out, c)
	}
	return out
}

// shareRow is what one model adds to the lists of a blend.
type shareRow struct {
	Model, Share string
	Percent      int
}

func (r *Report) shareRows() []shareRow {
	var out []shareRow
	for _, result := range r.Results {
		for _, name := range slices.SortedFunc(maps.Keys(result.Shares), func(a, b string) int {
			return cmp.Or(cmp.Compare(result.Shares[b], result.Shares[a]), cmp.Compare(a, b))
		}) {
			share := 100 * result.Shares[name]
			out = append(out, shareRow{Model: name, Share: fmt.Sprintf("%.1f %%", share), Percent: int(share + 0.5)})
		}
	}
	return out
}

// tuningTable says how the parameters of a model were chosen.
type tuningTable struct {
	*Result
	Params string
	Axes   []axisRow
}

type axisRow struct {
	Name   string
	Values []axisValue
}

type axisValue struct {
	Text   string
	Chosen bool
}

func (r *Report) tunings() []tuningTable {
	var out []tuningTable
	for i := range r.Results {
		t := tuningTable{Result: &r.Results[i]}
		text, err := json.MarshalIndent(t.Result.Params, "", "  ")
		if err == nil {
			t.Params = string(text)
		}
		chosen := map[string]json.RawMessage{}
		_ = json.Unmarshal(text, &chosen) // parameters that are no object have no axis that was chosen
		if t.Tuning != nil {
			for _, name := range slices.Sorted(maps.Keys(t.Tuning.Grid)) {
				t.Axes = append(t.Axes, newAxisRow(name, t.Tuning.Grid[name], chosen[name]))
			}
		}
		out = append(out, t)
	}
	return out
}

// newAxisRow marks the chosen value; a value that the JSON leaves out is the zero of its kind.
func newAxisRow(name string, values []any, chosen json.RawMessage) axisRow {
	row := axisRow{Name: strings.TrimSuffix(name, "_ns")}
	for _, value := range values {
		text, err := json.Marshal(value)
		if err != nil {
			continue
		}
		v := axisValue{Text: strings.Trim(string(text), `"`), Chosen: string(text) == strings.TrimSpace(string(chosen))}
		var nanoseconds int64
		if strings.HasSuffix(name, "_ns") && json.Unmarshal(text, &nanoseconds) == nil {
			v.Text = span(time.Duration(nanoseconds))
		} else if number, ok := value.(float64); ok {
			v.Text = strconv.FormatFloat(number, 'g', 4, 64)
		}
		row.Values = append(row.Values, v)
	}
	return row
}

// byCount lists names, those with the largest numbers first.
func byCount(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}
