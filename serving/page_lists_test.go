package serving

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// Whatever happens to versions and to the sessions over them, a product page is told what the families in force say now, asked for
// the first time and again, and through items that share a place.
func TestPageListsAreWhatFamiliesInForceSay(t *testing.T) {
	h := start(t)
	h.shop()
	rng := rand.New(rand.NewPCG(3, 3))
	for step := range 12 {
		switch step % 4 {
		case 1:
			h.happened(closedAt(fmt.Sprint("s", step), 0, 1, int64(100+step), "a", "new", "c"), closedAt(fmt.Sprint("t", step), 1, 1, int64(100+step), "new", "b1"))
		case 3:
			h.source.Fences = map[string]int64{"0": int64(100 + step), "1": int64(100 + step)}
			h.train(append(shopSessions(), []string{"a", fmt.Sprint("b", step%5)}, []string{"c", "a", fmt.Sprint("b", step%3)}))
			h.serving.models.poll(t.Context(), testSite)
		}
		m := h.serving.models.of(testSite)
		for range 60 {
			item := int32(rng.IntN(m.Vocabulary.Len()))
			q, reach := model.Query{Items: []int32{item}, Set: true}, 1+rng.IntN(4)
			for _, family := range []struct {
				scorer model.Scorer
				lists  *familyLists
			}{{m.session, &m.pages.session}, {m.transitions, &m.pages.transitions}} {
				got, want := family.lists.score(family.scorer, nil, q, reach), family.scorer.Score(nil, q, reach)
				if !slices.Equal(got, want) {
					t.Fatalf("step %d: %s says to %s %v, want %v", step, family.scorer.Name(), m.Vocabulary.ID(item), got, want)
				}
			}
		}
	}
}

// Two items of one place take turns, and neither is told the other's list.
func TestPageListsOfOnePlaceDoNotMix(t *testing.T) {
	var lists familyLists
	for range 2 {
		for _, of := range []int32{3, 3 + maxPageLists} {
			if got := lists.score(echo{}, nil, model.Query{Items: []int32{of}}, 5); len(got) != 1 || got[0].Item != of {
				t.Fatalf("to %d is said %v", of, got)
			}
		}
	}
}

// echo recommends the item itself.
type echo struct{ model.Scorer }

func (echo) Score(dst []model.Scored, q model.Query, _ int) []model.Scored {
	return append(dst, model.Scored{Item: q.Items[0]})
}
