package serving

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
)

// TestInvariants asks thousands of random questions of random shops and checks what must hold whatever the models say:
// no item that is unavailable, expired, deleted, excluded or filtered out, none twice, no two of one group, positions and scores in
// order, and no empty list while an item may be shown.
func TestInvariants(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for shop := range 12 {
		h := start(t)
		size := 1 + rng.IntN(30)
		stockRandomly(h, rng, size)
		for range 150 {
			askRandomly(t, h, rng, shop, size)
			if rng.IntN(20) == 0 { // the catalogue moves between two questions
				h.put(randomRow(rng, rng.IntN(size)))
			}
		}
	}
}

func itemName(i int) string { return fmt.Sprintf("i%d", i) }

func randomRow(rng *rand.Rand, i int) string {
	row := map[string]any{"item_id": itemName(i), "available": rng.IntN(3) > 0, "item_group_id": nil, "expires_at": nil}
	if rng.IntN(3) == 0 {
		row["item_group_id"] = fmt.Sprintf("g%d", rng.IntN(4))
	}
	if rng.IntN(4) == 0 {
		row["expires_at"] = noon.Add(time.Duration(rng.IntN(3)-1) * time.Second)
	}
	if rng.IntN(2) == 0 {
		row["categories"] = []string{fmt.Sprintf("c%d", rng.IntN(3))}
	}
	if rng.IntN(3) > 0 {
		row["price"] = rng.IntN(60)
	}
	raw, _ := json.Marshal(row)
	return string(raw)
}

// stockRandomly gives a shop rows, and what liveRandomly does.
func stockRandomly(h *house, rng *rand.Rand, size int) {
	for i := range size {
		if rng.IntN(4) > 0 {
			h.put(randomRow(rng, i))
		}
		if rng.IntN(8) == 0 && h.serving.catalogue.row(testSite, itemName(i)) != nil {
			h.do("DELETE", "/v1/items/"+itemName(i), "")
		}
	}
	liveRandomly(h, rng, size)
}

// liveRandomly gives a shop events, a model and trends; each shop has other parts missing.
func liveRandomly(h *house, rng *rand.Rand, size int) {
	if rng.IntN(4) > 0 {
		for v := range rng.IntN(40) {
			kind := []string{"view_item", "view_item", "purchase", "add_to_cart"}[rng.IntN(4)]
			h.happen(parseEvent(h.tb, fmt.Sprintf("%dm a=b%d type=%s items=%s category=c%d", 60-v, rng.IntN(4), kind, itemName(rng.IntN(size)), rng.IntN(3))))
		}
		h.refresh()
	}
	if rng.IntN(4) > 0 {
		var sessions [][]string
		for range 1 + rng.IntN(20) {
			var session []string
			for range 2 + rng.IntN(4) {
				session = append(session, itemName(rng.IntN(size)))
			}
			sessions = append(sessions, session)
		}
		h.train(sessions)
		h.serving.models.poll(h.tb.Context(), testSite)
	}
}

// randomRequest asks a shop of so many items for a list at one of the placements.
func randomRequest(rng *rand.Rand, placements []string, size int) *Request {
	request := &Request{Placement: placements[rng.IntN(len(placements))], DryRun: true}
	if rng.IntN(2) == 0 {
		request.AnonymousID = fmt.Sprintf("b%d", rng.IntN(5))
	}
	limit := 1 + rng.IntN(size+2)
	request.Limit = &limit
	least := 0
	if request.Placement == control.KindItem || request.Placement == control.KindCart {
		least = 1
	}
	for range least + rng.IntN(4-least) {
		request.ItemIDs = append(request.ItemIDs, itemName(rng.IntN(size+1)))
	}
	if rng.IntN(2) == 0 {
		for range rng.IntN(size + 1) {
			request.ExcludeIDs = append(request.ExcludeIDs, itemName(rng.IntN(size)))
		}
	}
	if rng.IntN(2) == 0 {
		request.Filter = slices.Sorted(maps.Keys(testFilters))[rng.IntN(len(testFilters))]
		request.Context = Context{"budget": "30"}
	}
	if rng.IntN(4) == 0 {
		request.Boost = []Boost{{Filter: `"c1" in item.categories`, By: 3}, {Expr: "item.price / 20"}}
	}
	if rng.IntN(4) == 0 {
		diversity := rng.Float64()
		request.Diversity = &diversity
	}
	return request
}

func askRandomly(t *testing.T, h *house, rng *rand.Rand, shop, size int) {
	t.Helper()
	request := randomRequest(rng, control.Kinds(), size)
	body, err := json.Marshal(request)
	h.must(err)
	answer := h.ask(string(body))
	for _, fault := range faults(h, request, answer, *request.Limit) {
		t.Errorf("shop %d, request %s: %s\n%+v", shop, body, fault, answer)
	}
}

