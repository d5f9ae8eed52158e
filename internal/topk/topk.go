// Package topk keeps the best few of many scored ids: the last step of every list that is recommended and the step that
// chooses neighbours. Order is total, so the same scores always give the same list.
package topk

import (
	"math"
	"slices"
)

// Entry is one id with its score.
type Entry struct {
	ID    int32
	Score float32
}

// Best keeps the k best entries pushed since Reset: higher score first, ties to the lower id. The zero Best keeps nothing until
// Reset. It keeps its memory between uses and is not safe for concurrent use.
//
// It takes what may be among the best until it has twice as many as are wanted, then cuts off the worse half: an entry costs the
// same few steps however many are kept, where a heap moves it past one after the other.
type Best struct {
	k       int
	floor   float32 // what scores less is not among the best
	keys    []key   // in no order; nothing among the best is missing
	entries []Entry // of Sorted and Unsorted
}

// Reset forgets all entries and sets how many to keep; k <= 0 keeps none.
func (b *Best) Reset(k int) {
	b.k, b.floor, b.keys = max(k, 0), float32(math.Inf(-1)), b.keys[:0]
}

// Push offers one entry; an id is 0 or more, and is pushed once. A score that is not a number has no place in an order and is
// ignored.
func (b *Best) Push(id int32, score float32) {
	if score >= b.floor { // this much is inlined
		b.take(id, score)
	}
}

// Floor returns a score that every kept entry reaches, so that one with less need not be pushed. It rises while entries come, a
// little behind the least of the best.
func (b *Best) Floor() float32 { return b.floor }

// Sorted returns the kept entries, best first. The slice is memory of b: it is valid until the next call of anything but Floor.
func (b *Best) Sorted() []Entry {
	b.cut()
	slices.Sort(b.keys)
	return b.decoded()
}

// Unsorted returns the kept entries in no useful order, which still follows from what was pushed alone. The slice is memory of
// b: it is valid until the next call of anything but Floor.
func (b *Best) Unsorted() []Entry {
	b.cut()
	return b.decoded()
}

func (b *Best) take(id int32, score float32) {
	if b.k == 0 {
		return
	}
	if b.keys = append(b.keys, keyOf(id, score)); len(b.keys) >= 2*b.k {
		b.cut()
	}
}

// cut leaves the k best.
func (b *Best) cut() {
	if len(b.keys) > b.k {
		choose(b.keys, b.k)
		b.keys = b.keys[:b.k]
		b.floor = b.keys[b.k-1].entry().Score
	}
}

func (b *Best) decoded() []Entry {
	b.entries = b.entries[:0]
	for _, k := range b.keys {
		b.entries = append(b.entries, k.entry())
	}
	return b.entries
}
