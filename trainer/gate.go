package trainer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/registry"
	"github.com/millrace/millrace/trainer/eval"
)

// GatedModel is the model that the gate judges: the one that answers most requests.
const GatedModel = ModelBlend

// gateMetric is the metric that decides, because it rewards a good first place.
func gateMetric() eval.Metric { return eval.MRR(MetricDepth) }

// guardMetric must not be lost on the way: a list may have a better first place and much less that is wanted.
func guardMetric() eval.Metric { return eval.HR(MetricDepth) }

// gateMetrics are what two models are compared in; the others are recorded beside them.
func gateMetrics() []eval.Metric { return []eval.Metric{gateMetric(), guardMetric()} }

// reportDepth is a second length of lists that is reported: what a page shows at first.
const reportDepth = 10

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
	report  *eval.Report
}

// judge measures the candidate on the test part and decides whether it goes in force. It does unless it, or its best method that
// follows the order of events, is worse than popularity, or it is worse than the champion, by more than chance explains: the 95 %
// interval of the paired difference lies below 0. Nor does it when it was fitted on far less than the champion, whatever the figures say. The reason in the verdict
// leaves the decision itself to Promoted.
func (r *run) judge(ctx context.Context, d *dataset, split *eval.Dataset, chosen []*eval.Chosen, champion *champion) (*verdict, error) {
	v := &verdict{
		gate:    registry.Gate{Promoted: true, Examples: split.Test.Len()},
		metrics: map[string]map[string]registry.Metric{},
	}
	report, outcomes, err := eval.Describe(ctx, eval.Config{
		Data: "lake", Site: r.cfg.Site, K: []int{reportDepth, MetricDepth}, Seed: r.cfg.Seed, Baseline: ModelPopularity,
	}, d.log, split, chosen)
	if err != nil {
		return nil, err
	}
	v.report = report
	for _, result := range report.Results {
		v.metrics[result.Model] = map[string]registry.Metric{}
		for name, m := range result.Metrics {
			metric := registry.Metric{Value: m.Value, Low: m.Value, High: m.Value} // a figure of the whole test has no interval
			if m.Low != nil && m.High != nil {
				metric.Low, metric.High = *m.Low, *m.High
			}
			v.metrics[result.Model][name] = metric
		}
	}
	test := fmt.Sprintf("%d predictions (%s)", v.gate.Examples, split.Split)
	against, err := r.compare(outcomes[GatedModel], outcomes[ModelPopularity], "popularity", test)
	if err != nil {
		return nil, err
	}
	reasons := []string{against.words}
	v.gate.Promoted = !against.lost
	order, err := r.compareOrder(outcomes, test)
	if err != nil {
		return nil, err
	}
	if order.lost && !against.won {
		reasons, v.gate.Promoted = append([]string{order.words}, reasons...), false
	}
	if champion != nil {
		v.gate.Champion = champion.manifest.Version
		against, err := r.compareChampion(ctx, split, outcomes[GatedModel], chosen, champion)
		if err != nil {
			return nil, err
		}
		reasons, v.gate.Promoted = append(reasons, against.words), v.gate.Promoted && !against.lost
		if words := shortfall(d, champion); words != "" {
			reasons, v.gate.Promoted = append([]string{words}, reasons...), false
		}
	}
	if words := checkData(d); words != "" {
		reasons, v.gate.Promoted = append([]string{words}, reasons...), false
	}
	v.gate.Reason = strings.Join(reasons, "; ")
	return v, nil
}

// compareOrder sets the better of the methods that follow what comes after what beside popularity. A blend of useless methods is
// as good as popularity, because it consists of it; that visitors seem to click without any order is a fault of the record. It decides
// where the blend does not beat popularity: in a shop whose visitors mostly follow what it shows much, no method alone may reach
// popularity, and together they still know more than it.
func (r *run) compareOrder(outcomes map[string]*eval.Outcome, test string) (comparison, error) {
	best, bestValue := "", -1.0
	for _, name := range []string{ModelTransitions, ModelSessionKNN} {
		if value, _ := outcomes[name].Value(gateMetric().Name); value > bestValue {
			best, bestValue = name, value
		}
	}
	c, err := r.compare(outcomes[best], outcomes[ModelPopularity], "popularity", test)
	c.words = "what comes after what tells nothing, so the record may be out of order: " + best + " " + c.words
	return c, err
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
	lost, won bool
	words     string
}

