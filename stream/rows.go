package stream

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// table holds the rows of one kind in memory: those that the batch changes, and those of earlier batches that were used
// last. Visitors come again within minutes and most events name the same few items, so that most rows are decoded once and
// not once a batch.
//
// Two generations make the bound: a row that is used is young; when the young rows weigh too much they are the old ones,
// and what was old by then is let go.
type table[K comparable, T any] struct {
	memory     *rowMemory
	key        func(K) string
	own        func(K) K // a copy that may be kept: texts of events share memory with their record
	decode     func([]byte) (*T, error)
	encode     func(value *T, b []byte) []byte
	young, old map[K]*held[T]
	changed    []*held[T] // in this batch, each once
}

// held is a value in memory. at is the position of the record that changed it last.
type held[T any] struct {
	key     string
	value   *T
	at      state.Position
	weight  int    // bytes, about
	changed bool   // in this batch
	outbox  uint32 // the last round of the outbox that names the row, 0 for none
}

// rowMemory counts what the young rows of all tables weigh.
type rowMemory struct {
	db      *state.DB
	weight  int
	scratch []byte // of flush
}

// weigh is what a row takes in memory: the strings and slices of a value are some four times as large as its encoding.
func weigh(encoded int) int { return heldBytes + 4*encoded }

// heldBytes is what the smallest row takes: its key twice, the struct and its place in a map.
const heldBytes = 600

func newTable[K comparable, T any](m *rowMemory, key func(K) string, own func(K) K, decode func([]byte) (*T, error), encode func(*T, []byte) []byte) *table[K, T] {
	return &table[K, T]{memory: m, key: key, own: own, decode: decode, encode: encode, young: make(map[K]*held[T])}
}

// get returns a row, from memory or from the state; one that does not exist is the zero value.
func (t *table[K, T]) get(k K) (*held[T], error) {
	if h, ok := t.recall(k); ok {
		return h, nil
	}
	h, err := t.load(t.key(k))
	if err != nil {
		return nil, err
	}
	return t.keep(k, h), nil
}

// recall returns a row that is in memory.
func (t *table[K, T]) recall(k K) (h *held[T], ok bool) {
	if h, ok = t.young[k]; ok {
		return h, true
	}
	if h, ok = t.old[k]; ok {
		t.keep(k, h)
	}
	return h, ok
}

// begin keeps a row in memory that the state is known not to have.
func (t *table[K, T]) begin(k K) *held[T] {
	return t.keep(k, &held[T]{key: t.key(k), value: new(T), weight: heldBytes})
}

func (t *table[K, T]) keep(k K, h *held[T]) *held[T] {
	t.young[t.own(k)] = h
	t.memory.weight += h.weight
	return h
}

func (t *table[K, T]) load(key string) (*held[T], error) {
	h := &held[T]{key: key, weight: heldBytes}
	err := t.memory.db.Read(key, func(stored []byte) error {
		row, err := onlinestore.DecodeRow(stored)
		if err != nil {
			return err
		}
		h.weight, h.at = weigh(len(row.Value)), state.Position{Epoch: row.Epoch, Offset: row.Offset}
		h.value, err = t.decode(row.Value)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read state row %q: %w", key, err)
	}
	if h.value == nil {
		h.value = new(T)
	}
	return h, nil
}

// exists reports whether the row was ever changed.
func (h *held[T]) exists() bool { return h.at != state.Position{} }

// change returns the row's value, to be changed by the record at a position.
func (t *table[K, T]) change(h *held[T], at state.Position) *T {
	if h.at = at; !h.changed {
		h.changed = true
		t.changed = append(t.changed, h)
	}
	return h.value
}

// count is how many rows the batch changes.
func (t *table[K, T]) count() int { return len(t.changed) }

// sort brings the changed rows into the order of their keys.
func (t *table[K, T]) sort() {
	slices.SortFunc(t.changed, func(a, b *held[T]) int { return strings.Compare(a.key, b.key) })
}

// announce names the changed rows in the outbox, unless they stand there in this round already.
func (t *table[K, T]) announce(batch *state.Batch, round uint32) {
	for _, h := range t.changed {
		if h.outbox != round {
			batch.Outbox(round, h.key)
			h.outbox = round
		}
	}
}

// flush writes the changed rows to a batch and appends them to rows. Then nothing is changed any more.
func (t *table[K, T]) flush(batch *state.Batch, rows []onlinestore.Row) []onlinestore.Row {
	for _, h := range t.changed {
		row := onlinestore.Row{Key: h.key, Version: feature.Version, Epoch: h.at.Epoch, Offset: h.at.Offset}
		scratch := onlinestore.AppendRow(t.memory.scratch[:0], row)
		header := len(scratch)
		t.memory.scratch = t.encode(h.value, scratch)
		batch.Set(row.Key, t.memory.scratch)
		row.Value = bytes.Clone(t.memory.scratch[header:])
		rows = append(rows, row)
		h.changed = false
		t.memory.weight -= h.weight
		h.weight = weigh(len(row.Value))
		t.memory.weight += h.weight
	}
	clear(t.changed)
	t.changed = t.changed[:0]
	return rows
}

// age makes the young rows old and lets the old ones go. No row may be changed.
func (t *table[K, T]) age() {
	t.young, t.old = make(map[K]*held[T]), t.young
}
