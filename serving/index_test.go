package serving

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/filter"
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
	if rng.IntN(2) == 0 {
		it.Title = fmt.Sprint("item ", rng.IntN(100))
	}
	if rng.IntN(3) > 0 {
		it.PublishedAt = noon.Add(-time.Duration(rng.IntN(10*24*3600)) * time.Second)
	}
	if rng.IntN(4) == 0 {
		it.ExpiresAt = noon.Add(time.Duration(rng.IntN(200)-100) * time.Hour)
	}
	if rng.IntN(4) > 0 {
		it.Price = new(float64(rng.IntN(2_000)) / 7)
	}
	return it
}

// randomFilter asks for about a tenth to a half of the items; parts of it ask what the index does not tell.
func randomFilter(rng *rand.Rand) string {
	simple := []string{
		`item.available`, fmt.Sprintf(`"c%d" in item.categories`, rng.IntN(10)), `item.brand in ["b1", "b4", "nothing"]`,
		fmt.Sprintf(`item.brand == "b%d"`, rng.IntN(6)), `"l9" in item.labels`, fmt.Sprintf(`item.price < %d.5`, rng.IntN(300)),
		fmt.Sprintf(`item.price >= %d.5`, rng.IntN(300)), `item.item_id in ["i1", "i70", "i200", "nobody"]`, `item.brand != "b2"`,
		`!(item.brand in ["b1", "b2"])`, `!("c4" in item.categories)`, `!item.available`, `has(item.price)`, `!has(item.expires_at)`, fmt.Sprintf(`item.price == %d.0`, rng.IntN(20)),
		`item.price != 3.0`, fmt.Sprintf(`item.published_at > now - duration("%dh")`, rng.IntN(200)), `!(item.published_at <= timestamp("2026-02-27T00:00:00Z"))`,
		`item.title.contains("7")`, `size(item.labels) > 1`, `(item.available ? item.price < 100.0 : "c2" in item.categories)`,
	}
	one := func() string { return simple[rng.IntN(len(simple))] }
	return []string{one(), one() + " && " + one(), one() + " || " + one(), one() + " && (" + one() + " || " + one() + " && " + one() + ")"}[rng.IntN(4)]
}

// compareIndex asks the index and looks at every row: what matches is found, and nothing else.
func compareIndex(t *testing.T, c *Catalogue, text string) {
	t.Helper()
	program, err := filter.Compile(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	bound := program.Bind(&filter.Values{Now: noon})
	conditions, rest := bound.Narrow()
	narrowed := c.narrow(testSite, conditions)
	c.all(testSite, func(r *Row) bool {
		has := (narrowed == nil && !r.Deleted || narrowed != nil && narrowed.Contains(r.number)) && (rest == nil || rest.Match(r))
		if matches := !r.Deleted && bound.Match(r); matches != has {
			t.Errorf("%s: item %s of row %+v is found %v, matches %v", text, r.ItemID, r, has, matches)
		}
		return !t.Failed()
	})
}

// What the index alone answers is not asked of rows once more.
func TestIndexDecidesAlone(t *testing.T) {
	for text, decided := range map[string]bool{
		`item.available && "c1" in item.categories && !(item.brand == "b1")`:  true,
		`item.price > 100.0 && item.price < 150.0 || item.published_at > now`: true,
		`item.price > 100.0 && item.title == "x"`:                             false,
	} {
		program, err := filter.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, rest := program.Bind(&filter.Values{Now: noon}).Narrow(); (rest == nil) != decided {
			t.Errorf("%s: decided %v, want %v", text, rest == nil, decided)
		}
	}
	c := &Catalogue{sites: map[string]*siteItems{}, shared: newSharedTexts()}
	if n := c.narrow("no site", []filter.Condition{{Op: filter.OpTrue, Field: filter.FieldAvailable}}); n == nil || !n.IsEmpty() {
		t.Errorf("a site without items has %v", n)
	}
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
			compareIndex(t, c, randomFilter(rng))
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
	if sets := c.sites[testSite].index.sets; len(sets) > 2+12+5+4+1 {
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
				found := c.narrow(testSite, []filter.Condition{
					{Op: filter.OpTrue, Field: filter.FieldAvailable}, {Op: filter.OpIn, Field: filter.FieldBrand, Texts: []string{"b1", "b2"}},
				})
				for _, row := range c.numbered(nil, testSite, found.ToArray()) {
					if row == nil || row.Revision < newest[row.ItemID] {
						t.Errorf("found %+v after revision %d", row, newest[row.ItemID])
						return
					}
					newest[row.ItemID] = row.Revision
				}
				if rows, _ := c.page(testSite, itemName(rng.IntN(300)), 20, nil); !slices.IsSortedFunc(rows, func(a, b *Row) int { return slices.Compare([]string{a.ItemID}, []string{b.ItemID}) }) {
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
	compareIndex(t, c, "item.available")
}
