package topk

import "math"

// key is an entry as one number, lower for the better one: the score, made a number whose order is the other way round, above the
// id. Numbers are compared and moved in one step, and without a branch that nobody could foresee.
type key uint64

// keyOf packs an entry.
func keyOf(id int32, score float32) key {
	return key(turned(math.Float32bits(score+0)))<<32 | key(uint32(id)) // + 0 makes one zero of both
}

// entry unpacks a key.
func (k key) entry() Entry {
	return Entry{ID: int32(k), Score: math.Float32frombits(turned(uint32(k >> 32)))}
}

// turned maps the bits of a number to an integer that is the lower, the higher the number is, and such an integer back to the bits.
// Those of numbers below zero already fall while the number rises, and have the highest bit to come last.
func turned(bits uint32) uint32 { return bits ^ (^uint32(int32(bits)>>31) & math.MaxInt32) }

// few keys are sorted rather than parted.
const few = 8

// choose brings the n best keys to the front, in no order but that the worst of them is the last (quickselect of Hoare, "Algorithm
// 65: Find", 1961). n is 1 or more and less than there are keys.
func choose(keys []key, n int) {
	for len(keys) > few {
		switch middle := part(keys); {
		case middle >= n:
			keys = keys[:middle]
		case middle == n-1:
			return
		default:
			keys, n = keys[middle+1:], n-middle-1
		}
	}
	for i, k := range keys {
		for ; i > 0 && keys[i-1] > k; i-- {
			keys[i] = keys[i-1]
		}
		keys[i] = k
	}
}

// part chooses a key of middling rank, brings the lower ones before it and the others behind it, and returns its place. It looks at
// a few keys that lie apart, so that none of the orders in which scores come by themselves makes it choose badly. Nothing branches
// on which keys are lower (Lomuto's scheme, without branches).
func part(keys []key) (middle int) {
	last, quarter := len(keys)-1, len(keys)/4
	a, b, c := keys[quarter], keys[2*quarter], keys[3*quarter]
	pivot := max(min(a, b), min(max(a, b), c))
	switch pivot { // the last place is made free for it
	case a:
		keys[quarter] = keys[last]
	case b:
		keys[2*quarter] = keys[last]
	default:
		keys[3*quarter] = keys[last]
	}
	for i, k := range keys[:last] {
		keys[i], keys[middle] = keys[middle], k
		lower := 0
		if k < pivot {
			lower = 1
		}
		middle += lower
	}
	keys[last], keys[middle] = keys[middle], pivot
	return middle
}
