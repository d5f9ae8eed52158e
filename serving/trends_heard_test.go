package serving

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
)

// heardOf is an item of which events told now and then, in one share.
func heardOf(rng *rand.Rand, i int) heard {
	var a feature.ItemAggregate
	for range 1 + rng.IntN(4) {
		e := event.Event{
			Type: event.ViewItem, OccurredAt: noon.AddDate(0, 0, -rng.IntN(40)),
			Items: []event.Item{{ItemID: fmt.Sprintf("i%d", i), ItemName: "Trail shoe", ItemCategory: "Shoes"}},
		}
		a.Apply(&e, &e.Items[0])
	}
	summary, _ := new(feature.SummaryReader).Read(a.Encode(nil))
	return heard{id: fmt.Sprintf("i%d", i), ItemSummary: summary}
}

// Of more items than are kept those stay that a sort of all of them puts first, whatever their order; and no more are ever held.
func TestMostWantedAreThoseThatASortPutsFirst(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	const items, limit = 2_000, 150
	all, clock := make([]heard, items), int64(0)
	for i := range all {
		all[i] = heardOf(rng, i)
		clock = max(clock, all[i].LastAt)
	}
	most := mostWanted{limit: limit}
	for i := range all {
		h := all[i] // as readHeard does, which goes on to use it
		most.take(&h)
		h = heard{}
		if len(most.items) > limit {
			t.Fatalf("%d items are held, of %d", len(most.items), limit)
		}
	}
	slices.SortFunc(all, func(a, b heard) int {
		x, y := a.asOf(clock, new(float64)), b.asOf(clock, new(float64))
		return cmp.Or(cmp.Compare(y.interest, x.interest), cmp.Compare(y.lastAt, x.lastAt), cmp.Compare(x.id, y.id))
	})
	var want, got []string
	for i := range all[:limit] {
		want = append(want, all[i].id)
	}
	for _, it := range most.said(nil, func(string) *Row { return nil }) {
		got = append(got, it.id)
		if it.name != "Trail shoe" || it.category != "Shoes" {
			t.Errorf("%s is %+v", it.id, it)
		}
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) || most.clock != clock {
		t.Errorf("kept as of %d:\n%v\nwant as of %d:\n%v", most.clock, got, clock, want)
	}
}

// The shares of an item are one item, also those of the last, and one of another feature version is none.
func TestSharesOfAnItemAreHeardTogether(t *testing.T) {
	h := newHouse(t)
	for n, share := range []struct {
		item    string
		views   int
		version int32
	}{{"a", 1, feature.Version}, {"b", 2, feature.Version}, {"b", 3, feature.Version}, {"c", 4, feature.Version}, {"c", 0, feature.Version + 1}, {"c", 5, feature.Version}} {
		var a feature.ItemAggregate
		for range share.views {
			e := event.Event{Type: event.ViewItem, OccurredAt: noon, Items: []event.Item{{ItemID: share.item}}}
			a.Apply(&e, &e.Items[0])
		}
		value := a.Encode(nil)
		value[0] = byte(share.version)
		h.must(h.online.Put(t.Context(), []onlinestore.Row{{
			Key: onlinestore.ItemKey(onlinestore.ItemShare{Site: testSite, Item: share.item, Partition: int32(n)}), Version: share.version, Epoch: 1, Offset: 1, Value: value,
		}}))
	}
	got := map[string]int64{}
	h.must(readHeard(t.Context(), nil, h.online, onlinestore.ItemSitePrefix(testSite), func(it *heard) { got[it.id] += it.Events }))
	if len(got) != 3 || got["a"] != 1 || got["b"] != 5 || got["c"] != 9 {
		t.Errorf("heard %v", got)
	}
}
