package content

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/event"
)

// Model is the catalogue of a trained version: a vector for each item of the vocabulary, and how rare each term is.
type Model struct {
	cfg   Config
	words *dictionary

	making sync.Once // guards stored and index of a decoded model
	stored *columns  // what index is made of; nil once it is made
	index  index
	pool   *sync.Pool // of *scratch
}

// checkEvery is how many items pass between two looks at the context.
const checkEvery = 4096

// Fit takes in what is known of the items of a vocabulary, by index; nil where nothing is. Items without an event belong to them.
func Fit(ctx context.Context, cfg Config, items []*event.CatalogueItem) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	known, err := takeApart(ctx, cfg, items)
	if err != nil {
		return nil, fmt.Errorf("fit content: %w", err)
	}
	m := &Model{cfg: cfg, words: known.words, index: known.index(cfg, known.words.rarities(known.words))}
	m.initPool()
	return m, nil
}

func (m *Model) initPool() { m.pool = &sync.Pool{New: func() any { return newScratch() }} }

// Config returns the configuration that the model was fitted with.
func (m *Model) Config() Config { return m.cfg }

// takenApart is what items say, before it is weighed.
type takenApart struct {
	words   *dictionary
	found   []occurrence // of all items, one item after the other
	numbers []int32      // of their buckets
	ends    []int        // of each item's part
}

func takeApart(ctx context.Context, cfg Config, items []*event.CatalogueItem) (*takenApart, error) {
	t := tokenizer{cfg: cfg}
	k := &takenApart{words: &dictionary{numbers: map[uint32]int32{}}, ends: make([]int, len(items))}
	for i, it := range items {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if it != nil {
			k.take(t.item(it))
		}
		k.ends[i] = len(k.found)
	}
	k.renumber()
	return k, nil
}

// take counts what one item says.
func (k *takenApart) take(found []occurrence) {
	if len(found) == 0 {
		return
	}
	k.found = append(k.found, found...)
	k.words.count(found)
	for _, o := range found {
		k.numbers = append(k.numbers, k.words.number(o.bucket))
	}
}

// renumber numbers the buckets by their order, whatever the order of items: so vectors can be stored by number.
func (k *takenApart) renumber() {
	old := k.words
	k.words = &dictionary{
		numbers: make(map[uint32]int32, len(old.buckets)), buckets: slices.Sorted(slices.Values(old.buckets)),
		counts: make([]int32, len(old.buckets)), items: old.items,
	}
	by := make([]int32, len(old.buckets))
	for n, bucket := range k.words.buckets {
		was := old.numbers[bucket]
		by[was], k.words.numbers[bucket], k.words.counts[n] = int32(n), int32(n), old.counts[was]
	}
	for i, n := range k.numbers {
		k.numbers[i] = by[n]
	}
}

// index weighs the items and indexes them.
func (k *takenApart) index(cfg Config, rarity []float32) index {
	var packed vectors
	var room []term
	from := 0
	for _, end := range k.ends {
		room = cfg.weigh(room[:0], k.found[from:end], k.numbers[from:end], rarity)
		packed.add(room)
		from = end
	}
	return newIndex(nil, packed, len(k.words.buckets))
}
