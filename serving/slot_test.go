package serving

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
)

// exploringShop is a house with ten items that everybody has met and six new ones, of which only n0, n1 and n2 may be shown beside them:
// n3 is sold out, n4 is of a group that is shown, and the visitor fan has seen n5.
func exploringShop(t *testing.T) *house {
	h := start(t)
	for i := range 10 {
		h.put(fmt.Sprintf(`{"item_id":"%s","item_group_id":"g%d","published_at":"2025-01-01T00:00:00Z","brand":"old"}`, itemName(i), i))
		for range 20 + i {
			h.happen(parseEvent(t, "60m a=others type=view_item items="+itemName(i)))
		}
	}
	h.put(`{"item_id":"n0"}`, `{"item_id":"n1"}`, `{"item_id":"n2"}`, `{"item_id":"n3","available":false}`, `{"item_id":"n4","item_group_id":"g9"}`, `{"item_id":"n5"}`)
	h.happen(parseEvent(t, "5m a=fan type=view_item items=n5"))
	h.refresh()
	return h
}

// shelf sets up a placement of the kind with settings.
func (h *house) shelf(kind, settings string) {
	h.tb.Helper()
	h.must(h.control.PutPlacement(h.tb.Context(), control.Placement{Site: testSite, Name: "shelf", Kind: kind, Limit: 8, Settings: []byte(settings)}))
}

// TestExplorationIsDrawnAsItSays draws the lots of many lists: as many explore as the share says, every new item comes as often to every
// place as any other, and what is weighed by the inverse of its propensity adds up to what is known.
func TestExplorationIsDrawnAsItSays(t *testing.T) {
	const lists, share, places, drawn = 20_000, 0.05, 4, 3
	h := exploringShop(t)
	h.shelf(control.KindHome, fmt.Sprintf(`{"exploration":%g}`, share))
	placement, _ := h.serving.placement(t.Context(), testSite, "shelf")
	mem := h.serving.scratches.get()
	request := &Request{Placement: "shelf", AnonymousID: "fan"}
	h.serving.meet(t.Context(), mem, testSite, request)
	q := h.serving.prepare(t.Context(), mem, testSite, placement, request)
	s := q.choose(h.serving.metrics, q.stages())
	plain := slices.Clone(s.shown)
	if len(plain) != 8 || slices.ContainsFunc(plain, func(i shownItem) bool { return i.id[0] == 'n' }) {
		t.Fatalf("%d items", len(plain))
	}
	explored, cells := 0, map[string]int{}
	weighed := make(map[string]float64) // of each item at each place, the number of lists by inverse propensity
	for range lists {
		s.slot, s.shown = slot{}, append(s.shown[:0], plain...)
		s.explore(event.NewID(noon))
		if s.slot.taken {
			explored++
		}
		for i, item := range s.shown {
			at := fmt.Sprint(item.id, " at ", i)
			cells[at]++
			weighed[at] += 1 / s.slot.propensity(i) / lists
			if item.id != plain[i].id && (!s.slot.taken || i != s.slot.place || item.score != plain[i].score) {
				t.Fatalf("%+v puts %+v at %d", s.slot, item.candidate, i)
			}
		}
	}
	within := func(what string, got, p float64) {
		t.Helper()
		if sd := math.Sqrt(lists * p * (1 - p)); math.Abs(got-lists*p) > 5*sd {
			t.Errorf("%s: %g of %d, want %g give or take %g", what, got, lists, lists*p, sd)
		}
	}
	within("lists that explore", float64(explored), share)
	for i := range 8 {
		known := fmt.Sprint(plain[i].id, " at ", i)
		if i < 4 {
			if cells[known] != lists || weighed[known] != 1 && math.Abs(weighed[known]-1) > 1e-9 {
				t.Errorf("%s: %d, %g", known, cells[known], weighed[known])
			}
			continue
		}
		within(known, float64(cells[known]), 1-share/places)
		if math.Abs(weighed[known]-1) > 0.01 {
			t.Errorf("%s: weighed %g, want 1", known, weighed[known])
		}
		for n := range drawn {
			fresh := fmt.Sprintf("n%d at %d", n, i)
			within(fresh, float64(cells[fresh]), share/places/drawn)
			if p := share / places / drawn; math.Abs(weighed[fresh]-1) > 5*math.Sqrt((1-p)/p/lists) {
				t.Errorf("%s: weighed %g, want 1", fresh, weighed[fresh])
			}
		}
	}
	if want := 4 + 4 + places*drawn; len(cells) != want {
		t.Errorf("%d items at places, want %d: %v", len(cells), want, cells)
	}
}

