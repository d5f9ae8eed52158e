package model

import "math/bits"

// fewShare is one in how many items a mask allows at most that allows few: the product of two vectors takes so many times what a look at
// the mask does.
const fewShare = 8

// Mask says of every item of a vocabulary whether it may be recommended: a filter or a list of exclusions, handed down to the families
// so that each finds its best items among those that may be. A nil Mask allows all. Its memory may be used again by Reset and Through.
type Mask struct {
	words  []uint64
	places []int32 // by item: its bit in words; nil where that is the item itself
	rest   bool    // of the items beyond words or places
}

// Reset makes a mask of numItems items that are all allowed, or all not; items beyond them are likewise.
func (m *Mask) Reset(numItems int, allowed bool) {
	n := (numItems + 63) / 64
	if cap(m.words) < n {
		m.words = make([]uint64, n+n/8)
	}
	m.words, m.places, m.rest = m.words[:n], nil, allowed
	word := uint64(0)
	if allowed {
		word = ^word
	}
	for i := range m.words {
		m.words[i] = word
	}
}

// Through makes a mask of what is said of places: an item of places may be recommended where the bit of its place is set, any other one
// may not. The words are copied; the places stay the caller's, who must not change them.
func (m *Mask) Through(words []uint64, places []int32) {
	m.words, m.places, m.rest = append(m.words[:0], words...), places, false
}

// Allow lets an item of the mask be recommended.
func (m *Mask) Allow(item int32) { at := m.bit(item); m.words[at>>6] |= 1 << (at & 63) }

// Deny keeps an item of the mask from being recommended.
func (m *Mask) Deny(item int32) { at := m.bit(item); m.words[at>>6] &^= 1 << (at & 63) }

func (m *Mask) bit(item int32) int32 {
	if m.places != nil {
		return m.places[item]
	}
	return item
}

// Allows reports whether an item may be recommended.
func (m *Mask) Allows(item int32) bool {
	if m == nil {
		return true
	}
	return m.allows(item)
}

// Few reports whether so few items may be recommended that it pays to ask before a score is computed, not after.
func (m *Mask) Few() bool {
	if m == nil || m.rest {
		return false
	}
	items := 64 * len(m.words)
	if m.places != nil {
		items = len(m.places)
	}
	allowed := 0
	for _, word := range m.words {
		allowed += bits.OnesCount64(word)
	}
	return fewShare*allowed < items
}

func (m *Mask) allows(item int32) bool {
	if m.places != nil {
		if uint32(item) >= uint32(len(m.places)) {
			return m.rest
		}
		item = m.places[item]
	}
	if word := uint32(item) >> 6; int(word) < len(m.words) {
		return m.words[word]>>(item&63)&1 != 0
	}
	return m.rest
}
