package eval

import (
	"cmp"
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/model"
)

// newReport is a report of the data before any split.
func newReport(c Config, p protocol, log *Log) *Report {
	r := &Report{
		PrimaryMetric: p.primary(c.depth()).Name,
		Protocol:      c.Protocol, Data: c.Data, Site: c.Site, Seed: c.Seed, Baseline: c.Baseline, IncludeUnseen: c.IncludeUnseen,
		Rows: log.Rows, LeftOut: log.LeftOut, Types: log.Types, BadRows: log.BadRows, Clock: clockEvent, First: log.First(), Last: log.Last(),
	}
	if log.Logical {
		r.Clock = clockLogical
	}
	if log.FirstBad != nil {
		r.FirstBadRow = log.FirstBad.Error()
	}
	return r
}

// noteSplit adds what a split says; where several are drawn, sizes are those of the first.
func (r *Report) noteSplit(d *Dataset, seed uint64) {
	r.Examples += d.Test.Len()
	r.Seeds = append(r.Seeds, seed)
	if len(r.Seeds) > 1 {
		return
	}
	r.Split, r.Unit, r.Groups = d.Split, d.Test.Unit, d.Test.Groups()
	if r.Unit == UnitSession {
		r.Sessions = r.Groups
	}
	r.TrainEvents, r.TrainUsers, r.Items = d.Train.Sessions.Events(), usersOf(d.Train.Sessions), d.Vocabulary.Len()
	r.ColdUsers, r.ColdEvents = d.ColdUsers, d.ColdEvents
}

// usersOf counts the known visitors of sessions.
func usersOf(s *model.Sessions) int {
	seen := map[int32]bool{}
	for _, user := range s.Users {
		if user != model.NoUser {
			seen[user] = true
		}
	}
	return len(seen)
}

// conclude adds the results of all models, which were measured on the splits in the order of the seeds.
func (r *Report) conclude(c Config, p protocol, by map[string][]*measured) error {
	pooled := map[string]*Outcome{}
	for name, all := range by {
		var outcomes []*Outcome
		for _, m := range all {
			outcomes = append(outcomes, m.outcome)
		}
		pooled[name] = pool(outcomes)
	}
	for _, name := range c.Models {
		result := newResult(name, by[name], pooled[name], c.Seed)
		if c.Baseline != "" && name != c.Baseline {
			var err error
			if result.Versus, err = versus(pooled[name], pooled[c.Baseline], p, c); err != nil {
				return err
			}
		}
		r.Results = append(r.Results, *result)
		switch r.RepeatPolicy {
		case "":
			r.RepeatPolicy = string(result.RepeatPolicy)
		case string(result.RepeatPolicy):
		default:
			r.RepeatPolicy = mixedPolicies
		}
	}
	if len(r.Seeds) == 1 {
		r.Seeds = nil
	}
	return nil
}

func newResult(name string, all []*measured, o *Outcome, seed uint64) *Result {
	first := all[0]
	result := &Result{
		Model: name, Params: first.fitted.params, RepeatPolicy: first.fitted.repeats, Metrics: map[string]MetricValue{},
		QueryP50: micros(o.Percentile(0.5)), QueryP99: micros(o.Percentile(0.99)), Tuning: first.fitted.tuning,
		Shares: first.shares,
	}
	for i, interval := range o.bootstrapAll(seed) {
		if o.measured(i) {
			result.Metrics[o.Metrics[i]] = interval.metric()
		}
	}
	for i, cover := range first.coverage {
		share := 0.0
		for _, m := range all {
			share += m.coverage[i].Value() / float64(len(all))
		}
		result.Metrics[cover.Name] = MetricValue{Value: share}
	}
	for _, m := range all {
		result.FitSeconds += m.fitted.seconds / float64(len(all))
		if m.fitted.tuning != nil {
			result.TuneSeconds += m.seconds
		}
		if len(all) > 1 {
			result.Seeds = append(result.Seeds, m.seedResult())
		}
	}
	result.Slices = slicesOf(all, seed)
	return result
}

func (i Interval) metric() MetricValue {
	return MetricValue{Value: i.Value, Low: &i.Low, High: &i.High}
}

func (m *measured) seedResult() SeedResult {
	s := SeedResult{
		Seed: m.seed, Examples: m.outcome.Predictions(), Params: m.fitted.params, RepeatPolicy: m.fitted.repeats, Metrics: map[string]float64{},
	}
	for _, name := range m.outcome.Metrics {
		s.Metrics[name], _ = m.outcome.Value(name)
	}
	for _, cover := range m.coverage {
		s.Metrics[cover.Name] = cover.Value()
	}
	return s
}

// slicesOf joins the slices of all seeds, those of one kind together and the larger ones first.
func slicesOf(all []*measured, seed uint64) []Slice {
	by := map[sliceName][]*Outcome{}
	for _, m := range all {
		for name, o := range m.slices {
			by[name] = append(by[name], o)
		}
	}
	kinds := []string{sliceVisitor, sliceItem, sliceCategory, sliceDevice}
	var out []Slice
	for _, name := range slices.SortedFunc(maps.Keys(by), func(a, b sliceName) int { return cmp.Compare(a.name, b.name) }) {
		o := pool(by[name])
		s := Slice{Kind: name.kind, Name: name.name, Examples: o.Predictions(), Groups: len(o.Groups), Metrics: map[string]MetricValue{}}
		s.Small = s.Examples < SmallSlice
		for i, interval := range o.bootstrapAll(seed) {
			s.Metrics[o.Metrics[i]] = interval.metric()
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b Slice) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(b.Examples, a.Examples))
	})
	return out
}

// versus compares a model with the baseline in how good its lists are.
func versus(ours, theirs *Outcome, p protocol, c Config) (*Versus, error) {
	v := &Versus{Model: c.Baseline, Metrics: map[string]MetricValue{}}
	for _, k := range c.K {
		for _, metric := range p.metrics(k) {
			interval, err := Compare(ours, theirs, metric.Name, c.Seed)
			if err != nil {
				return nil, err
			}
			v.Metrics[metric.Name] = interval.metric()
		}
	}
	return v, nil
}