// testFilters are filters, and the same said once more.
var testFilters = map[string]func(*Item) bool{
	`"c1" in item.categories`:                      func(it *Item) bool { return slices.Contains(it.Categories, "c1") },
	`item.price < context.budget`:                  func(it *Item) bool { return it.Price != nil && *it.Price < 30 },
	`!has(item.price) || item.item_group_id != ""`: func(it *Item) bool { return it.Price == nil || it.ItemGroupID != "" },
	`item.item_id in ["i1", "i2", "i3"]`:           func(it *Item) bool { return slices.Contains([]string{"i1", "i2", "i3"}, it.ItemID) },
	`"c1" in item.categories && item.price < 20 || "c0" in item.categories`: func(it *Item) bool {
		return slices.Contains(it.Categories, "c1") && it.Price != nil && *it.Price < 20 || slices.Contains(it.Categories, "c0")
	},
	`item.brand == "nobody"`: func(*Item) bool { return false },
}

// matches is the plain rule of the request's filter.
func (q *Request) matches(h *house, id string) bool {
	if q.Filter == "" {
		return true
	}
	row := h.serving.catalogue.row(testSite, id)
	if row != nil {
		return testFilters[q.Filter](row.Item())
	}
	item := &Item{ItemID: id}
	if it := h.serving.trends.of(testSite).items[id]; it != nil {
		item.Price, item.Categories = it.price, []string{it.category}
	}
	return testFilters[q.Filter](item)
}

// unfilled are items that a filtered list of what is popular lacks although it has room for them.
func unfilled(h *house, request *Request, a Answer, limit int) (found []string) {
	if len(a.Items) >= limit || request.Filter == "" || request.Placement != control.KindPopular && request.Placement != control.KindTrending {
		return nil
	}
	shown, groups := map[string]bool{}, map[string]bool{"": false}
	for _, item := range a.Items {
		shown[item.ItemID] = true
		if row := h.serving.catalogue.row(testSite, item.ItemID); row != nil && row.ItemGroupID() != "" {
			groups[row.ItemGroupID()] = true
		}
	}
	h.serving.catalogue.all(testSite, func(row *Row) bool {
		if row.eligible(noon) && !shown[row.ItemID] && !groups[row.ItemGroupID()] && !slices.Contains(request.ExcludeIDs, row.ItemID) && request.matches(h, row.ItemID) {
			found = append(found, "it has room for "+row.ItemID+", which matches")
		}
		return true
	})
	return found
}

// faults are the broken invariants of an answer.
func faults(h *house, request *Request, a Answer, limit int) (found []string) {
	groups, seen := map[string]bool{}, map[string]bool{}
	for i, item := range a.Items {
		row := h.serving.catalogue.row(testSite, item.ItemID)
		switch {
		case seen[item.ItemID]:
			found = append(found, item.ItemID+" stands twice")
		case slices.Contains(request.ExcludeIDs, item.ItemID):
			found = append(found, item.ItemID+" is excluded")
		case !request.matches(h, item.ItemID):
			found = append(found, item.ItemID+" does not match the filter")
		case row != nil && (row.Deleted || !row.Available || !row.ExpiresAt().IsZero() && !noon.Before(row.ExpiresAt())):
			found = append(found, item.ItemID+" may not be shown")
		case row != nil && row.ItemGroupID() != "" && groups[row.ItemGroupID()]:
			found = append(found, item.ItemID+" is the second of its group")
		case item.Position != i:
			found = append(found, item.ItemID+" has a wrong position")
		case i > 0 && item.Score > a.Items[i-1].Score:
			found = append(found, item.ItemID+" scores higher than the one before it")
		case len(item.Reasons) == 0:
			found = append(found, item.ItemID+" has no reason")
		}
		seen[item.ItemID] = true
		if row != nil {
			groups[row.ItemGroupID()] = row.ItemGroupID() != ""
		}
	}
	if len(a.Items) > limit {
		found = append(found, "the list is longer than its limit")
	}
	if len(a.Items) == 0 {
		h.serving.catalogue.all(testSite, func(row *Row) bool {
			if row.eligible(noon) && !slices.Contains(request.ExcludeIDs, row.ItemID) && request.matches(h, row.ItemID) {
				found = append(found, "empty although "+row.ItemID+" may be shown")
			}
			return true
		})
		for id := range h.serving.trends.of(testSite).items {
			if h.serving.catalogue.row(testSite, id) == nil && !slices.Contains(request.ExcludeIDs, id) && request.matches(h, id) {
				found = append(found, "empty although "+id+" of the events may be shown")
			}
		}
	}
	return append(found, unfilled(h, request, a, limit)...)
}
