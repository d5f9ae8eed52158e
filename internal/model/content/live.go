package content

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/parallel"
)

const (
	// MaxLiveItems bounds the items of a Live: 600 bytes an item of usual texts among 100,000, fewer among more, which share the
	// heads of lists; and the same again while they are taken in anew.
	MaxLiveItems = 1_000_000
	// renewalShare and renewalSlack say after how many changes everything is taken in anew: then what was dropped leaves the
	// memory and rarity is counted again. It costs a change three times what it costs by itself, on average.
	renewalShare = 2
	renewalSlack = 8
)

// ErrFull means that a Live has MaxLiveItems and takes no new one.
var ErrFull = errors.New("the index of similar items is full")

// Live finds similar items in a catalogue that changes: an item is found from the moment that Put returns, before anything was
// trained on it. Rarity comes from a trained model where there is one (Use); until then it is counted in the catalogue itself. It
// is safe for concurrent use; queries wait for a change for some microseconds, and for nothing else, and changes do not wait while
// everything is taken in anew.
type Live struct {
	source Source
	limit  int // items

	renewing sync.Mutex // held by whoever takes everything in anew; taken before writing

	writing sync.Mutex                      // held by whoever changes anything, for as long as the change takes
	missed  map[string]*event.CatalogueItem // what changed since the renewal that runs began, nil for what went; guarded by writing
	changes int                             // since everything was taken in; guarded by writing

	mu   sync.RWMutex // guards all; a writer holds it only to put in force what it has worked out
	all  *liveItems
	pool sync.Pool // of *scratch; it guards itself
}

// NewLive returns an index without items; Renew takes in those of its source, which may be nil where nothing is ever put. Number says what
// Query.Skip knows an item by, as of when it was put, and may be nil.
func NewLive(cfg Config, source Source, number func(id string) int32) (*Live, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if source == nil {
		source = func(func(*event.CatalogueItem) bool) {}
	}
	if number == nil {
		number = func(string) int32 { return -1 }
	}
	return &Live{source: source, limit: MaxLiveItems, all: newLiveItems(cfg, nil, number), pool: sync.Pool{New: func() any { return newScratch() }}}, nil
}

// Put takes in an item, or what has become of one; its source must have it so already. It returns ErrFull where there is no room for a
// new one.
func (l *Live) Put(it *event.CatalogueItem) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	_, known := l.all.place(it.ItemID)
	if l.missed != nil {
		l.missed[it.ItemID] = it
	}
	if !known && l.all.places.Len() >= l.limit {
		return ErrFull
	}
	vector, places := l.all.weigh(it), l.all.places.Reserve(1)
	l.mu.Lock()
	l.all.places = places
	l.all.put(it, vector)
	l.mu.Unlock()
	if known || l.all.trained == nil { // something was dropped, or counts
		l.changes++
	}
	return nil
}

// Remove forgets an item; its source must have it no more.
func (l *Live) Remove(id string) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.missed != nil {
		l.missed[id] = nil
	}
	l.mu.Lock()
	known := l.all.forget(id)
	l.mu.Unlock()
	if known {
		l.changes++
	}
}

// Due reports whether so many changes came that it is time to Renew. Whoever owns the index asks now and then: it takes seconds in a large
// one, for which no change should wait.
func (l *Live) Due() bool {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.changes > renewalSlack+l.all.places.Len()/renewalShare
}

// Renew takes in all items of the source in place of what there is. Of more than MaxLiveItems it takes the first, and returns ErrFull.
func (l *Live) Renew(ctx context.Context) error {
	l.renewing.Lock()
	defer l.renewing.Unlock()
	return l.renew(ctx, l.all.cfg, l.all.trained)
}

// Use compares items as a trained model does, by its configuration and the rarity that it counted; nil goes back to what the
// catalogue itself says.
func (l *Live) Use(ctx context.Context, m *Model) error {
	l.renewing.Lock()
	defer l.renewing.Unlock()
	if m == nil && l.all.trained == nil {
		return nil // it is so already
	}
	if m == nil {
		return l.renew(ctx, l.all.cfg, nil)
	}
	return l.renew(ctx, m.cfg, m.words)
}

// renew makes everything anew beside what is in force, brings it up to date and puts it in force. The caller holds renewing, so that
// nobody else replaces l.all.
func (l *Live) renew(ctx context.Context, cfg Config, trained *dictionary) error {
	l.writing.Lock()
	l.missed = map[string]*event.CatalogueItem{}
	l.writing.Unlock()
	var gently *parallel.Gently
	if l.Len() > 0 { // there is something to ask meanwhile
		gently = &parallel.Gently{}
	}
	anew := newLiveItems(cfg, trained, l.all.number)
	err := anew.fill(ctx, gently, l.source, l.limit)
	l.warm(ctx, gently, anew)

	l.writing.Lock()
	defer l.writing.Unlock()
	missed := l.missed
	l.missed = nil
	if err != nil && !errors.Is(err, ErrFull) {
		return fmt.Errorf("take in all items: %w", err)
	}
	for id, it := range missed {
		if it == nil {
			anew.forget(id)
		} else if _, known := anew.place(id); known || anew.places.Len() < l.limit {
			anew.put(it, anew.weigh(it))
		}
	}
	l.changes = 0
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = anew
	return err
}
