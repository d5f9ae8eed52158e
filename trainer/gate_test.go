package trainer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/registry"
	"github.com/millrace/millrace/trainer/eval"
)

// small keeps the events of few items.
func small(events []Interaction, keep ...string) []Interaction {
	return slices.DeleteFunc(slices.Clone(events), func(i Interaction) bool { return !slices.Contains(keep, i.Items[0].ID) })
}

// later moves events on in time.
func later(events []Interaction, by time.Duration) []Interaction {
	out := slices.Clone(events)
	for i := range out {
		out[i].OccurredAt = out[i].OccurredAt.Add(by)
	}
	return out
}

// A few new events after years of silence leave the imported catalogue outside the window. What they teach is right as
// far as it goes, yet it must not take the place of a champion that knows the whole shop.
func TestFarSmallerVersionIsKept(t *testing.T) {
	whole := planted(3000, 1)
	few := small(whole, "a00", "a01", "a02", "a03", "a04", "a05", "a06", "a07", "a08")
	for name, c := range map[string]struct {
		events []Interaction
		want   []string
	}{
		"new and few": {append(slices.Clone(whole), later(few, 2*DefaultWindow)...), []string{
			"knows 9 items where the champion", "knows 240, less than 50 %", "over", "15,000 older events (2026-03-01 to 2026-03-22) lie before the window of 8760h",
		}},
		// The champion knows this test by heart and has the same parameters, which otherwise ends the comparison.
		"a part of the same": {few, []string{"knows 9 items where the champion", "has the same parameters"}},
		"few events of most": {whole[:1200], []string{"learnt from 1,200 item interactions where the champion", "learnt from 15,000, less than 10 %"}},
	} {
		r := openRegistry(t)
		champion := train(t, r, Config{}, whole, testStart)
		if !champion.Promoted || strings.Contains(champion.Reason, "older events") {
			t.Fatalf("champion %+v", champion)
		}
		result := train(t, r, Config{}, c.events, testStart.Add(time.Hour))
		if result.Promoted || result.Version == "" {
			t.Errorf("%s: %+v", name, result)
		}
		for _, want := range append(c.want, champion.Version, "millrace models promote VERSION", "beats popularity") {
			if !strings.Contains(result.Reason, want) {
				t.Errorf("%s: no %q in: %s", name, want, result.Reason)
			}
		}
		if v, err := r.ChampionVersion(t.Context(), testSite); err != nil || v != champion.Version {
			t.Errorf("%s: champion is %s, %v", name, v, err)
		}
		// Who puts it in force by hand means it: the next of its size is measured against it.
		if err := r.Promote(t.Context(), testSite, result.Version); err != nil {
			t.Fatal(err)
		}
		if again := train(t, r, Config{}, c.events, testStart.Add(2*time.Hour)); !again.Promoted {
			t.Errorf("%s, after promotion by hand: %+v", name, again)
		}
	}
}

func TestShortfall(t *testing.T) {
	for _, c := range []struct {
		items         int
		events        int64
		had           registry.Source
		damaged, kept bool
	}{
		{items: 50, events: 100, had: registry.Source{Items: 100, Events: 1000}},
		{items: 49, events: 1000, had: registry.Source{Items: 100, Events: 1000}, kept: true},
		{items: 100, events: 99, had: registry.Source{Items: 100, Events: 1000}, kept: true},
		{items: 1, events: 1, had: registry.Source{Items: 100, Events: 1000}, damaged: true},
		{items: 500, events: 9000, had: registry.Source{Items: 100, Events: 1000}},
	} {
		v := model.NewVocabulary()
		for i := range c.items {
			v.Add(fmt.Sprint(i))
		}
		d := read(t, Config{})
		d.log.Vocabulary, d.events = v, c.events
		champion := &champion{manifest: registry.Manifest{Source: c.had}, bundle: &registry.Bundle{}}
		if c.damaged {
			champion.bundle = nil
		}
		if got := shortfall(d, champion); (got != "") != c.kept {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// The caller says whether the version went in force; the reason begins with what it rests on.
func TestReasonDoesNotRepeatTheDecision(t *testing.T) {
	result := train(t, openRegistry(t), Config{}, planted(600, 1), testStart)
	if !result.Promoted || !strings.HasPrefix(result.Reason, "beats popularity over ") || strings.Contains(result.Reason, "promoted") {
		t.Errorf("promoted for the reason: %s", result.Reason)
	}
}

// A better first place does not make up for finding much less.
func TestAGuardMetricIsNotLost(t *testing.T) {
	outcome := func(mrr, hr float64) *eval.Outcome {
		o := &eval.Outcome{Metrics: []string{gateMetric().Name, guardMetric().Name}, Sums: make([][]float64, 2)}
		for g := range 200 {
			o.Groups, o.Counts = append(o.Groups, g), append(o.Counts, 1)
			o.Sums[0], o.Sums[1] = append(o.Sums[0], mrr+float64(g%2)/100), append(o.Sums[1], hr+float64(g%3)/100)
		}
		return o
	}
	r := &run{}
	for _, c := range []struct {
		ours, theirs *eval.Outcome
		lost         bool
		words        string
	}{
		{outcome(0.3, 0.6), outcome(0.2, 0.6), false, "beats"},
		{outcome(0.3, 0.5), outcome(0.2, 0.6), true, "beats the rival over a test: MRR@20 0.3050 against 0.2050"},
		{outcome(0.3, 0.5), outcome(0.2, 0.6), true, ", but loses HR@20 0.5"},
		{outcome(0.2, 0.7), outcome(0.3, 0.6), true, "is worse than"},
	} {
		got, err := r.compare(c.ours, c.theirs, "the rival", "a test")
		if err != nil || got.lost != c.lost || !strings.Contains(got.words, c.words) {
			t.Errorf("%+v, %v, want %q", got, err, c.words)
		}
	}
}

// What a version leaves out of what the champion has is said where the two cannot be compared.
func TestMethodsLeftOutAreTold(t *testing.T) {
	c := &champion{manifest: registry.Manifest{Models: map[string]registry.ModelInfo{ModelBlend: {}, ModelEASE: {}, ModelIALS: {}, ModelContent: {}}}}
	with := func(names ...string) []*eval.Chosen {
		var out []*eval.Chosen
		for _, name := range names {
			out = append(out, &eval.Chosen{Name: name})
		}
		return out
	}
	if got := leftOut(c, with(ModelIALS, ModelBlend)); got != ", and has ease, content besides" {
		t.Errorf("%q", got)
	}
	if got := leftOut(c, with(ModelEASE, ModelIALS, ModelBasket, ModelContent, ModelBlend)); got != "" {
		t.Errorf("%q", got)
	}
}
