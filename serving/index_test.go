package serving

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/event"
)

// randomItem says something of what the index knows of.
func randomItem(rng *rand.Rand, i int) Item {
	it := Item{ItemID: itemName(i), Available: rng.IntN(3) > 0}
	for c := range rng.IntN(4) {
		it.Categories = append(it.Categories, fmt.Sprintf("c%d", 3*c+rng.IntN(3)))
	}
	if rng.IntN(3) > 0 {
		it.Brand = fmt.Sprintf("b%d", rng.IntN(5))
	}
	if rng.IntN(3) == 0 {
		it.Labels = []string{fmt.Sprintf("l%d", rng.IntN(3)), "l9"}
	}
	if rng.IntN(4) > 0 {
		it.Price = new(float64(rng.IntN(2_000)) / 7)
	}
	return it
}

// randomCondition is one that about a tenth to a half of the items meet, or none.
func randomCondition(rng *rand.Rand) condition {
	switch rng.IntN(5) {
	case 0:
		return condition{field: facetAvailable}
	case 1:
		return condition{field: facetCategory, values: []string{fmt.Sprintf("c%d", rng.IntN(10)), "c1", "nothing"}[rng.IntN(2):]}
	case 2:
		return condition{field: facetBrand, values: []string{fmt.Sprintf("b%d", rng.IntN(6))}}
	case 3:
		return condition{field: facetLabel, values: []string{"l9", "l1"}[:1+rng.IntN(2)]}
	}
	low := rng.Float64() * 200
	return condition{field: facetPrice, low: low, high: low + rng.Float64()*100 - 10}
}

// meets is the plain rule.
func (w condition) meets(r *Row) bool {
	switch w.field {
	case facetAvailable:
		return r.Available
	case facetCategory:
		return slices.ContainsFunc(r.Categories, func(c string) bool { return slices.Contains(w.values, c) })
	case facetBrand:
		return slices.Contains(w.values, r.Brand)
	case facetLabel:
		return slices.ContainsFunc(r.Labels(), func(l string) bool { return slices.Contains(w.values, l) })
	}
	return r.Price != nil && *r.Price >= w.low && *r.Price <= w.high
}

// compareIndex asks the index and looks at every row, and expects the same: everything that meets the conditions is found, and
// nothing else but neighbours in price.
func compareIndex(t *testing.T, c *Catalogue, conditions []condition) {
	t.Helper()
	found := c.narrow(testSite, conditions)
	c.all(testSite, func(r *Row) bool {
		meets, exactly := !r.Deleted, !r.Deleted
		for _, w := range conditions {
			meets = meets && w.meets(r)
			if w.field != facetPrice {
				exactly = exactly && w.meets(r)
			} else {
				exactly = exactly && w.low <= w.high && r.Price != nil && priceStep(*r.Price) >= priceStep(w.low) && priceStep(*r.Price) <= priceStep(w.high)
			}
		}
		if has := found.Contains(r.number); meets && !has || has != exactly {
			t.Errorf("%+v: item %s of row %+v is found %v, meets them %v", conditions, r.ItemID, r, has, meets)
		}
		return !t.Failed()
	})
}

// Whatever is written in whatever order, the index finds what looking at every row finds, and numbers and rows belong together.
func TestIndexIsAScanOfTheRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	c := &Catalogue{sites: map[string]*siteItems{}, shared: newSharedTexts()}
	revisions := map[string]int64{}
	for range 60 {
		rows := make([]*Row, 1+rng.IntN(2*forceRows))
		for i := range rows {
			it := randomItem(rng, rng.IntN(700))
			whole := event.CatalogueRow{Site: testSite, CatalogueItem: it, BaseRevision: revisions[it.ItemID], Deleted: rng.IntN(10) == 0}
			if rng.IntN(10) == 0 {
				whole.BaseRevision-- // it lost against another writer
			} else {
				revisions[it.ItemID]++
			}
			whole.Revision = whole.BaseRevision + 1
			rows[i] = newRow(&whole, c.shared)
		}
		c.force(rows, comesNext)
		for range 10 {
			conditions := []condition{randomCondition(rng), randomCondition(rng), randomCondition(rng)}[rng.IntN(3):]
			compareIndex(t, c, conditions)
		}
	}
	live := 0
	for id, revision := range revisions {
		row := c.row(testSite, id)
		if revision == 0 {
			continue
		}
		if row == nil || row.Revision != revision {
			t.Fatalf("item %s is %+v, want revision %d", id, row, revision)
		}
		if got := c.numbered(nil, testSite, []uint32{row.number}); got[0] != row {
			t.Errorf("number %d is %+v, want %+v", row.number, got[0], row)
		}
		if got := c.lookup(nil, testSite, []string{"nobody", id}); got[0] != nil || got[1] != row {
			t.Errorf("looked up %+v, want %+v", got, row)
		}
		if !row.Deleted {
			live++
		}
	}
	if n := c.size(testSite); n != live {
		t.Errorf("%d live items, want %d", n, live)
	}
	if sets := c.sites[testSite].index.sets; len(sets) > 2+12+5+4+priceSteps {
		t.Errorf("%d bitmaps: empty ones stay", len(sets))
	}
}

// Readers look things up while rows come into force: what they find belongs together, and an item never goes back.
func TestReadersOfTheIndexBesideWriters(t *testing.T) {
	c := &Catalogue{sites: map[string]*siteItems{}, shared: newSharedTexts()}
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 7))
			newest := map[string]int64{}
			for ctx.Err() == nil {
				found := c.narrow(testSite, []condition{randomCondition(rng), {field: facetAvailable}})
				for _, row := range c.numbered(nil, testSite, found.ToArray()) {
					if row == nil || row.Revision < newest[row.ItemID] {
						t.Errorf("found %+v after revision %d", row, newest[row.ItemID])
						return
					}
					newest[row.ItemID] = row.Revision
				}
				if rows, _ := c.page(testSite, itemName(rng.IntN(300)), 20); !slices.IsSortedFunc(rows, func(a, b *Row) int { return slices.Compare([]string{a.ItemID}, []string{b.ItemID}) }) {
					t.Error("a page is out of order")
				}
			}
		})
	}
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 8))
			for range 60 {
				rows := make([]*Row, 100)
				for i := range rows {
					it := randomItem(rng, 2*rng.IntN(150)+w)
					rows[i] = rowOf(it)
				}
				c.force(rows, func(current, row *Row) verdict {
					if row.Revision = 1; current != nil {
						row.Revision = current.Revision + 1
					}
					return changed
				})
			}
		})
	}
	writers.Wait()
	stop()
	readers.Wait()
	compareIndex(t, c, []condition{{field: facetAvailable}})
}
