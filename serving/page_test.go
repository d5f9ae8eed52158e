package serving

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// crowdedShop has 20 items that visitors want, the first the most, of two categories, and a visitor of the second.
func crowdedShop(t *testing.T) *house {
	h := start(t)
	var sessions [][]string
	for i := range 20 {
		h.put(fmt.Sprintf(`{"item_id":"%s","title":"Thing %d","categories":["c%d"]}`, itemName(i), i, i%2))
		for v := range 21 - i {
			h.happen(parseEvent(t, fmt.Sprintf("%dh a=v%d type=view_item items=%s", 1+v, v, itemName(i))))
		}
		sessions = append(sessions, []string{itemName(i), itemName((i + 2) % 20), itemName((i + 4) % 20)})
	}
	h.happen(parseEvent(t, "3m a=me type=view_item items=i5 category=c1"))
	h.happen(parseEvent(t, "2m a=me type=view_item items=i7 category=c1"))
	h.train(sessions)
	h.serving.models.poll(t.Context(), testSite)
	h.refresh()
	return h
}

func (h *house) page(body string) PageAnswer {
	h.tb.Helper()
	w := h.do(http.MethodPost, "/v1/recommend:batch", body)
	if w.Code != http.StatusOK {
		h.tb.Fatalf("page %s: %d %s", body, w.Code, w.Body)
	}
	return decode[PageAnswer](h.tb, w.Body)
}

func TestAPageShowsNoItemTwice(t *testing.T) {
	h := crowdedShop(t)
	a := h.page(`{"anonymous_id":"me","exclude_ids":["i0"],"dry_run":true,"placements":[
		{"placement":"popular","limit":4},{"placement":"home","limit":6},{"placement":"item","item_ids":["i5"],"limit":5},{"placement":"popular","limit":3,"exclude_ids":["i6"]}]}`)
	if len(a.Lists) != 4 {
		t.Fatalf("%d lists", len(a.Lists))
	}
	first := ids(h.ask(`{"placement":"popular","limit":4,"exclude_ids":["i0"],"dry_run":true}`))
	if !slices.Equal(ids(*a.Lists[0]), first) {
		t.Errorf("the first list, which comes before all others, is %v, alone %v", ids(*a.Lists[0]), first)
	}
	seen := map[string]string{"i0": "exclude_ids"}
	for i, list := range a.Lists {
		if list.Placement != []string{"popular", "home", "item", "popular"}[i] || len(list.Items) != []int{4, 6, 5, 3}[i] {
			t.Errorf("list %d is %s with %d items", i, list.Placement, len(list.Items))
		}
		for _, id := range ids(*list) {
			if where := seen[id]; where != "" {
				t.Errorf("%s stands in list %d and in %s", id, i, where)
			}
			seen[id] = fmt.Sprintf("list %d", i)
		}
	}
	if slices.Contains(ids(*a.Lists[3]), "i6") {
		t.Error("the last list has what it excludes itself")
	}
	// The second list is the one that a single request gets with the same exclusions.
	excluded, _ := json.Marshal(append(first, "i0"))
	alone := h.ask(fmt.Sprintf(`{"placement":"home","anonymous_id":"me","limit":6,"exclude_ids":%s,"dry_run":true}`, excluded))
	if !slices.Equal(ids(alone), ids(*a.Lists[1])) {
		t.Errorf("on the page %v, alone %v", ids(*a.Lists[1]), ids(alone))
	}
}

func TestPagesThatAreRefused(t *testing.T) {
	h := start(t)
	for body, pointer := range map[string]string{
		`{"placements":[]}`: "/placements",
		`{}`:                "/placements",
		`{"placements":[{"placement":"home"},{"placement":"nowhere"}]}`:                       "/placements/1/placement",
		`{"placements":[{"placement":"home","limit":0}]}`:                                     "/placements/0/limit",
		`{"placements":[{"placement":"home","user_id":"somebody"}]}`:                          "/placements/0",
		`{"placements":[{"placement":"home","dry_run":true}]}`:                                "/placements/0",
		`{"exclude_ids":[""],"placements":[{"placement":"home"}]}`:                            "/exclude_ids/0",
		`{"placements":[{"placement":"home","more":"0190aaaa-0000-7000-8000-000000000000"}]}`: "/placements/0/more",
		`{"placements":[{"placement":"home","filter":"item.prize > 3"}]}`:                     "/placements/0/filter",
	} {
		w := h.do(http.MethodPost, "/v1/recommend:batch", body)
		if p := decode[struct{ Pointer string }](t, w.Body); w.Code < 400 || w.Code > 499 || p.Pointer != pointer {
			t.Errorf("%s: %d at %s, want %s", body, w.Code, p.Pointer, pointer)
		}
	}
	if w := h.do(http.MethodPost, "/v1/recommend:batch", `{"placements":[{"placement":"trending"}]}`, "Authorization", "", "X-Millrace-Key", h.public, "Origin", testOrigin); w.Code != http.StatusForbidden {
		t.Errorf("a page reads a placement that is not open: %d %s", w.Code, w.Body)
	}
}