// TestExplorationInAnswers: who is switched on explores, with a reason and a propensity in the record; who is not, or asks without being
// shown, does not. The list stays as long as it was, without doubles, and what the request leaves out stays out.
func TestExplorationInAnswers(t *testing.T) {
	h := exploringShop(t)
	fresh := func(a Answer) (n int) {
		for i, item := range a.Items {
			if item.ItemID[0] != 'n' {
				continue
			}
			n++
			if i < 4 || !slices.Equal(item.Reasons, []string{"new here"}) {
				t.Errorf("%+v", item)
			}
			x, _, err := h.serving.recall(t.Context(), testSite, a.RecID)
			h.must(err)
			if p := x.Items[i].Propensity; p == nil || *p > 0.25 || *x.Items[0].Propensity != 1 || x.Items[i].Source != sourceUnmet {
				t.Errorf("recorded as %+v", x.Items)
			}
		}
		return n
	}
	for _, c := range []struct {
		name, kind, settings, more string
		want                       int
	}{
		{"always", control.KindHome, `{"exploration":1}`, ``, 1},
		{"session", control.KindSession, `{"exploration":1}`, ``, 1},
		{"never", control.KindHome, `{"exploration":0}`, ``, 0},
		{"dry run", control.KindHome, `{"exploration":1}`, `,"dry_run":true`, 0},
		{"one is left", control.KindHome, `{"exploration":1}`, `,"exclude_ids":["n0","n1"]`, 1},
		{"none is left", control.KindHome, `{"exploration":1}`, `,"exclude_ids":["n0","n1","n2"]`, 0},
		{"filtered", control.KindHome, `{"exploration":1}`, `,"filter":"item.brand == \"old\""`, 0},
		{"of another placement", control.KindHome, `{"exploration":1,"filter":"item.brand == \"old\""}`, ``, 0},
	} {
		h.shelf(c.kind, c.settings)
		for range 5 {
			a := h.ask(`{"placement":"shelf","anonymous_id":"fan"` + c.more + `}`)
			if got := fresh(a); got != c.want || len(a.Items) != 8 {
				t.Errorf("%s: %d new items in %v", c.name, got, ids(a))
			}
			list := ids(a)
			slices.Sort(list)
			if len(slices.Compact(list)) != 8 || strings.Contains(strings.Join(list, " "), "n3") {
				t.Errorf("%s: %v", c.name, list)
			}
		}
	}
}

// TestExplorationOfKinds: only lists that recommend explore by themselves.
func TestExplorationOfKinds(t *testing.T) {
	for _, kind := range control.Kinds() {
		want := 0.0
		if slices.Contains([]string{control.KindHome, control.KindSession, control.KindItem, control.KindCart}, kind) {
			want = 0.05
		}
		if got := (&Settings{}).exploration(kind, 0.05); got != want {
			t.Errorf("%s: %g, want %g", kind, got, want)
		}
		if _, p := ParseSettings(kind, []byte(`{"exploration":0.2}`)); (p == nil) != (want > 0) {
			t.Errorf("%s takes 0.2: %v", kind, p)
		}
	}
}

// TestExplorationIsReplayed: a list that gave a place away is made again from its record, one that did not as well, and a record with
// another item, or another probability, is noticed.
func TestExplorationIsReplayed(t *testing.T) {
	h := exploringShop(t)
	h.serving.fullShare = 1
	explored, plain := 0, 0
	for _, settings := range []string{`{"exploration":0.6}`, `{"exploration":0.6,"diversity":0.5}`, `{"exploration":1,"max_per_brand":9}`} {
		h.shelf(control.KindHome, settings)
		for range 12 {
			a, r := h.replayed(`{"placement":"shelf","anonymous_id":"fan"}`)
			if !r.Identical {
				t.Fatalf("%s: %v: %+v", settings, ids(a), r)
			}
			at := slices.IndexFunc(a.Items, func(item AnswerItem) bool { return item.ItemID[0] == 'n' })
			if at < 0 {
				plain++
				continue
			}
			explored++
			for name, change := range map[string]func(x *event.Exposure, in *inputs){
				"an item":       func(x *event.Exposure, _ *inputs) { x.Items[at].ItemID = "n9" },
				"a probability": func(x *event.Exposure, _ *inputs) { *x.Items[at].Propensity *= 2 },
				"fewer items":   func(_ *event.Exposure, in *inputs) { in.Unmet = in.Unmet[:1] },
				"no share":      func(_ *event.Exposure, in *inputs) { in.Exploration = 0 },
			} {
				if h.tampered(a.RecID, change).Identical {
					t.Errorf("%s that was changed in %v is not noticed", name, ids(a))
				}
			}
		}
	}
	if explored < 12 || plain == 0 {
		t.Errorf("%d lists explored, %d did not", explored, plain)
	}
}
