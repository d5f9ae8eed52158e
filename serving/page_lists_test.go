package serving

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// Whatever happens to versions and to the sessions over them, a product page is told what the families in force say now, asked for
// the first time and again, and through items that share a place. An item that no session since was about may be told what they said
// under the same version a little before.
func TestPageListsAreWhatFamiliesInForceSay(t *testing.T) {
	h := start(t)
	h.shop()
	rng := rand.New(rand.NewPCG(3, 3))
	said := map[string][][]model.Scored{} // under the version in force, by family, reach and item
	kept := 0
	for step := range 24 {
		moved := map[string]bool{}
		if step%6 == 3 {
			h.source.Fences = map[string]int64{"0": int64(100 + step), "1": int64(100 + step)}
			h.train(append(shopSessions(), []string{"a", fmt.Sprint("b", step%5)}, []string{"c", "a", fmt.Sprint("b", step%3)}))
			h.serving.models.poll(t.Context(), testSite)
			clear(said)
		} else if step%2 == 1 {
			h.happened(closedAt(fmt.Sprint("s", step), 0, 1, int64(100+step), "a", "new", "c"), closedAt(fmt.Sprint("t", step), 1, 1, int64(100+step), "new", "b1"))
			moved = map[string]bool{"a": true, "new": true, "c": true, "b1": true}
		}
		m := h.serving.models.of(testSite)
		for range 60 {
			item := int32(rng.IntN(m.Vocabulary.Len()))
			q, reach := model.Query{Items: []int32{item}, Set: true}, 1+rng.IntN(2)
			for _, family := range []struct {
				scorer model.Scorer
				lists  *familyLists
			}{{m.session, &m.pages.session}, {m.transitions, &m.pages.transitions}} {
				key := fmt.Sprint(family.scorer.Name(), reach, m.Vocabulary.ID(item))
				got, want := family.lists.score(family.scorer, nil, q, reach), family.scorer.Score(nil, q, reach)
				if !slices.Equal(got, want) {
					before := slices.ContainsFunc(said[key], func(earlier []model.Scored) bool { return slices.Equal(got, earlier) })
					if moved[m.Vocabulary.ID(item)] || !before {
						t.Fatalf("step %d: %s says %v, want %v", step, key, got, want)
					}
					kept++
				}
				said[key] = append(said[key], want)
			}
		}
	}
	if kept == 0 {
		t.Error("no list outlived sessions that it has nothing to do with")
	}
}

// A list that is kept is not kept for ever, and never one of or with an item whose number may be another's.
func TestPageListsAreKeptForAWhile(t *testing.T) {
	ask := func(l *familyLists, of int32) *pageList {
		l.score(echo{}, nil, model.Query{Items: []int32{of}}, 5)
		return l.slot(of).Load()
	}
	made := newFamilyLists(100)
	lists := &made
	ask(lists, 7)
	ask(lists, 8)
	ask(lists, 9)
	for renewal := range maxPageRenewals + 1 {
		made := newFamilyLists(100)
		next := &made
		next.keep(lists, 9, []int32{8})
		if kept := next.slot(7).Load() != nil; kept != (renewal < maxPageRenewals) {
			t.Fatalf("renewal %d: kept %v", renewal, kept)
		}
		if next.slot(8).Load() != nil || next.slot(9).Load() != nil {
			t.Fatal("a list was kept of an item that moved, or whose number may change")
		}
		lists = next
	}
}

// Two items of one place take turns, and neither is told the other's list.
func TestPageListsOfOnePlaceDoNotMix(t *testing.T) {
	lists := newFamilyLists(2 * maxPageLists)
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

// A page that is asked for without some items is told the same, whether or not what the families say to it is remembered, and whether or
// not that names any of them.
func TestExclusionsFromARememberedList(t *testing.T) {
	remembering, fresh := start(t), start(t)
	remembering.shop()
	fresh.shop()
	plain := ids(remembering.ask(`{"placement":"item","item_ids":["a"],"limit":10,"dry_run":true}`))
	if len(plain) < 3 {
		t.Fatalf("the page has %v, too little to leave something out", plain)
	}
	for _, excluded := range [][]string{{"nobody"}, {plain[0]}, {plain[len(plain)-1], "nobody"}, plain[:2]} {
		body := fmt.Sprintf(`{"placement":"item","item_ids":["a"],"limit":10,"dry_run":true,"exclude_ids":["%s"]}`, strings.Join(excluded, `","`))
		m := fresh.serving.models.of(testSite)
		for _, lists := range []*familyLists{&m.pages.session, &m.pages.transitions} {
			for i := range lists.slots {
				lists.slots[i].Store(nil)
			}
		}
		got, want := remembering.ask(body), fresh.ask(body)
		if !slices.Equal(ids(got), ids(want)) || slices.ContainsFunc(excluded, func(id string) bool { return slices.Contains(ids(got), id) }) {
			t.Errorf("without %v the page has %v where its lists are remembered, else %v", excluded, ids(got), ids(want))
		}
	}
}