// More of a list goes on where it ended, through the whole catalogue, and never repeats.
func TestMoreOfAList(t *testing.T) {
	h := crowdedShop(t)
	for _, placement := range []string{"home", "popular"} {
		seen := map[string]bool{}
		more := ""
		for page := range 5 {
			a := h.ask(fmt.Sprintf(`{"placement":"%s","anonymous_id":"me","limit":4,"more":"%s"}`, placement, more))
			if len(a.Items) != 4 {
				t.Errorf("%s, page %d has %d items", placement, page, len(a.Items))
			}
			for _, id := range ids(a) {
				if seen[id] {
					t.Errorf("%s, page %d repeats %s", placement, page, id)
				}
				seen[id] = true
			}
			more = a.RecID
		}
		if a := h.ask(fmt.Sprintf(`{"placement":"%s","limit":4,"more":"%s"}`, placement, more)); len(a.Items) != 0 {
			t.Errorf("%s: after everything come %v", placement, ids(a))
		}
	}
	if w := h.do(http.MethodGet, "/v1/recommend?placement=home&more=nothing", ""); w.Code != http.StatusNotFound {
		t.Errorf("more of nothing: %d %s", w.Code, w.Body)
	}
}

// A list goes on on a node that has not answered it, by its record in the log; one that nobody has is told from one that cannot be looked
// for, and searches in the log are not for everybody at once.
func TestMoreOfAListOfAnotherNode(t *testing.T) {
	h := crowdedShop(t)
	first := h.ask(`{"placement":"popular","limit":4}`)
	h.logged(1)
	h.serving.recent = newRecentLists()
	more := fmt.Sprintf(`{"placement":"popular","limit":4,"more":"%s"}`, first.RecID)
	second := h.ask(more)
	if len(second.Items) != 4 || slices.ContainsFunc(ids(second), func(id string) bool { return slices.Contains(ids(first), id) }) {
		t.Errorf("after %v come %v", ids(first), ids(second))
	}
	expect := func(what, request string, status int) {
		t.Helper()
		if w := h.do(http.MethodPost, "/v1/recommend", request); w.Code != status || status >= 400 && !strings.Contains(w.Body.String(), `"/more"`) {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
	expect("of nobody's list", fmt.Sprintf(`{"placement":"popular","more":"%s"}`, event.NewID(noon)), http.StatusNotFound)
	for range maxMore {
		h.serving.looking <- struct{}{}
	}
	expect("while many look", more, http.StatusServiceUnavailable)
	expect("of a list in memory while many look", fmt.Sprintf(`{"placement":"popular","more":"%s"}`, second.RecID), http.StatusOK)
	<-h.serving.looking
	expect("when one has ended", more, http.StatusOK)
	h.serving.topics = deadLog{}
	expect("while the log is away", more, http.StatusServiceUnavailable)
}

// TestMoreIsOfItsVisitor: a page goes on with lists of its own visitor alone; of another's it learns no more than of one that never was.
func TestMoreIsOfItsVisitor(t *testing.T) {
	h := crowdedShop(t)
	page := []string{"Authorization", "", httpserver.HeaderKey, h.public, "Origin", testOrigin}
	mine := h.ask(`{"placement":"home","anonymous_id":"me","limit":2}`).RecID
	named := h.ask(`{"placement":"home","anonymous_id":"me","user_id":"ada","limit":2}`).RecID
	nobodys := h.ask(`{"placement":"home","limit":2}`).RecID
	_, theirs := h.key(control.NewKey{Site: "other", Kind: control.KeySecret})
	h.must(h.control.PutPlacement(t.Context(), control.Placement{Site: "other", Name: "home", Kind: control.KindHome, Limit: 2, BrowserReadable: true}))
	_, theirPage := h.key(control.NewKey{Site: "other", Kind: control.KeyWrite, Origins: []string{testOrigin}})
	unknown := ""
	for _, c := range []struct {
		name, visitor, more string
		headers             []string
		status              int
	}{
		{"one that never was", `"anonymous_id":"me"`, "0190aaaa-0000-7000-8000-000000000000", page, 404},
		{"the visitor", `"anonymous_id":"me"`, mine, page, 200},
		{"another visitor", `"anonymous_id":"you"`, mine, page, 404},
		{"nobody", `"limit":2`, mine, page, 404},
		{"the browser of a user who is not named any more", `"anonymous_id":"me"`, named, page, 404},
		{"a visitor with nobody's list", `"anonymous_id":"me"`, nobodys, page, 404},
		{"nobody with nobody's", `"limit":2`, nobodys, page, 200},
		{"a server for its visitor", `"anonymous_id":"you"`, mine, nil, 200},
		{"a server of another site", `"anonymous_id":"me"`, mine, bearer(theirs), 404},
		{"a page of another site", `"anonymous_id":"me"`, mine, append(page[:3:3], theirPage, "Origin", testOrigin), 404},
	} {
		w := h.do(http.MethodPost, "/v1/recommend", `{"placement":"home",`+c.visitor+`,"more":"`+c.more+`"}`, c.headers...)
		if w.Code != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, w.Code, w.Body, c.status)
		}
		if w.Code == http.StatusNotFound {
			if unknown == "" {
				unknown = w.Body.String()
			}
			if w.Body.String() != unknown {
				t.Errorf("%s: %s is told from %s", c.name, w.Body, unknown)
			}
		}
	}
	h.expect("what was shown, from a page", 403, ProblemSecretKey, http.MethodGet, "/v1/recommendations/"+mine, "", page...)
	h.expect("what another site was shown", 404, ProblemUnknownList, http.MethodGet, "/v1/recommendations/"+mine, "", bearer(theirs)...)
}

