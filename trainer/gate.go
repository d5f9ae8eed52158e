package trainer

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/registry"
	"github.com/millrace/millrace/trainer/eval"
)

// GatedModel is the model that the gate judges: the one that answers most requests.
const GatedModel = ModelSessionKNN

// gateMetric is the metric that decides, because it rewards a good first place; the others are recorded beside it.
func gateMetric() eval.Metric { return eval.MRR(MetricDepth) }

// minUnseenShare is the least part of the test that a champion must not have been trained on for a comparison with it as
// it stands. What it has seen is left out; if much is left out, the champion knows a fresher world than the candidate.
const minUnseenShare = 0.9

// What a version must have of the champion's data to replace it by itself. Its own test is made of the items that it
// knows, so that it cannot show what it lacks: a version of nine items can predict those nine very well.
const (
	// minItemShare is of the items. Assortments change, but a shop that drops more than half of what it sells between two
	// trainings is more likely to have lost its history, or to have recorded something else under its name.
	minItemShare = 0.5
	// minEventShare is of the interactions. Seasons change traffic a few times over, not tenfold.
	minEventShare = 0.1
)

// verdict is the gate's decision with the figures behind it.
type verdict struct {
	gate    registry.Gate
	metrics map[string]map[string]registry.Metric // by model and metric
}

// judge measures the candidate on the test part and decides whether it goes in force. It does unless it is worse than
// popularity, or than the champion, by more than chance explains: the 95 % interval of the paired difference lies below
// 0. Nor does it when it was fitted on far less than the champion, whatever the figures say. The reason in the verdict
// leaves the decision itself to Promoted.
func (r *run) judge(ctx context.Context, d *dataset, split *eval.Dataset, candidate *models, champion *champion) (*verdict, error) {
	v := &verdict{
		gate:    registry.Gate{Promoted: true, Examples: split.Test.Len()},
		metrics: map[string]map[string]registry.Metric{},
	}
	metrics := []eval.Metric{eval.HR(MetricDepth), gateMetric(), eval.NDCG(MetricDepth)}
	outcomes := map[string]*eval.Outcome{}
	for name, scorer := range candidate.scorers() {
		o, err := eval.Measure(ctx, scorer, split.Test, MetricDepth, metrics)
		if err != nil {
			return nil, err
		}
		outcomes[name], v.metrics[name] = o, map[string]registry.Metric{}
		for _, m := range metrics {
			i, err := o.Bootstrap(m.Name, r.cfg.Seed)
			if err != nil {
				return nil, err
			}
			v.metrics[name][m.Name] = registry.Metric{Value: i.Value, Low: i.Low, High: i.High}
		}
	}
	test := fmt.Sprintf("%d predictions (%s)", v.gate.Examples, split.Split)
	against, err := r.compare(outcomes[GatedModel], outcomes[ModelPopularity], "popularity", test)
	if err != nil {
		return nil, err
	}
	reasons := []string{against.words}
	v.gate.Promoted = !against.lost
	if champion != nil {
		v.gate.Champion = champion.manifest.Version
		against, err := r.compareChampion(ctx, split, candidate, champion)
		if err != nil {
			return nil, err
		}
		reasons, v.gate.Promoted = append(reasons, against.words), v.gate.Promoted && !against.lost
		if words := shortfall(d, champion); words != "" {
			reasons, v.gate.Promoted = append([]string{words}, reasons...), false
		}
	}
	v.gate.Reason = strings.Join(reasons, "; ")
	return v, nil
}

// shortfall says in which way the data is too little beside the champion's; empty where it is not. A damaged champion
// is no measure: it cannot serve, so anything is better.
func shortfall(d *dataset, c *champion) string {
	if c.bundle == nil {
		return ""
	}
	had := c.manifest.Source
	items := int64(d.log.Vocabulary.Len())
	const override = "if that is right, put it in force with `millrace models promote VERSION`"
	switch {
	case float64(items) < minItemShare*float64(had.Items):
		return fmt.Sprintf("knows %s items where the champion %s knows %s, less than %g %%; %s",
			grouped(items), c.manifest.Version, grouped(had.Items), minItemShare*100, override)
	case float64(d.events) < minEventShare*float64(had.Events):
		return fmt.Sprintf("learnt from %s item interactions where the champion %s learnt from %s, less than %g %%; %s",
			grouped(d.events), c.manifest.Version, grouped(had.Events), minEventShare*100, override)
	}
	return ""
}

