package serving

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/control"
)

func (h *house) rule(rule control.Rule) {
	h.tb.Helper()
	rule.Site, rule.Enabled = testSite, true
	_, err := h.control.PutRule(h.tb.Context(), rule, "")
	h.must(err)
}

func pins(places ...any) (list []control.Pin) {
	for i := 0; i < len(places); i += 2 {
		list = append(list, control.Pin{ItemID: places[i].(string), Position: places[i+1].(int)})
	}
	return list
}

// TestPins puts items in places and looks at what a list of four items, a to d, becomes.
func TestPins(t *testing.T) {
	for _, c := range []struct {
		name, request, settings string
		rules                   []control.Rule
		want                    []string
	}{
		{"first", ``, ``, []control.Rule{{Pin: pins("d", 0)}}, []string{"d", "a", "b", "c"}},
		{"in the middle", ``, ``, []control.Rule{{Pin: pins("a", 2)}}, []string{"b", "c", "a", "d"}},
		{"several", ``, ``, []control.Rule{{Pin: pins("a", 3, "d", 0)}}, []string{"d", "b", "c", "a"}},
		{"an item that nobody has seen", `,"limit":3`, ``, []control.Rule{{Pin: pins("new", 1)}}, []string{"a", "new", "b"}},
		{"behind the end", ``, ``, []control.Rule{{Pin: pins("a", 7)}}, []string{"b", "c", "d", "a"}},
		{"beyond the limit", `,"limit":2`, ``, []control.Rule{{Pin: pins("d", 2)}}, []string{"a", "b"}},
		{"all places", `,"limit":1`, ``, []control.Rule{{Pin: pins("d", 0)}}, []string{"d"}},
		{"unknown", ``, ``, []control.Rule{{Pin: pins("nobody", 0)}}, []string{"a", "b", "c", "d"}},
		{"not available", ``, ``, []control.Rule{{Pin: pins("gone", 0)}}, []string{"a", "b", "c", "d"}},
		{"expired", ``, ``, []control.Rule{{Pin: pins("late", 0)}}, []string{"a", "b", "c", "d"}},
		{"excluded", `,"exclude_ids":["d"]`, ``, []control.Rule{{Pin: pins("d", 0)}}, []string{"a", "b", "c"}},
		{"filtered by the request", `,"filter":"item.brand == \"Fleet\""`, ``, []control.Rule{{Pin: pins("b", 0, "c", 1)}}, []string{"a", "c"}},
		{"filtered by a rule", ``, ``, []control.Rule{{Pin: pins("b", 0), Filter: `item.brand == "Fleet"`}}, []string{"a", "c"}},
		{"one place twice", ``, ``, []control.Rule{{Pin: pins("c", 0), Priority: 1}, {Pin: pins("d", 0), Priority: 2}}, []string{"d", "a", "b", "c"}},
		{"one item twice", ``, ``, []control.Rule{{Pin: pins("d", 0), Priority: 1}, {Pin: pins("d", 2), Priority: 2}}, []string{"a", "b", "d", "c"}},
		{"of a group", ``, ``, []control.Rule{{Pin: pins("a2", 1)}}, []string{"b", "a2", "c", "d"}},
		{"two of a group", ``, ``, []control.Rule{{Pin: pins("a2", 0, "a", 1)}}, []string{"a2", "b", "c", "d"}},
		{"caps count it and yield to it", ``, `{"max_per_category":1}`, []control.Rule{{Pin: pins("b", 0, "d", 1)}}, []string{"b", "d", "a2", "new"}}, // without a category
		{"strict", ``, `{"strict":true,"filter":"item.item_id == \"a\""}`, []control.Rule{{Pin: pins("a", 3)}}, []string{"a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := shelf(t)
			h.put(`{"item_id":"a","item_group_id":"g"}`, `{"item_id":"a2","item_group_id":"g","available":true}`, `{"item_id":"new"}`,
				`{"item_id":"gone","available":false}`, `{"item_id":"late","expires_at":"2026-03-02T12:00:00Z"}`)
			for i, rule := range c.rules {
				rule.ID = fmt.Sprint("r", i)
				h.rule(rule)
			}
			h.shelf(control.KindPopular, c.settings)
			request := `{"placement":"shelf","explain":true,"fields":[]` + c.request + `}`
			a := h.ask(request)
			if got := ids(a); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			if filled := slices.Contains(ids(a), "a2") && slices.Contains(ids(a), "new"); (a.Degraded == "static") != filled {
				t.Errorf("degraded %s", a.Degraded)
			}
			for i := 1; i < len(a.Items); i++ {
				if a.Items[i].Score > a.Items[i-1].Score {
					t.Errorf("scores rise: %+v", a.Items)
				}
			}
			x := h.firstExposure()
			for i, it := range x.Items {
				if (it.Source == sourcePinned) != slices.ContainsFunc(it.Reasons, func(why string) bool { return strings.HasPrefix(why, "pinned by rule r") }) {
					t.Errorf("position %d: %+v", i, it)
				}
			}
			replayed, err := h.serving.replay(t.Context(), x)
			h.must(err)
			if !replayed.Identical {
				t.Errorf("made again as %+v", replayed)
			}
		})
	}
}

