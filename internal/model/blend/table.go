package blend

import "math/bits"

// table finds the place of an item among the candidates of one query. It is a hash table with linear probing whose size
// follows from the candidates and not from the catalogue, which may grow by the second.
type table struct {
	keys   []int32 // item + 1; 0 is free
	places []int32
	shift  uint
}

// reset forgets everything and makes room for n items.
func (t *table) reset(n int) {
	size := 1 << bits.Len(uint(2*max(n, 1)-1)) // at most half full
	if len(t.keys) != size {
		t.keys, t.places = make([]int32, size), make([]int32, size)
	}
	clear(t.keys)
	t.shift = uint(32 - bits.TrailingZeros(uint(size)))
}

// slot is where an item is, or belongs.
func (t *table) slot(item int32) int {
	const golden = 2_654_435_769 // 2^32 over the golden ratio: neighbouring items come to lie apart
	at := int(uint32(item) * golden >> t.shift)
	for t.keys[at] != 0 && t.keys[at] != item+1 {
		if at++; at == len(t.keys) {
			at = 0
		}
	}
	return at
}

// put returns the place of an item; added says that it had none and took this one.
func (t *table) put(item, place int32) (at int32, added bool) {
	slot := t.slot(item)
	if t.keys[slot] == 0 {
		t.keys[slot], t.places[slot] = item+1, place
		return place, true
	}
	return t.places[slot], false
}

// find returns the place of an item that was put.
func (t *table) find(item int32) int32 { return t.places[t.slot(item)] }
