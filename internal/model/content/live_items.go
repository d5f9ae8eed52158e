package content

import (
	"context"
	"fmt"
	"iter"
	"math"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/idtable"
	"github.com/millrace/millrace/internal/parallel"
)

// Source lists all items as they are now, each once, as often as it is asked. A Live keeps terms and no items, and asks it when it
// weighs everything anew.
type Source = iter.Seq[*event.CatalogueItem]

// liveItems is an index by item id. What is below places is for writers.
type liveItems struct {
	index
	cfg    Config
	ids    []string // by place
	known  []int32  // by place: the number that the item is known by
	until  []int64  // by place: when the item may not be shown any more, Unix milliseconds
	places idtable.Table
	near   near

	number  func(id string) int32
	trained *dictionary // nil where the catalogue is counted
	words   *dictionary
	rarity  []float32 // by number of words
	token   tokenizer
	numbers []int32 // of the words of an item
	room    []term  // of its vector
	weighed int32   // the number that it is known by
}

func newLiveItems(cfg Config, trained *dictionary, number func(id string) int32) *liveItems {
	return &liveItems{
		cfg: cfg, near: newNear(0), number: number, trained: trained, words: &dictionary{numbers: map[uint32]int32{}}, token: tokenizer{cfg: cfg},
	}
}

// fill takes in at most limit items of a source, into what is empty. Where there are more it does so, and says ErrFull.
func (a *liveItems) fill(ctx context.Context, gently *parallel.Gently, source Source, limit int) error {
	if a.trained == nil {
		if err := a.count(ctx, gently, source); err != nil {
			return err
		}
	}
	var full error
	for it := range source {
		gently.Step()
		if n := a.vectors.len(); n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		_, known := a.place(it.ItemID)
		if !known && a.places.Len() >= limit {
			full = fmt.Errorf("%d items: %w", limit, ErrFull)
			break
		}
		if known { // it changed meanwhile, and was listed again
			continue
		}
		a.vectors.add(a.weigh(it))
		a.name(it)
	}
	a.index, a.near = newIndex(gently, a.vectors, len(a.words.buckets)), newNear(a.places.Len())
	return full
}

// count counts in how many items of a source each bucket comes up.
func (a *liveItems) count(ctx context.Context, gently *parallel.Gently, source Source) error {
	seen := 0
	for it := range source {
		gently.Step()
		if seen++; seen%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if found := a.token.item(it); len(found) > 0 {
			a.words.count(found)
		}
	}
	a.rarity = a.words.rarities(a.words)
	return nil
}

// weigh makes the vector of an item, taking in the words that are new. It is valid until the next call.
func (a *liveItems) weigh(it *event.CatalogueItem) []term {
	counted := a.words
	if a.trained != nil {
		counted = a.trained
	}
	a.weighed = a.number(it.ItemID)
	found := a.token.item(it)
	a.numbers = a.numbers[:0]
	for _, o := range found {
		n := a.words.number(o.bucket)
		if int(n) == len(a.rarity) {
			a.rarity = append(a.rarity, counted.rarity(o.bucket))
		}
		a.numbers = append(a.numbers, n)
	}
	a.room = a.cfg.weigh(a.room[:0], found, a.numbers, a.rarity)
	return a.room
}

// name names the item whose vector was added last, which was weighed last.
func (a *liveItems) name(it *event.CatalogueItem) {
	a.places.Put(idtable.Hash(it.ItemID), int32(len(a.ids)))
	a.ids, a.known, a.until = append(a.ids, it.ItemID), append(a.known, a.weighed), append(a.until, shownUntil(it))
}

// place is where the vector of an item is.
func (a *liveItems) place(id string) (place int32, known bool) {
	for p := a.places.Probe(idtable.Hash(id)); ; {
		if place = p.Next(); place < 0 {
			return 0, false
		}
		if a.ids[place] == id {
			return place, true
		}
	}
}

// put takes in an item with its vector, in place of what was known of it.
func (a *liveItems) put(it *event.CatalogueItem, vector []term) {
	a.forget(it.ItemID)
	a.add(vector)
	a.name(it)
}

// forget reports whether there was anything to forget.
func (a *liveItems) forget(id string) bool {
	place, known := a.place(id)
	if known {
		a.drop(place)
		a.places.Remove(idtable.Hash(id), place)
	}
	return known
}

// shownUntil is when an item may not be shown any more.
func shownUntil(it *event.CatalogueItem) int64 {
	switch {
	case !it.Available:
		return math.MinInt64
	case it.ExpiresAt.IsZero():
		return math.MaxInt64
	}
	return it.ExpiresAt.UnixMilli()
}