// comparison is the candidate beside one rival.
type comparison struct {
	lost  bool
	words string
}

// compare sets the candidate beside a rival on the same test, which is told in words.
func (r *run) compare(ours, theirs *eval.Outcome, rival, test string) (comparison, error) {
	name := gateMetric().Name
	diff, err := eval.Compare(ours, theirs, name, r.cfg.Seed)
	if err != nil {
		return comparison{}, fmt.Errorf("compare with %s: %w", rival, err)
	}
	mine, _ := ours.Value(name)
	other, _ := theirs.Value(name)
	relation := "is no worse than"
	switch {
	case diff.High < 0:
		relation = "is worse than"
	case diff.Low > 0:
		relation = "beats"
	}
	return comparison{
		lost: diff.High < 0,
		words: fmt.Sprintf("%s %s over %s: %s %.4f against %.4f, difference %+.4f (95 %% interval %+.4f to %+.4f)",
			relation, rival, test, name, mine, other, diff.Value, diff.Low, diff.High),
	}, nil
}

// compareChampion measures the champion on the test sessions that came after its own training data. Where it has seen
// the test, its answers would be memories: then only its parameters are compared, fitted on the same part.
func (r *run) compareChampion(ctx context.Context, split *eval.Dataset, candidate *models, c *champion) (comparison, error) {
	if c.bundle == nil {
		return comparison{words: fmt.Sprintf("the champion was not compared: %v", c.damage)}, nil
	}
	rival := "the champion " + c.manifest.Version
	unseen := split.Test.After(c.manifest.Source.To.UnixMilli())
	metrics := []eval.Metric{gateMetric()}
	test, scorer := unseen, model.Scorer(newTranslated(c.bundle, split.Vocabulary))
	if n := unseen.Len(); n < MinPredictions || float64(n) < minUnseenShare*float64(split.Test.Len()) {
		if c.params.knn == candidate.knn.Config() {
			return comparison{words: rival + " has the same parameters and knows the test part"}, nil
		}
		refitted, err := fitModels(ctx, c.params, split.Train.Sessions, split.Vocabulary, nil)
		if err != nil {
			return comparison{}, err
		}
		test, scorer, rival = split.Test, refitted.knn, rival+" (its parameters on the same data)"
	}
	ours, err := eval.Measure(ctx, candidate.knn, test, MetricDepth, metrics)
	if err != nil {
		return comparison{}, err
	}
	theirs, err := eval.Measure(ctx, scorer, test, MetricDepth, metrics)
	if err != nil {
		return comparison{}, err
	}
	return r.compare(ours, theirs, rival, fmt.Sprintf("%d predictions", ours.Predictions()))
}

// translated asks a model of another vocabulary in the words of the test's.
type translated struct {
	scorer model.Scorer
	to     []int32 // by index of the test: the model's index, -1 where it does not know the item
	from   []int32 // by index of the model: the test's index, -1 where the test does not know the item
}

func newTranslated(b *registry.Bundle, v *model.Vocabulary) *translated {
	t := &translated{scorer: b.Scorers[GatedModel], to: make([]int32, v.Len()), from: make([]int32, b.Vocabulary.Len())}
	for i := range t.from {
		t.from[i] = -1
	}
	for i := range t.to {
		t.to[i] = -1
		if j, ok := b.Vocabulary.Index(v.ID(int32(i))); ok {
			t.to[i], t.from[j] = j, int32(i)
		}
	}
	return t
}

// Name implements model.Scorer.
func (t *translated) Name() string { return t.scorer.Name() }

// Score implements model.Scorer. An item that the test does not know keeps its place in the list, as -1.
func (t *translated) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	items := make([]int32, 0, len(q.Items))
	for _, i := range q.Items {
		if j := t.to[i]; j >= 0 {
			items = append(items, j)
		}
	}
	q.Items = items
	first := len(dst)
	dst = t.scorer.Score(dst, q, k)
	for i := range dst[first:] {
		s := &dst[first+i]
		s.Item = t.from[s.Item]
		if s.Because >= 0 {
			s.Because = t.from[s.Because]
		}
	}
	return dst
}
