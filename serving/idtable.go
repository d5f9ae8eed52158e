package serving

import "hash/maphash"

const (
	// minTableSlots is the room of an idTable before it grows: the candidates of a usual request.
	minTableSlots = 1 << 10
	// maxTableSlots is the room that an idTable keeps from one request to the next.
	maxTableSlots = 1 << 14
)

// idTable numbers ids in the order in which they come: a set of ids, or a map by id where the values lie in a slice of their
// own. It keeps its memory from one request to the next, and a lookup costs half of what a map's does.
type idTable struct {
	seed  maphash.Seed
	slots []idSlot // a power of two, at most half of them full
	ids   []string // by number
}

// idSlot is a number and more of the hash than tells the slot, so that few texts are compared in vain.
type idSlot struct {
	number int32 // of the id, and 1: 0 is an empty slot
	hash   uint32
}

func newIDTable() idTable {
	return idTable{seed: maphash.MakeSeed(), slots: make([]idSlot, minTableSlots)}
}

// reset forgets all ids.
func (t *idTable) reset() {
	if len(t.ids) == 0 {
		return
	}
	clear(t.ids)
	t.ids = t.ids[:0]
	if len(t.slots) > maxTableSlots {
		t.slots = make([]idSlot, minTableSlots)
		return
	}
	clear(t.slots)
}

func (t *idTable) len() int { return len(t.ids) }

// put returns the number of an id, and whether it is new.
func (t *idTable) put(id string) (number int32, added bool) {
	hash := maphash.String(t.seed, id)
	at, number := t.find(id, hash)
	if number >= 0 {
		return number, false
	}
	number = int32(len(t.ids))
	t.ids = append(t.ids, id)
	t.slots[at] = idSlot{number + 1, uint32(hash >> 32)}
	if 2*len(t.ids) > len(t.slots) {
		t.grow()
	}
	return number, true
}

// number returns the number of an id; ok is false where it is not there.
func (t *idTable) number(id string) (number int32, ok bool) {
	if len(t.ids) == 0 {
		return -1, false
	}
	_, number = t.find(id, maphash.String(t.seed, id))
	return number, number >= 0
}

// has reports whether an id is there.
func (t *idTable) has(id string) bool {
	_, ok := t.number(id)
	return ok
}

// find returns the slot of an id and its number, or the slot where it would be and -1.
func (t *idTable) find(id string, hash uint64) (at uint64, number int32) {
	mask := uint64(len(t.slots) - 1)
	for at = hash & mask; ; at = (at + 1) & mask {
		slot := &t.slots[at]
		if slot.number == 0 {
			return at, -1
		}
		if slot.hash == uint32(hash>>32) && t.ids[slot.number-1] == id {
			return at, slot.number - 1
		}
	}
}

func (t *idTable) grow() {
	t.slots = make([]idSlot, 2*len(t.slots))
	for number, id := range t.ids {
		hash := maphash.String(t.seed, id)
		at, _ := t.find(id, hash)
		t.slots[at] = idSlot{int32(number) + 1, uint32(hash >> 32)}
	}
}
