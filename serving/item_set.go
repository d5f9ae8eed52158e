package serving

import (
	"math/bits"

	"github.com/RoaringBitmap/roaring/v2"
)

// itemSet is a set of items of a site by their numbers: item n is bit n%64 of word n/64. Whatever is done to a set of 100,000 items word
// by word takes a microsecond.
type itemSet []uint64

// wordsFor is how many words have a bit for each of n numbers.
func wordsFor(n int) int { return (n + 63) / 64 }

func (s itemSet) and(o itemSet) {
	for i := range s {
		s[i] &= o[i]
	}
}

func (s itemSet) andNot(o itemSet) {
	for i := range s {
		s[i] &^= o[i]
	}
}

func (s itemSet) or(o itemSet) {
	for i := range s {
		s[i] |= o[i]
	}
}

func (s itemSet) add(number uint32) { s[number>>6] |= 1 << (number & 63) }

func (s itemSet) has(number uint32) bool { return s[number>>6]>>(number&63)&1 != 0 }

func (s itemSet) remove(number uint32) { s[number>>6] &^= 1 << (number & 63) }

func (s itemSet) count() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// next appends numbers of the set to dst, from one on and in order, as many as dst has room for.
func (s itemSet) next(dst []uint32, from int) []uint32 {
	for at := from >> 6; at < len(s); at++ {
		word := s[at]
		if at == from>>6 {
			word &= ^uint64(0) << (from & 63)
		}
		for ; word != 0; word &= word - 1 {
			if len(dst) == cap(dst) {
				return dst
			}
			dst = append(dst, uint32(at<<6+bits.TrailingZeros64(word)))
		}
	}
	return dst
}

// itemSets lends working memory for sets. It serves one goroutine at a time.
type itemSets struct{ idle []itemSet }

// take returns an empty set of so many words.
func (m *itemSets) take(words int) itemSet {
	if last := len(m.idle) - 1; last >= 0 {
		set := m.idle[last]
		m.idle = m.idle[:last]
		if cap(set) >= words {
			set = set[:words]
			clear(set)
			return set
		}
	}
	return make(itemSet, words, words+words/8) // for the items that come
}

// of returns the set of the items that are in any of some bitmaps.
func (m *itemSets) of(words int, bitmaps ...*roaring.Bitmap) itemSet {
	set := m.take(words)
	if len(bitmaps) > 1 { // what is written dense replaces what is there
		bitmaps = []*roaring.Bitmap{roaring.FastOr(bitmaps...)}
	}
	for _, bitmap := range bitmaps {
		bitmap.WriteDenseTo(set)
	}
	return set
}

// give takes back what take or of returned.
func (m *itemSets) give(set itemSet) { m.idle = append(m.idle, set) }
