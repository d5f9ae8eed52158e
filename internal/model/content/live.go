package content

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/millrace/millrace/internal/event"
)

const (
	// MaxLiveItems bounds the items of a Live: some 500 bytes an item of usual texts beside the item itself, at most
	// 1 KiB with the default MaxTerms, and the same again while they are taken in anew.
	MaxLiveItems = 500_000
	// renewalShare and renewalSlack say after how many changes everything is taken in anew: then what was dropped leaves the
	// memory and rarity is counted again. It costs a change three times what it costs by itself, on average.
	renewalShare = 2
	renewalSlack = 8
)

// ErrFull means that a Live has MaxLiveItems and takes no new one.
var ErrFull = errors.New("the index of similar items is full")

// Live finds similar items in a catalogue that changes: an item is found from the moment that Put returns, before anything was
// trained on it. Rarity comes from a trained model where there is one (Use); until then it is counted in the catalogue itself. It
// is safe for concurrent use; queries wait for a change for some microseconds, and for nothing else.
type Live struct {
	writing sync.Mutex  // held by whoever changes anything, for as long as the change takes
	trained *dictionary // nil where the catalogue is counted; guarded by writing
	token   tokenizer   // guarded by writing
	numbers []int32     // of the words of an item that is put; guarded by writing
	changes int         // since everything was taken in; guarded by writing

	mu   sync.RWMutex // guards what follows; a writer holds it only to put in force what it has worked out
	cfg  Config
	all  liveItems
	pool sync.Pool // of *scratch; it guards itself
}

// liveItems is an index by item id. Its words and rarity are for writers.
type liveItems struct {
	index
	words  *dictionary
	rarity []float32              // by number of words
	items  []*event.CatalogueItem // by place; nil for one that was dropped
	until  []int64                // by place: when the item may not be shown any more, Unix milliseconds
	places map[string]int32
	near   near
}

// NewLive returns an index without items.
func NewLive(cfg Config) (*Live, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	l := &Live{pool: sync.Pool{New: func() any { return newScratch() }}}
	return l, l.takeIn(context.Background(), cfg, nil)
}

// newLiveItems indexes items by what was taken apart of them.
func newLiveItems(cfg Config, known *takenApart, rarity []float32, items []*event.CatalogueItem) liveItems {
	a := liveItems{
		index: known.index(cfg, rarity), words: known.words, rarity: rarity,
		items: items, until: make([]int64, len(items)), places: make(map[string]int32, len(items)),
		near: newNear(),
	}
	for i, it := range items {
		a.until[i], a.places[it.ItemID] = shownUntil(it), int32(i)
	}
	return a
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

// Load takes in many items at once, each id once, in place of all that there are. Live keeps the items; they must not change
// any more.
func (l *Live) Load(ctx context.Context, items []*event.CatalogueItem) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if len(items) > MaxLiveItems {
		return fmt.Errorf("%d items: %w", len(items), ErrFull)
	}
	return l.takeIn(ctx, l.token.cfg, items)
}

// Put takes in an item, or what has become of one. Live keeps it; it must not change any more.
func (l *Live) Put(it *event.CatalogueItem) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	before, known := l.all.places[it.ItemID]
	if !known && len(l.all.places) >= MaxLiveItems {
		return ErrFull
	}
	vector := l.vector(it)
	l.mu.Lock()
	if known {
		l.all.forget(before)
	}
	l.all.places[it.ItemID] = l.all.add(vector)
	l.all.items, l.all.until = append(l.all.items, it), append(l.all.until, shownUntil(it))
	l.mu.Unlock()
	if !known && l.trained != nil {
		return nil // nothing was dropped, and nothing is counted
	}
	return l.changed()
}

// vector weighs an item, taking in the words that are new.
func (l *Live) vector(it *event.CatalogueItem) []term {
	found := l.token.item(it)
	counted := l.all.words
	if l.trained != nil {
		counted = l.trained
	}
	l.numbers = l.numbers[:0]
	for _, o := range found {
		n := l.all.words.number(o.bucket)
		if int(n) == len(l.all.rarity) {
			l.all.rarity = append(l.all.rarity, counted.rarity(o.bucket))
		}
		l.numbers = append(l.numbers, n)
	}
	return l.token.cfg.weigh(make([]term, 0, len(found)), found, l.numbers, l.all.rarity)
}

// Remove forgets an item.
func (l *Live) Remove(id string) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	place, known := l.all.places[id]
	if !known {
		return nil
	}
	l.mu.Lock()
	l.all.forget(place)
	delete(l.all.places, id)
	l.mu.Unlock()
	return l.changed()
}

func (a *liveItems) forget(place int32) {
	a.drop(place)
	a.items[place] = nil
}

// changed counts a change, and takes everything in anew when there were many.
func (l *Live) changed() error {
	l.changes++
	if l.changes <= renewalSlack+len(l.all.places)/renewalShare {
		return nil
	}
	return l.takeIn(context.Background(), l.token.cfg, l.present())
}

// present lists the items.
func (l *Live) present() []*event.CatalogueItem {
	items := make([]*event.CatalogueItem, 0, len(l.all.places))
	for _, it := range l.all.items {
		if it != nil {
			items = append(items, it)
		}
	}
	return items
}

// Use compares items as a trained model does, by its configuration and the rarity that it counted; nil goes back to what the
// catalogue itself says.
func (l *Live) Use(ctx context.Context, m *Model) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if m == nil && l.trained == nil {
		return nil // it is so already
	}
	cfg := l.token.cfg
	l.trained = nil
	if m != nil {
		cfg, l.trained = m.cfg, m.words
	}
	return l.takeIn(ctx, cfg, l.present())
}

// takeIn makes everything anew of the items given, and puts it in force when it is done.
func (l *Live) takeIn(ctx context.Context, cfg Config, items []*event.CatalogueItem) error {
	known, err := takeApart(ctx, cfg, items)
	if err != nil {
		return fmt.Errorf("take in %d items: %w", len(items), err)
	}
	counted := known.words
	if l.trained != nil {
		counted = l.trained
	}
	all := newLiveItems(cfg, known, counted.rarities(known.words), items)
	l.token.cfg, l.changes = cfg, 0
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cfg, l.all = cfg, all
	return nil
}
