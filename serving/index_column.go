package serving

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/filter"
)

// The columns of the index.
const (
	columnPrice = iota
	columnPublished
	columnExpires
	numColumns
)

// columnOf is the column of a field that is a number or a time.
func columnOf(f filter.Field) int {
	switch f {
	case filter.FieldPublishedAt:
		return columnPublished
	case filter.FieldExpiresAt:
		return columnExpires
	}
	return columnPrice
}

// column has one field's key of every item, by number; filter.NoKey of one that does not have it or is deleted. Whoever changes rows
// changes keys in place, beside readers: they meet each key as it was or as it is, and what is shown is decided on rows.
type column []int64

// keysOf are a row's keys.
func keysOf(r *Row) (keys [numColumns]int64) {
	for i := range keys {
		keys[i] = filter.NoKey
	}
	if r == nil || r.Deleted {
		return keys
	}
	if r.Price != nil {
		keys[columnPrice] = filter.KeyOfNumber(*r.Price)
	}
	timed := func(column int, t time.Time) {
		if !t.IsZero() {
			keys[column] = filter.KeyOfTime(t)
		}
	}
	timed(columnPublished, r.PublishedAt())
	timed(columnExpires, r.ExpiresAt())
	return keys
}

// grow makes room for n more items.
func (c *column) grow(n int) {
	for range n {
		*c = append(*c, filter.NoKey)
	}
}

func (c column) put(number uint32, key int64) { atomic.StoreInt64(&c[number], key) }

// narrow takes out of a set what has no key from low to high. Where high is less than low, that is from low to the end and from the
// beginning, which is filter.NoKey, to high. It takes some 60 µs for 100,000 items, and nothing for 64 in a row that are not in the set.
func (c column) narrow(set itemSet, low, high int64) {
	width := uint64(high) - uint64(low)
	for at, word := range set {
		if word == 0 {
			continue
		}
		keys := c[min(at<<6, len(c)):min(at<<6+64, len(c))]
		in := uint64(0)
		for i := range keys {
			_, beyond := bits.Sub64(width, uint64(atomic.LoadInt64(&keys[i]))-uint64(low), 0) // no branch, which nobody could foretell
			in |= (1 - beyond) << (i & 63)
		}
		set[at] = word & in
	}
}
