package serving

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/blend"
	"github.com/millrace/millrace/internal/model/ease"
	"github.com/millrace/millrace/internal/model/ials"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
)

// Every family gives with a mask what it gives without one, less the items that the mask leaves out: none of those takes a place.
func TestFamiliesKeepToTheirMask(t *testing.T) {
	const items, kept = 60, 7
	rng := rand.New(rand.NewPCG(2, 3))
	h := start(t)
	rows := make([]string, items)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"item_id":"%s","title":"word%d word%d","categories":["c%d"]}`, itemName(i), i%7, i%5, i%3)
	}
	h.put(rows...)
	var sessions [][]string
	for range 150 {
		topic, session := rng.IntN(items), []string{}
		for range 2 + rng.IntN(5) {
			session = append(session, itemName((topic+rng.IntN(12))%items))
		}
		sessions = append(sessions, session)
	}
	h.orders = sessions[:60]
	h.train(sessions)
	h.serving.models.poll(t.Context(), testSite)
	loaded := h.serving.models.of(testSite)
	scorers := map[string]model.Scorer{}
	for name, scorer := range loaded.Scorers {
		scorers[name] = scorer
	}
	vocabulary, data := timed(sessions)
	met, err := model.NewInteractions(data, vocabulary.Len())
	h.must(err)
	scorers["ials"], err = ials.Fit(t.Context(), ials.Default(vocabulary.Len()), met)
	h.must(err)
	scorers["ease"], err = ease.Fit(t.Context(), ease.Default(), met, nil)
	h.must(err)
	over, more := loaded.Vocabulary.Over(), &model.Sessions{}
	more.Append([]int32{3, over.Add("new"), 9}, []int64{1, 2, 3})
	scorers["vstan over"], err = vmisknn.Over(loaded.session.(*vmisknn.Model), more, over.Len())
	h.must(err)
	scorers["transitions over"], err = transitions.Over(loaded.transitions.(*transitions.Model), more, over.Len())
	h.must(err)
	scorers["blend"], err = blend.New(blend.Config{
		Members: []string{"vstan", "transitions"}, Depth: 100, Scale: blend.ScaleTop, Contexts: []blend.Context{{Weights: []float32{1, 0.5}}},
	}, scorers)
	h.must(err)
	for name, scorer := range scorers {
		asked, shorter := 0, 0
		for range 30 {
			q := model.Query{Now: noon, Items: []int32{int32(rng.IntN(items)), int32(rng.IntN(items))}}
			all := scorer.Score(nil, q, 1000)
			q.Only = &model.Mask{}
			q.Only.Reset(items, rng.IntN(2) == 0)
			for range 40 {
				if item := int32(rng.IntN(items)); rng.IntN(2) == 0 {
					q.Only.Allow(item)
				} else {
					q.Only.Deny(item)
				}
			}
			want := slices.DeleteFunc(slices.Clone(all), func(s model.Scored) bool { return !q.Only.Allows(s.Item) })
			shorter += len(all) - len(want)
			want = want[:min(kept, len(want))]
			got := scorer.Score(nil, q, kept)
			if !sameScored(name, got, want) {
				t.Fatalf("%s: %v, want %v", name, got, want)
			}
			asked += len(got)
		}
		if asked == 0 || shorter == 0 {
			t.Errorf("%s: %d items, %d left out: this says nothing", name, asked, shorter)
		}
	}
	if len(scorers) < 9 {
		t.Errorf("only %d families", len(scorers))
	}
}

// sameScored compares lists; a blend's scores depend on what the best item of each member is.
func sameScored(name string, got, want []model.Scored) bool {
	if name != "blend" {
		return fmt.Sprint(got) == fmt.Sprint(want)
	}
	return len(got) == len(want)
}