// compare sets the candidate beside a rival on the same test, which is told in words.
func (r *run) compare(ours, theirs *eval.Outcome, rival, test string) (comparison, error) {
	diff, figures, err := r.difference(ours, theirs, gateMetric().Name)
	if err != nil {
		return comparison{}, fmt.Errorf("compare with %s: %w", rival, err)
	}
	relation := "is no worse than"
	switch {
	case diff.High < 0:
		relation = "is worse than"
	case diff.Low > 0:
		relation = "beats"
	}
	c := comparison{lost: diff.High < 0, won: diff.Low > 0, words: fmt.Sprintf("%s %s over %s: %s", relation, rival, test, figures)}
	guard, figures, err := r.difference(ours, theirs, guardMetric().Name)
	if err != nil {
		return comparison{}, fmt.Errorf("compare with %s: %w", rival, err)
	}
	if guard.High < 0 {
		c.lost, c.won, c.words = true, false, c.words+", but loses "+figures
	}
	return c, nil
}

// difference is ours minus theirs in a metric, and in words.
func (r *run) difference(ours, theirs *eval.Outcome, name string) (eval.Interval, string, error) {
	diff, err := eval.Compare(ours, theirs, name, r.cfg.Seed)
	mine, _ := ours.Value(name)
	other, _ := theirs.Value(name)
	return diff, fmt.Sprintf("%s %.4f against %.4f, difference %+.4f (95 %% interval %+.4f to %+.4f)",
		name, mine, other, diff.Value, diff.Low, diff.High), err
}

// compareChampion measures the champion on the test sessions that came after its own training data. Where it has seen
// the test, its answers would be memories: then only its parameters are compared, fitted on the same part.
func (r *run) compareChampion(ctx context.Context, split *eval.Dataset, whole *eval.Outcome, chosen []*eval.Chosen, c *champion) (comparison, error) {
	if c.bundle == nil {
		return comparison{words: fmt.Sprintf("the champion was not compared: %v", c.damage)}, nil
	}
	rival := "the champion " + c.manifest.Version
	unseen := split.Test.After(c.manifest.Source.To.UnixMilli())
	if n := unseen.Len(); n < MinPredictions || float64(n) < minUnseenShare*float64(split.Test.Len()) {
		if !r.cfg.tunes() {
			return comparison{words: rival + " has the same parameters and knows the test part" + leftOut(c, chosen)}, nil
		}
		theirs, err := r.asTheChampion(ctx, split, chosen, c)
		if err != nil {
			return comparison{}, err
		}
		return r.compare(whole, theirs, rival+" (its parameters on the same data)", fmt.Sprintf("%d predictions", whole.Predictions()))
	}
	metrics := gateMetrics()
	ours, err := eval.Measure(ctx, scorerOf(chosen, GatedModel), unseen, MetricDepth, metrics)
	if err != nil {
		return comparison{}, err
	}
	theirs, err := eval.Measure(ctx, newTranslated(c, split.Vocabulary), unseen, MetricDepth, metrics)
	if err != nil {
		return comparison{}, err
	}
	return r.compare(ours, theirs, rival, fmt.Sprintf("%d predictions", ours.Predictions()))
}

// asTheChampion measures the champion's parameters, fitted on the training part.
func (r *run) asTheChampion(ctx context.Context, split *eval.Dataset, ours []*eval.Chosen, c *champion) (*eval.Outcome, error) {
	base, err := r.base(c)
	if err != nil {
		return nil, err
	}
	chosen, err := eval.Choose(ctx, split, namesOf(ours), eval.ChooseOptions{Base: base, Seed: r.cfg.Seed, Depth: MetricDepth})
	if err != nil {
		return nil, err
	}
	return eval.Measure(ctx, scorerOf(chosen, GatedModel), split.Test, MetricDepth, gateMetrics())
}

func scorerOf(chosen []*eval.Chosen, name string) model.Scorer {
	at := slices.IndexFunc(chosen, func(c *eval.Chosen) bool { return c.Name == name })
	return chosen[at].Scorer
}

// leftOut says which methods of the champion a candidate does without; empty where it has them all.
func leftOut(c *champion, chosen []*eval.Chosen) string {
	var missing []string
	for _, name := range Optional() {
		if _, had := c.manifest.Models[name]; had && !slices.Contains(namesOf(chosen), name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return ", and has " + strings.Join(missing, ", ") + " besides"
}

func namesOf(chosen []*eval.Chosen) []string {
	names := make([]string, len(chosen))
	for i, c := range chosen {
		names[i] = c.Name
	}
	return names
}