// TestPinsOfTheCallersList: what the caller names stands where a rule pins it, behind what may be shown no item is pinned, and none comes in.
func TestPinsOfTheCallersList(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []control.Rule
		want  []string
	}{
		{"several", []control.Rule{{Pin: pins("a", 3, "d", 1)}}, []string{"b", "d", "c", "a", "gone", "nobody"}},
		{"one place twice", []control.Rule{{Pin: pins("c", 0), Priority: 1}, {Pin: pins("d", 0), Priority: 2}}, []string{"d", "a", "b", "c", "gone", "nobody"}},
		{"what may not be shown, nobody knows, or is not named", []control.Rule{{Pin: pins("gone", 0, "nobody", 1, "new", 2)}}, []string{"a", "b", "c", "d", "gone", "nobody"}},
		{"elsewhere", []control.Rule{{Pin: pins("d", 0), Placements: []string{"cart"}}}, []string{"a", "b", "c", "d", "gone", "nobody"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := shelf(t)
			h.put(`{"item_id":"new"}`, `{"item_id":"gone","available":false}`)
			for i, rule := range c.rules {
				rule.ID = fmt.Sprint("r", i)
				h.rule(rule)
			}
			a := h.rank(`{"placement":"popular","item_ids":["c","gone","b","nobody","a","d"]}`)
			var got []string
			for i, item := range a.Items {
				got = append(got, item.ItemID)
				if i > 0 && item.Score > a.Items[i-1].Score {
					t.Errorf("scores rise: %+v", a.Items)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			pinned := 0
			for i, it := range h.firstExposure().Items {
				if told := slices.ContainsFunc(a.Items[i].Reasons, func(why string) bool { return strings.HasPrefix(why, "pinned by rule r") }); told != (it.Source == sourcePinned) {
					t.Errorf("position %d: %+v, answered %+v", i, it, a.Items[i])
				}
				if it.Source == sourcePinned {
					pinned++
				}
			}
			if moved := !slices.Equal(c.want, []string{"a", "b", "c", "d", "gone", "nobody"}); (pinned > 0) != moved {
				t.Errorf("%d items are recorded as pinned", pinned)
			}
		})
	}
}

// TestPinsOfWhatTheVisitorKnows: what was bought is shown again where it is pinned, what the visitor is looking at is not.
func TestPinsOfWhatTheVisitorKnows(t *testing.T) {
	h := shelf(t)
	h.happen(parseEvent(t, "2m a=me type=purchase items=d"))
	h.rule(control.Rule{ID: "r", Name: "Sale", Pin: pins("d", 0, "b", 1)})
	if a := h.ask(`{"placement":"item","anonymous_id":"me","item_ids":["b"],"limit":3}`); ids(a)[0] != "d" || slices.Contains(ids(a), "b") ||
		!slices.Equal(a.Items[0].Reasons, []string{"pinned by rule Sale"}) || a.ServedBy == sourcePinned {
		t.Errorf("%+v", a)
	}
	page := h.do("POST", "/v1/recommend:batch", `{"placements":[{"placement":"popular","limit":2},{"placement":"trending","limit":2}]}`)
	lists := decode[PageAnswer](t, page.Body).Lists
	if first, second := ids(*lists[0]), ids(*lists[1]); !slices.Equal(first, []string{"d", "b"}) || slices.Contains(second, "d") || slices.Contains(second, "b") {
		t.Errorf("a page shows %v and %v", first, second)
	}
}

// TestPinsAndExploration: the place of exploration is never one that a rule has given away, and the propensities say so.
func TestPinsAndExploration(t *testing.T) {
	h := exploringShop(t)
	h.rule(control.Rule{ID: "r", Pin: pins("i9", 3, "i8", 5)})
	h.shelf(control.KindHome, `{"exploration":1,"rotation":false}`)
	explored := map[int]bool{}
	for range 60 {
		a := h.ask(`{"placement":"shelf","limit":6,"explain":true}`)
		if got := ids(a); got[3] != "i9" || got[5] != "i8" {
			t.Fatalf("pinned items stand elsewhere: %v", got)
		}
		for i, it := range a.Items {
			if slices.Contains(it.Reasons, "new here") {
				explored[i] = true
			}
		}
	}
	if !explored[4] || len(explored) != 1 {
		t.Errorf("explored at %v", explored)
	}
	for _, x := range h.logged(60) {
		for i, it := range x.Items {
			if pinned := i == 3 || i == 5; pinned != (*it.Propensity == 1 && i >= 3) {
				t.Errorf("position %d has the propensity %g", i, *it.Propensity)
			}
		}
		if replayed, err := h.serving.replay(t.Context(), x); err != nil || !replayed.Ranking.Identical {
			t.Fatalf("made again as %+v, %v", replayed, err)
		}
	}
}

// TestPinsByHTTP: bad pins are refused.
func TestPinsByHTTP(t *testing.T) {
	h := shelf(t)
	for body, want := range map[string]int{
		`{"pin":[{"item_id":"a","position":0}]}`:                              200,
		`{"pin":[{"item_id":"a","position":100}]}`:                            400,
		`{"pin":[{"item_id":"","position":1}]}`:                               400,
		`{"pin":[{"item_id":"a","position":1},{"item_id":"a","position":2}]}`: 400,
		`{"pin":[{"item_id":"a","position":1},{"item_id":"b","position":1}]}`: 400,
	} {
		if w := h.do("PUT", "/v1/rules/pins", body); w.Code != want {
			t.Errorf("%s: %d %s, want %d", body, w.Code, w.Body, want)
		}
	}
}

// TestPinsOfANewShop: a pin leaves the rest of a list as full as it would be, also where the ladder's last rungs fill it.
func TestPinsOfANewShop(t *testing.T) {
	h := start(t)
	h.put(`{"item_id":"a"}`, `{"item_id":"b"}`, `{"item_id":"c"}`)
	h.rule(control.Rule{ID: "r", Pin: pins("b", 1)})
	for _, placement := range []string{"home", "popular", "recent"} {
		a := h.ask(`{"placement":"` + placement + `","anonymous_id":"new"}`)
		if got := ids(a); len(got) != 3 || got[1] != "b" {
			t.Errorf("%s shows %v", placement, got)
		}
	}
}
