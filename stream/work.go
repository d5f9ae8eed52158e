package stream

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// work is the set of rows that a batch touches, decoded once and written once however many events change them. Rows in
// the state have the keys and the encoding of the online store, so that publishing is copying.
type work struct {
	db       *state.DB
	profiles map[string]*held[feature.Profile]
	items    map[string]*held[feature.ItemAggregate]
	sites    map[string]*held[feature.SiteAggregate]
	newest   map[string]*held[int64]
	links    map[string]*held[int64]
	seen     map[state.Identity]first // remembered in this batch
}

// first is where an event stood first, and its site's clock then.
type first struct {
	at    state.Position
	clock int64
}

// held is a value in memory. at is the position of the record that changed it last.
type held[T any] struct {
	value   *T
	changed bool
	at      state.Position
}

func (h *held[T]) change(at state.Position) *T {
	h.changed, h.at = true, at
	return h.value
}

func newWork(db *state.DB) *work {
	return &work{
		db:       db,
		profiles: make(map[string]*held[feature.Profile]),
		items:    make(map[string]*held[feature.ItemAggregate]),
		sites:    make(map[string]*held[feature.SiteAggregate]),
		newest:   make(map[string]*held[int64]),
		links:    make(map[string]*held[int64]),
		seen:     make(map[state.Identity]first),
	}
}

// size is how many rows the batch holds in memory.
func (w *work) size() int {
	return len(w.profiles) + len(w.items) + len(w.sites) + len(w.newest) + len(w.links)
}

// hold returns the row of a key, from memory or from the state; a row that does not exist is the zero value.
func hold[T any](w *work, in map[string]*held[T], key string, decode func([]byte) (*T, error)) (*held[T], error) {
	if h, ok := in[key]; ok {
		return h, nil
	}
	h := &held[T]{value: new(T)}
	stored, ok, err := w.db.Get(key)
	if err != nil {
		return nil, err
	}
	if ok {
		row, err := onlinestore.DecodeRow(stored)
		if err == nil {
			h.value, err = decode(row.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("read state row %q: %w", key, err)
		}
	}
	in[key] = h
	return h, nil
}

func decodeNewest(b []byte) (*int64, error) {
	n, err := onlinestore.ParseNewestValue(b)
	return &n, err
}

func decodeLink(b []byte) (*int64, error) {
	at, err := onlinestore.ParseLinkValue(b)
	return &at, err
}

// changed returns the rows to write, in the order of keys.
func (w *work) changed() []onlinestore.Row {
	var rows []onlinestore.Row
	add := func(key string, at state.Position, value []byte) {
		rows = append(rows, onlinestore.Row{Key: key, Version: feature.Version, Epoch: at.Epoch, Offset: at.Offset, Value: value})
	}
	for key, h := range w.profiles {
		if h.changed {
			add(key, h.at, h.value.Encode(nil))
		}
	}
	for key, h := range w.items {
		if h.changed {
			add(key, h.at, h.value.Encode(nil))
		}
	}
	for key, h := range w.sites {
		if h.changed {
			add(key, h.at, h.value.Encode(nil))
		}
	}
	for key, h := range w.newest {
		if h.changed {
			add(key, h.at, onlinestore.NewestValue(*h.value))
		}
	}
	for key, h := range w.links {
		if h.changed {
			add(key, h.at, onlinestore.LinkValue(*h.value))
		}
	}
	slices.SortFunc(rows, func(a, b onlinestore.Row) int { return strings.Compare(a.Key, b.Key) })
	return rows
}
