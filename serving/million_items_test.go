package serving

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/onlinestore"
)

// usualItem is an article as shops have them: a title of seven words, two addresses, a path of three categories, one of thousands of
// brands, sometimes a label, and two fields of the shop's own.
func usualItem(rng *rand.Rand, zipf *rand.Zipf, i int) Item {
	words := make([]string, 7)
	for w := range words {
		words[w] = spoken(zipf.Uint64())
	}
	top, middle := rng.IntN(20), rng.IntN(12)
	title := strings.Join(words, " ")
	var labels []string
	if rng.IntN(4) == 0 {
		labels = []string{[]string{"sale", "new", "last pieces", "organic"}[rng.IntN(4)]}
	}
	return Item{
		ItemID: millionID(int32(i)), Labels: labels, Title: title, Brand: fmt.Sprintf("Brand %d", rng.IntN(3_000)), Available: rng.IntN(20) > 0,
		Categories: []string{fmt.Sprintf("Top %d", top), fmt.Sprintf("Middle %d.%d", top, middle), fmt.Sprintf("Leaf %d.%d.%d", top, middle, rng.IntN(8))},
		Price:      new(float64(rng.IntN(20_000)) / 100), Currency: "EUR", URL: "https://shop.example/p/" + strings.ReplaceAll(title, " ", "-"),
		ImageURL: fmt.Sprintf("https://images.shop.example/articles/%07d/large.jpg", i), PublishedAt: noon.Add(-time.Duration(rng.IntN(1e6)) * time.Second),
		Fields: map[string]any{"colour": fmt.Sprintf("colour%d", rng.IntN(12)), "material": fmt.Sprintf("material %d", rng.IntN(30))},
	}
}

// spoken is a word of two to four syllables, always the same of one number.
func spoken(n uint64) (word string) {
	rng := rand.New(rand.NewPCG(n, 3))
	for range 2 + rng.IntN(3) {
		word += []string{"b", "br", "d", "f", "gr", "k", "l", "m", "n", "p", "r", "s", "st", "t", "v", "w"}[rng.IntN(16)] +
			[]string{"a", "e", "i", "o", "u", "ai", "ea", "or", "an", "in"}[rng.IntN(10)]
	}
	return word
}

func millionID(i int32) string { return fmt.Sprintf("sku-%07d", i) }

// onlineRows puts rows into the online store, many at once.
type onlineRows struct {
	h    *house
	rows []onlinestore.Row
}

func (o *onlineRows) add(row onlinestore.Row) {
	o.rows = append(o.rows, row)
	if len(o.rows) == 10_000 {
		o.flush()
	}
}

func (o *onlineRows) flush() {
	o.h.must(o.h.online.Put(o.h.tb.Context(), o.rows))
	o.rows = o.rows[:0]
}

// stockCatalogue puts the rows of so many items into the online store, as a node finds them that starts, and tells each.
func (h *house) stockCatalogue(n int, each func(i int, it *Item)) {
	rng := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(rng, 1.05, 4, 200_000)
	put := onlineRows{h: h}
	for i := range n {
		row := keptRow{CatalogueRow: event.CatalogueRow{Site: testSite, CatalogueItem: usualItem(rng, zipf, i), Revision: 1, UpdatedAt: noon}, CreatedAt: noon}
		value, err := encodeRow(row)
		h.must(err)
		put.add(onlinestore.Row{Key: onlinestore.CatalogKey(testSite, row.ItemID), Version: itemRowVersion, Epoch: 1, Offset: int64(i), Value: value})
		each(i, &row.CatalogueItem)
	}
	put.flush()
}

// stockAggregates puts into the online store what events say of items: of those that are clicked in the sessions, as often as they are,
// and of every other one that it was viewed once. The visitor of a session, session-N, has its profile.
func (h *house) stockAggregates(items []*Item, sessions *model.Sessions, visitors int) {
	aggregates := make([]feature.ItemAggregate, len(items))
	view := func(browser string, item int32, at time.Time) *event.Event {
		it := items[item]
		return &event.Event{
			EventID: event.NewID(at), Type: event.ViewItem, Site: testSite, AnonymousID: browser, OccurredAt: at, ReceivedAt: at,
			Items: []event.Item{{ItemID: it.ItemID, ItemName: it.Title, ItemCategory: it.Categories[0], ItemBrand: it.Brand, Price: it.Price}},
		}
	}
	put := onlineRows{h: h}
	add := func(key string, value []byte) {
		put.add(onlinestore.Row{Key: key, Version: feature.Version, Epoch: 1, Offset: 1, Value: value})
	}
	for s := range sessions.Len() {
		clicked, times := sessions.At(s)
		browser := fmt.Sprintf("session-%d", s)
		var profile feature.Profile
		for n, item := range clicked {
			e := view(browser, item, time.UnixMilli(times[n]).UTC())
			aggregates[item].Apply(e, &e.Items[0])
			profile.Apply(e)
		}
		if s < visitors {
			add(onlinestore.ProfileKey(onlinestore.Partial{Site: testSite, Kind: onlinestore.KindBrowser, ID: browser}), profile.Encode(nil))
		}
	}
	for i := range aggregates {
		if aggregates[i].Events == 0 {
			e := view("once", int32(i), noon.AddDate(0, 0, -20))
			aggregates[i].Apply(e, &e.Items[0])
		}
		add(onlinestore.ItemKey(onlinestore.ItemShare{Site: testSite, Item: items[i].ItemID}), aggregates[i].Encode(nil))
	}
	put.flush()
}

// TestAnItemTakesLittle would fail if a row of usual texts, with its place in the index and among similar items, took a tenth more memory
// than it does. Among a million an item takes half of that: the words of 10,000 come up in few of them, and each has its list.
func TestAnItemTakesLittle(t *testing.T) {
	const items, most = 10_000, 1_850
	h := newHouse(t).open()
	h.stockCatalogue(items, func(int, *Item) {})
	live := func() int64 {
		runtime.GC()
		runtime.GC() // what the first one finalised
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	h.must(h.online.Scan(t.Context(), "", func(onlinestore.Row) error { return nil })) // what the store keeps of what was read is there before
	before := live()
	h.must(h.serving.catalogue.loadRows(t.Context()))
	h.must(h.serving.similar.fill(t.Context()))
	each := (live() - before) / items
	if n := h.serving.similar.of(testSite).Len(); n != items || h.serving.catalogue.size(testSite) != items {
		t.Fatalf("%d items, %d of them similar", h.serving.catalogue.size(testSite), n)
	}
	if each > most {
		t.Errorf("an item takes %d bytes, at most %d are wanted", each, most)
	}
	runtime.KeepAlive(h)
}
