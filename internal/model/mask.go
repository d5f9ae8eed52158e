package model

// Mask says of every item of a vocabulary whether it may be recommended: a filter or a list of exclusions, handed down to the families
// so that each finds its best items among those that may be. A nil Mask allows all. Its memory may be used again by Reset.
type Mask struct {
	words []uint64
	rest  bool // of the items beyond words
}

// Reset makes a mask of numItems items that are all allowed, or all not; items beyond them are likewise.
func (m *Mask) Reset(numItems int, allowed bool) {
	n := (numItems + 63) / 64
	if cap(m.words) < n {
		m.words = make([]uint64, n+n/8)
	}
	m.words, m.rest = m.words[:n], allowed
	word := uint64(0)
	if allowed {
		word = ^word
	}
	for i := range m.words {
		m.words[i] = word
	}
}

// Allow lets an item of the mask be recommended.
func (m *Mask) Allow(item int32) { m.words[item>>6] |= 1 << (item & 63) }

// Deny keeps an item of the mask from being recommended.
func (m *Mask) Deny(item int32) { m.words[item>>6] &^= 1 << (item & 63) }

// Allows reports whether an item may be recommended.
func (m *Mask) Allows(item int32) bool {
	if m == nil {
		return true
	}
	if word := uint32(item) >> 6; int(word) < len(m.words) {
		return m.words[word]>>(item&63)&1 != 0
	}
	return m.rest
}
