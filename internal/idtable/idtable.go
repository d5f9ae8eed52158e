// Package idtable finds the numbers of ids whose texts are kept elsewhere, by number: a map of a million ids takes 50 MB beside the
// texts, a table 16.
package idtable

import "hash/maphash"

const (
	// minSlots is the room of a table that has an id.
	minSlots = 8
	// Of four slots at most three are full: with more, ids that are not there would be looked for long.
	fullSlots, ofSlots = 3, 4
	hashBits           = 32
)

var seed = maphash.MakeSeed()

// Hash is what a table finds an id by; it is another one in another process.
func Hash(id string) uint32 { return uint32(maphash.String(seed, id)) }

// Table holds numbers by the hash of their ids. It knows no texts: whoever looks for one compares it with that of every number that
// has its hash. The zero Table is empty. Reading is safe for concurrent use while nobody writes.
type Table struct {
	slots []slot // as many as a power of two, or none
	shift uint8  // of a hash, to the slot that its search begins at
	len   int
}

// slot is a number, and 1: 0 is an empty slot. The search for a hash goes on from slot to slot until an empty one.
type slot struct{ number, hash uint32 }

// Len returns how many numbers there are.
func (t *Table) Len() int { return t.len }

// Probe looks for the numbers of one hash.
type Probe struct {
	slots []slot
	at    uint32
	hash  uint32
}

// Probe begins to look for the numbers of a hash. The table must not change meanwhile.
func (t *Table) Probe(hash uint32) Probe {
	return Probe{slots: t.slots, at: hash >> t.shift, hash: hash}
}

// Next returns another number of the hash, below 0 when there are no more.
func (p *Probe) Next() int32 {
	if len(p.slots) == 0 {
		return -1
	}
	for {
		s := p.slots[p.at]
		if s.number == 0 {
			return -1
		}
		p.at = (p.at + 1) & uint32(len(p.slots)-1)
		if s.hash == p.hash {
			return int32(s.number - 1)
		}
	}
}

// Put adds a number of 0 or more, which must not be there.
func (t *Table) Put(hash uint32, number int32) {
	*t = t.Reserve(1)
	t.put(slot{uint32(number) + 1, hash})
	t.len++
}

func (t *Table) put(s slot) {
	at := s.hash >> t.shift
	for t.slots[at].number != 0 {
		at = (at + 1) & uint32(len(t.slots)-1)
	}
	t.slots[at] = s
}

// Reserve returns the table with room for n more: itself or, while others read it, another one to take its place.
func (t *Table) Reserve(n int) Table {
	size := max(len(t.slots), minSlots)
	for (t.len+n)*ofSlots > size*fullSlots {
		size *= 2
	}
	if size == len(t.slots) {
		return *t
	}
	grown := Table{slots: make([]slot, size), shift: hashBits, len: t.len}
	for s := size; s > 1; s /= 2 {
		grown.shift--
	}
	for _, s := range t.slots {
		if s.number != 0 {
			grown.put(s)
		}
	}
	return grown
}

// Remove takes out a number, which must be there by its hash. What follows it moves up, so that every search still finds it before an
// empty slot.
func (t *Table) Remove(hash uint32, number int32) {
	mask := uint32(len(t.slots) - 1)
	hole := hash >> t.shift
	for t.slots[hole].number != uint32(number)+1 {
		hole = (hole + 1) & mask
	}
	for at := (hole + 1) & mask; t.slots[at].number != 0; at = (at + 1) & mask {
		if begin := t.slots[at].hash >> t.shift; (at-begin)&mask >= (at-hole)&mask {
			t.slots[hole], hole = t.slots[at], at
		}
	}
	t.slots[hole] = slot{}
	t.len--
}
