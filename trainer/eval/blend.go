package eval

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/blend"
)

// ModelBlend is the blend of the other models.
const ModelBlend = blend.Name

// blendExamples bounds the validation cases that a blend's weights are fitted on, the newest.
const blendExamples = 6000

// policyPerMember stands for the repeat policy of a blend: its members each have their own.
const policyPerMember model.RepeatPolicy = mixedPolicies

// members lists the models that a blend joins: all that the data says anything to, and one of the two session kNN, which say
// much the same.
func members(d *Dataset) []string {
	silent := map[string]bool{ModelBlend: true, ModelVMIS: true, ModelContent: d.Train.Items == nil, ModelBasket: d.Train.Orders == nil}
	var names []string
	for _, f := range families() {
		if !silent[f.name] {
			names = append(names, f.name)
		}
	}
	return names
}

// chooseBlend fits the weights of a blend on the validation part. Members that the run has not settled yet are settled here.
func chooseBlend(ctx context.Context, d *Dataset, earlier settled, o tuneOptions) (*fitted, error) {
	present := blendMembers(d, earlier)
	for _, name := range present {
		if earlier[name] == nil {
			f, err := settleMember(ctx, name, d, earlier, o)
			if err != nil {
				return nil, err
			}
			earlier[name] = f
		}
	}
	cfg, tuning, err := fitBlend(ctx, d, earlier, present, o)
	if err != nil {
		return nil, err
	}
	join := func(scorer func(*fitted) (model.Scorer, error)) (model.Scorer, error) {
		scorers := map[string]model.Scorer{}
		for _, name := range cfg.Members {
			s, err := scorer(earlier[name])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			scorers[name] = s
		}
		return blend.New(cfg, scorers)
	}
	out := &fitted{
		params: cfg, repeats: policyPerMember, tuning: tuning,
		fit: func(ctx context.Context, train *Part) (model.Scorer, error) {
			return join(func(f *fitted) (model.Scorer, error) { return f.fit(ctx, train) })
		},
		rehearsed: func(ctx context.Context) (model.Scorer, error) {
			return join(func(f *fitted) (model.Scorer, error) { return f.rehearsed(ctx) })
		},
	}
	began := time.Now()
	out.scorer, err = join(func(f *fitted) (model.Scorer, error) { return f.scorer, nil })
	out.seconds = time.Since(began).Seconds()
	return out, err
}

// blendMembers are those that a run asked for, or all where it asked for fewer than two.
func blendMembers(d *Dataset, earlier settled) []string {
	asked := slices.DeleteFunc(members(d), func(name string) bool { return earlier[name] == nil })
	if len(asked) < 2 {
		return members(d)
	}
	return asked
}

func settleMember(ctx context.Context, name string, d *Dataset, earlier settled, o tuneOptions) (*fitted, error) {
	o.base = nil
	for _, f := range families() {
		if f.name == name {
			out, err := f.choose(ctx, d, earlier, o)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return out, nil
		}
	}
	return nil, usagef("model %q is not known", name)
}

// fitBlend fits on the members' answers to the newest validation cases. With too few of them all members count alike, by
// their places.
func fitBlend(ctx context.Context, d *Dataset, earlier settled, names []string, o tuneOptions) (blend.Config, *Tuning, error) {
	sample := d.Valid.Newest(blendExamples)
	if sample.Len() < MinPredictions {
		weights := slices.Repeat([]float32{1}, len(names))
		return blend.Config{
			Members: names, Depth: blend.DefaultDepth, Scale: blend.ScaleRank, RankScale: 8, Contexts: []blend.Context{{Weights: weights}},
		}, nil, nil
	}
	scorers := map[string]model.Scorer{}
	for _, name := range names {
		s, err := earlier[name].rehearsed(ctx)
		if err != nil {
			return blend.Config{}, nil, fmt.Errorf("%s: %w", name, err)
		}
		scorers[name] = s
	}
	objective := sample.Objective(o.depth)
	cfg, err := blend.Fit(ctx, blend.FitConfig{
		Members: names, Depth: max(blend.DefaultDepth, o.depth), Workers: o.workers,
		Objective: func(ranks []int, wanted int) float64 {
			return objective.Of(Prediction{Hits: ranks, Wanted: slices.Repeat([]int32{unknownItem}, wanted)})
		},
	}, scorers, examplesOf(sample))
	if err != nil {
		return cfg, nil, err
	}
	joined, err := blend.New(cfg, scorers)
	if err != nil {
		return cfg, nil, err
	}
	value, err := reach(ctx, joined, sample, o.depth)
	tuning := &Tuning{Objective: objective.Name, Examples: sample.Len(), Trials: 1, Value: value, Grid: map[string][]any{}}
	return cfg, tuning, err
}

// examplesOf copies the cases of a test.
func examplesOf(test *Test) []blend.Example {
	var out []blend.Example
	for g := range test.Groups() {
		for c := range test.Group(g) {
			e := blend.Example{Query: c.Query, Wanted: slices.Clone(c.Wanted), Group: g}
			e.Query.Items, e.Query.History = slices.Clone(c.Query.Items), slices.Clone(c.Query.History)
			out = append(out, e)
		}
	}
	return out
}

// shares are what each member of a blend adds to the lists of a test, as shares of all scores.
func shares(m *blend.Model, test *Test, depth int) map[string]float64 {
	names := m.Config().Members
	sums, total := make([]float64, len(names)), 0.0
	var list []blend.Blended
	for g := range test.Groups() {
		for c := range test.Group(g) {
			list = m.Blend(list[:0], c.Query, depth)
			for i := range list {
				for member := range names {
					sums[member] += float64(list[i].Parts[member])
				}
				total += float64(list[i].Score)
			}
		}
	}
	out := map[string]float64{}
	for member, name := range names {
		if total > 0 {
			out[name] = sums[member] / total
		}
	}
	return out
}
