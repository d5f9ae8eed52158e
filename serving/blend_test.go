package serving

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/blend"
	"github.com/millrace/millrace/internal/registry"
)

// told is a family that answers with fixed items and remembers what it was asked with.
type told struct {
	name  string
	list  []model.Scored
	asked *model.Query
}

func (s told) Name() string { return s.name }

func (s told) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	*s.asked = q
	return append(dst, s.list[:min(k, len(s.list))]...)
}

// blendedQuery is a query of a visitor over a version with two families.
func blendedQuery(t *testing.T, now time.Time, profile feature.Profile) (*query, *model.Query) {
	t.Helper()
	v := model.NewVocabulary("a", "b", "c", "d", "e")
	asked := &model.Query{}
	scorers := map[string]model.Scorer{
		"near": told{name: "near", asked: asked, list: []model.Scored{{Item: 2, Score: 4, Because: 0}, {Item: 3, Score: 1, Because: 1}}},
		"far":  told{name: "far", asked: &model.Query{}, list: []model.Scored{{Item: 3, Score: 10, Because: model.NoCause}, {Item: 4, Score: 5, Because: 0}}},
	}
	m, err := blend.New(blend.Config{
		Members: []string{"near", "far"}, Depth: 10, Scale: blend.ScaleTop, Contexts: []blend.Context{{Weights: []float32{1, 0.5}}},
	}, scorers)
	if err != nil {
		t.Fatal(err)
	}
	q := &query{
		mem: newScratch(), site: "shop", placement: control.Placement{Kind: control.KindSession}, request: &Request{ItemIDs: []string{"b"}, Context: map[string]string{"device": "mobile"}},
		limit: 10, now: now, settings: &Settings{}, visitor: &visitor{profile: profile, known: true},
		model: &loadedModel{Bundle: &registry.Bundle{Vocabulary: v}, blend: m},
	}
	return q, asked
}

// The sources of a blend add up to its own scores, so that ranking them again changes nothing and every family's part is told.
func TestSourcesOfABlendAddUpToIt(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	q, _ := blendedQuery(t, now, feature.Profile{})
	q.askBlend(0.8)
	got := rankedBy(q)
	// near: c 1, d 0.25; far, at half: d 0.5, e 0.25. The best, c, is brought to 0.8.
	want := map[string]float64{"c": 0.8, "d": 0.6, "e": 0.2}
	var order []string
	for _, c := range got {
		order = append(order, c.id)
		if math.Abs(c.score-want[c.id]) > 1e-6 {
			t.Errorf("%s has the score %g, want %g", c.id, c.score, want[c.id])
		}
	}
	if !slices.Equal(order, []string{"c", "d", "e"}) {
		t.Errorf("order %v", order)
	}
	d := got[1]
	if len(d.parts) != 2 || d.parts[0].family != "far" || d.parts[0].origin != "" || d.parts[1].family != "near" || d.parts[1].origin != "b" {
		t.Errorf("parts of d: %+v", d.parts)
	}
}

// The running session and what was before it are told apart; a session that is over is history.
func TestABlendIsAskedWithSessionAndHistory(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) int64 { return now.Add(time.Duration(minutes) * time.Minute).UnixMilli() }
	profile := feature.Profile{
		Session: feature.Session{StartedAt: at(-10), LastAt: at(-5), Items: []feature.Seen{{ItemID: "a", At: at(-10)}, {ItemID: "unknown"}, {ItemID: "c", At: at(-5)}}},
		Interactions: []feature.Interaction{ // newest first
			{ItemID: "c", OccurredAt: at(-5)}, {ItemID: "a", OccurredAt: at(-10)}, {ItemID: "e", OccurredAt: at(-100)}, {ItemID: "d", OccurredAt: at(-200)},
		},
	}
	q, asked := blendedQuery(t, now, profile)
	q.askBlend(1)
	if !slices.Equal(asked.Items, []int32{0, 2, 1}) || !slices.Equal(asked.History, []int32{3, 4}) || asked.Segment != "mobile" {
		t.Errorf("asked with %+v", asked)
	}
	q, asked = blendedQuery(t, now.Add(time.Hour), profile)
	q.askBlend(1)
	if !slices.Equal(asked.Items, []int32{1}) || !slices.Equal(asked.History, []int32{3, 4, 0, 2}) {
		t.Errorf("an hour later asked with %+v", asked)
	}
	q.request = &Request{}
	q.visitor.profile = feature.Profile{}
	if q.askBlend(1) {
		t.Errorf("of nobody anything is known: %+v", q.mem.sources)
	}
}

// A version may have a blend without transitions, or without a session model: what there is goes over it.
func TestABlendOfAVersionThatLacksAFamilyIsMadeAgain(t *testing.T) {
	near := told{name: "near", asked: &model.Query{}}
	m, err := blend.New(blend.Config{
		Members: []string{"near"}, Depth: 10, Scale: blend.ScaleTop, Contexts: []blend.Context{{Weights: []float32{1}}},
	}, map[string]model.Scorer{"near": near})
	if err != nil {
		t.Fatal(err)
	}
	trained := &loadedModel{Bundle: &registry.Bundle{Scorers: map[string]model.Scorer{"near": near}}, blend: m}
	fresh := told{name: "near", asked: &model.Query{}, list: []model.Scored{{Item: 7, Score: 1}}}
	over := &loadedModel{Bundle: trained.Bundle, session: fresh}
	if got := over.blendAgain(trained).Score(nil, model.Query{}, 5); len(got) != 1 || got[0].Item != 7 {
		t.Errorf("the blend answers %v, want the fresh sessions' item 7", got)
	}
}