func (h *house) rank(body string) RankAnswer {
	h.tb.Helper()
	w := h.do(http.MethodPost, "/v1/rank", body)
	if w.Code != http.StatusOK {
		h.tb.Fatalf("rank %s: %d %s", body, w.Code, w.Body)
	}
	return decode[RankAnswer](h.tb, w.Body)
}

func TestRankingTheCallersList(t *testing.T) {
	h := crowdedShop(t)
	h.put(`{"item_id":"i9","available":false}`)
	a := h.rank(`{"anonymous_id":"me","item_ids":["ghost2","i18","i9","i4","i11","ghost1","i19","i4"],"dry_run":true}`)
	var order []string
	status := map[string]string{}
	for i, item := range a.Items {
		order, status[item.ItemID] = append(order, item.ItemID), item.Status
		if item.Position != i {
			t.Errorf("%s has the position %d at %d", item.ItemID, item.Position, i)
		}
	}
	if len(order) != 7 || !slices.Equal(order[4:], []string{"i9", "ghost2", "ghost1"}) {
		t.Fatalf("order %v", order)
	}
	if status["i9"] != StatusUnavailable || status["ghost1"] != StatusUnknown || status["i4"] != StatusRanked {
		t.Errorf("status %v", status)
	}
	if i11, i4 := slices.Index(order, "i11"), slices.Index(order, "i4"); i11 > i4 { // of the visitor's category, and close to what was viewed
		t.Errorf("a visitor of c1 gets %v", order)
	}
	if other := h.rank(`{"item_ids":["i18","i11","i4"],"dry_run":true}`); other.Items[0].ItemID != "i4" {
		t.Errorf("a stranger gets %+v, not what is wanted most first", other.Items)
	}
	if dropped := h.rank(`{"item_ids":["i9","i4"],"drop_unavailable":true,"dry_run":true}`); len(dropped.Items) != 1 {
		t.Errorf("with what may not be shown left out: %+v", dropped.Items)
	}
	for _, body := range []string{`{"item_ids":[]}`, `{"item_ids":["a",""]}`, `{"placement":"nowhere","item_ids":["a"]}`} {
		if w := h.do(http.MethodPost, "/v1/rank", body); w.Code < 400 || w.Code > 499 {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

// Whatever is asked, the caller's list comes back whole, its unknown items last and in order.
func TestRankLosesNothing(t *testing.T) {
	h := crowdedShop(t)
	rng := rand.New(rand.NewPCG(4, 4))
	for range 60 {
		given := make([]string, 1+rng.IntN(40))
		for i := range given {
			given[i] = itemName(rng.IntN(30)) // 20 of them exist
		}
		body, _ := json.Marshal(RankRequest{ItemIDs: given, AnonymousID: []string{"", "me", "v3"}[rng.IntN(3)], DryRun: true})
		a := h.rank(string(body))
		var got, unknown, want []string
		for _, item := range a.Items {
			got = append(got, item.ItemID)
			if item.Status == StatusUnknown {
				unknown = append(unknown, item.ItemID)
			}
		}
		for _, id := range given {
			if n := 0; !slices.Contains(want, id) {
				_, _ = fmt.Sscanf(id, "i%d", &n)
				if n >= 20 {
					want = append(want, id)
				}
			}
		}
		if !slices.Equal(unknown, want) || len(want) > 0 && !slices.Equal(got[len(got)-len(want):], want) {
			t.Fatalf("%s: unknown %v, want %v at the end of %v", body, unknown, want, got)
		}
		slices.Sort(got)
		if all := slices.Compact(slices.Sorted(slices.Values(given))); !slices.Equal(got, all) {
			t.Fatalf("%s: %v, want %v", body, got, all)
		}
	}
}

// What a list leaves out is told once, in the order in which it came, and the caller's own list stays as it is.
func TestExcludeTellsEachOnce(t *testing.T) {
	own := append(make([]string, 0, 8), "a", "b")
	q := &Request{ExcludeIDs: own}
	q.exclude([]string{"c", "b", "c", "d"})
	q.exclude(nil)
	if want := []string{"a", "b", "c", "d"}; !slices.Equal(q.ExcludeIDs, want) || own[:3][2] != "" {
		t.Errorf("%q of %q", q.ExcludeIDs, own[:3])
	}
}
