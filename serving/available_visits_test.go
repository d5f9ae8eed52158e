package serving

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// visit is one list of an answer, and what it was asked for.
type visit struct {
	node         int
	began, ended int64
	request      *Request // with all that it leaves out
	rank         bool     // the list is the caller's own in another order
	shown        []string
}

// marketVisitor asks one node for lists, in every way that the API has.
type marketVisitor struct {
	*market
	rng    *rand.Rand
	node   int
	visits []*visit
	last   *visit // whose list is remembered
	recID  string // of that list
}

// browse asks until ctx ends.
func (v *marketVisitor) browse(ctx context.Context) {
	for pause(ctx, browseEvery) == nil && !v.t.Failed() {
		switch v.rng.IntN(6) {
		case 0:
			v.page()
		case 1:
			v.rank()
		case 2:
			v.more()
		default:
			v.list(v.request())
		}
	}
}

func (v *marketVisitor) request() *Request {
	request := randomRequest(v.rng, v.placements, len(v.wares))
	request.DryRun, request.Explain = v.rng.IntN(2) == 0, v.rng.IntN(8) == 0
	return request
}

// ask sends a request and reads the answer, and notes between which times that was.
func (v *marketVisitor) ask(path string, request, answer any) (made visit, ok bool) {
	body, err := json.Marshal(request)
	if err != nil {
		v.t.Error(err)
		return made, false
	}
	made = visit{node: v.node, began: v.clock.Add(1)}
	r := v.nodes[v.node].do(http.MethodPost, path, string(body))
	made.ended = v.clock.Add(1)
	if err := json.Unmarshal(r.Body.Bytes(), answer); err != nil || r.Code != http.StatusOK {
		v.t.Errorf("%s: %d %s", body, r.Code, r.Body)
		return made, false
	}
	return made, true
}

// list asks for one list.
func (v *marketVisitor) list(request *Request) {
	var answer Answer
	made, ok := v.ask("/v1/recommend", request, &answer)
	if !ok {
		return
	}
	made.request, made.shown = request, ids(answer)
	v.visits = append(v.visits, &made)
	if !request.DryRun {
		v.last, v.recID = &made, answer.RecID
	}
}

// more asks for what comes after the last list.
func (v *marketVisitor) more() {
	if v.last == nil {
		return
	}
	request, before := v.request(), v.last
	request.More = v.recID
	v.list(request)
	request.exclude(before.request.ExcludeIDs)
	request.exclude(before.shown)
}

// page asks for several lists at once.
func (v *marketVisitor) page() {
	page := PageRequest{ExcludeIDs: []string{v.wares[v.rng.IntN(len(v.wares))].id}, DryRun: v.rng.IntN(2) == 0}
	for range 1 + v.rng.IntN(3) {
		request := v.request()
		page.AnonymousID, request.AnonymousID, request.DryRun = request.AnonymousID, "", false
		page.Placements = append(page.Placements, *request)
	}
	var answer PageAnswer
	made, ok := v.ask("/v1/recommend:batch", page, &answer)
	shown := page.ExcludeIDs
	for i := range answer.Lists {
		if !ok {
			return
		}
		one := made
		one.request, one.shown = &page.Placements[i], ids(*answer.Lists[i])
		one.request.exclude(shown)
		shown = append(shown, one.shown...)
		v.visits = append(v.visits, &one)
	}
}

// rank asks for all items in the order that suits a visitor; an item that is marked as not available is not shown.
func (v *marketVisitor) rank() {
	request := RankRequest{AnonymousID: fmt.Sprintf("b%d", v.rng.IntN(5)), DryRun: v.rng.IntN(2) == 0, DropUnavailable: v.rng.IntN(2) == 0}
	for _, w := range v.wares {
		request.ItemIDs = append(request.ItemIDs, w.id)
	}
	var answer RankAnswer
	made, ok := v.ask("/v1/rank", request, &answer)
	if !ok {
		return
	}
	made.request, made.rank = &Request{}, true
	for _, item := range answer.Items {
		if item.Status == StatusRanked {
			made.shown = append(made.shown, item.ItemID)
		}
	}
	v.visits = append(v.visits, &made)
}

// judge looks for what no answer may have.
func (m *market) judge(visits []*visit) {
	byID := map[string]*ware{}
	gone := 0
	for _, w := range m.wares {
		byID[w.id] = w
		gone += len(w.gone)
	}
	out := 0 // of lists, because they were away: without some, nothing was tried
	for _, v := range visits {
		for _, fault := range m.faults(byID, v) {
			m.t.Errorf("node %d, %+v: %s\nshown %v", v.node, *v.request, fault, v.shown)
		}
		for _, w := range m.wares {
			if slices.ContainsFunc(w.gone, func(a absence) bool { return a.covers(v) }) {
				out++
			}
		}
	}
	slices.Sort(m.lags)
	if len(m.lags) == 0 || out == 0 || m.t.Failed() {
		m.t.Fatalf("%d answers, %d writes, %d items away while asked", len(visits), len(m.lags), out)
	}
	m.t.Logf("%d items were taken away %d times; %d answers kept %d out; the other node had a write %v after its answer (median), %v at the latest",
		len(m.wares), gone, len(visits), out, m.lags[len(m.lags)/2].Round(time.Microsecond), m.lags[len(m.lags)-1].Round(time.Microsecond))
}

func (m *market) faults(byID map[string]*ware, v *visit) (found []string) {
	seen, groups := map[string]bool{}, map[string]bool{}
	for _, id := range v.shown {
		w := byID[id]
		switch {
		case w == nil:
			found = append(found, id+" was never in the shop")
			continue
		case seen[id]:
			found = append(found, id+" stands twice")
		case slices.Contains(v.request.ExcludeIDs, id):
			found = append(found, id+" is excluded")
		case slices.ContainsFunc(w.gone, func(a absence) bool { return a.covers(v) }):
			found = append(found, id+" is not available")
		case !v.rank && w.item != nil && w.item.ItemGroupID != "" && groups[w.item.ItemGroupID]:
			found = append(found, id+" is the second of its group")
		case w.item != nil && !w.fits(v.request):
			found = append(found, id+" does not match the filter")
		}
		seen[id] = true
		if w.item != nil {
			groups[w.item.ItemGroupID] = true
		}
	}
	for _, w := range m.wares[:marketKept] {
		if (len(v.shown) == 0 || v.rank && !seen[w.id]) && w.fits(v.request) && !slices.Contains(v.request.ExcludeIDs, w.id) {
			found = append(found, "without "+w.id+", which may be shown")
		}
	}
	return found
}

// fits reports whether the filter of a request matches what the item's row says.
func (w *ware) fits(request *Request) bool {
	return request.Filter == "" || testFilters[request.Filter](w.item)
}
