package serving

import (
	"fmt"
	"testing"
)

// broadShop has so many items, of which sessions say something.
func broadShop(t *testing.T, items int) *house {
	h := newHouse(t).open()
	rows := make([]*Row, items)
	for i := range rows {
		price := float64(i % 100)
		rows[i] = rowOf(Item{
			ItemID: itemName(i), Title: fmt.Sprintf("Item %d", i), Categories: []string{fmt.Sprintf("c%d", i%7)}, Brand: fmt.Sprintf("b%d", i%11),
			Price: &price, Currency: "EUR", Available: true,
		})
	}
	h.serving.catalogue.stock(rows...)
	sessions := make([][]string, 400)
	for i := range sessions {
		sessions[i] = []string{"i1", itemName(2 + i%300), itemName(3 + i%300), itemName(4 + i%150)}
	}
	h.train(sessions)
	h.serving.models.poll(t.Context(), testSite)
	for i := range 30 {
		h.happen(parseEvent(t, fmt.Sprintf("%dm a=fan type=view_item items=%s category=c%d", 60-i, itemName(2+i), i%5)))
	}
	h.refresh()
	return h
}

// allocations are the least that a list of 12 items takes, once its working memory is there, and the list's length.
func (h *house) allocations(q Request) (least float64, shown int) {
	h.tb.Helper()
	limit := 12
	q.Limit, q.DryRun = &limit, true
	if p := q.check(); p != nil {
		h.tb.Fatal(p)
	}
	if p := q.compile(h.serving.filters); p != nil {
		h.tb.Fatal(p)
	}
	placement, p := h.serving.placement(h.tb.Context(), testSite, q.Placement)
	if p != nil {
		h.tb.Fatal(p)
	}
	mem := newScratch() // of the test's own: a pool loses some where races are looked for
	ask := func() {
		h.serving.meet(h.tb.Context(), mem, testSite, &q)
		shown = len(h.serving.list(h.tb.Context(), mem, noon, testSite, placement, &q).Items)
		mem.visitor.reset()
		mem.again()
	}
	least = testing.AllocsPerRun(1, ask)
	for range 4 { // whoever else is at work takes memory now and then, too
		least = min(least, testing.AllocsPerRun(1, ask))
	}
	return least, shown
}

// A filter takes some memory for itself, none for the items of the shop that it judges, and none for candidates: not where the index decides,
// not where rows are asked before anything is proposed, nor where candidates are, because the shop has too many rows.
func TestFiltersAllocateNothingPerItem(t *testing.T) {
	const own = 24 // conditions, what was bound, what answers them
	filters := []string{
		`item.available && item.price < 50.0 && item.brand != "b7"`,
		`item.available && item.price < 50.0 && "c3" in item.categories`,
		`item.available && item.price < 99.0 && item.title != "Item 7"`,
	}
	for _, size := range []int{2_000, 17_000} {
		h := broadShop(t, size)
		for _, request := range []Request{
			{Placement: "item", ItemIDs: []string{"i1"}},
			{Placement: "home", AnonymousID: "fan"},
			{Placement: "popular"},
		} {
			plain, shown := h.allocations(request)
			if shown != 12 {
				t.Fatalf("%s shows %d items", request.Placement, shown)
			}
			for _, filter := range filters {
				request.Filter = filter
				filtered, shown := h.allocations(request)
				if shown != 12 {
					t.Fatalf("%s with %s shows %d items", request.Placement, filter, shown)
				}
				t.Logf("%d items, %s: %.0f allocations, %.0f with %s", size, request.Placement, plain, filtered, filter)
				if filtered > plain+own {
					t.Errorf("%d items, %s: %.0f allocations, %.0f with %s", size, request.Placement, plain, filtered, filter)
				}
			}
		}
	}
}
