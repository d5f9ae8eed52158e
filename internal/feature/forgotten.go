package feature

import (
	"slices"

	"github.com/cespare/xxhash/v2"
)

const (
	// forgottenBits is the size of a fingerprint: with the set full, an id that was never met is found with a probability of
	// MaxForgotten / 2^forgottenBits < 0.1 %, with fewer members in proportion less often.
	forgottenBits = 21
	// MaxForgotten is how many members the filter holds, in some 2 bytes each when full. Beyond it those with the greatest
	// fingerprints are given up, which is a fixed choice by hash.
	MaxForgotten = 2048
)

// Forgotten is the set of items that fell out of an exact list: sorted fingerprints, encoded as differences, as in a Golomb
// coded set (Putze, Sanders, Singler 2007), which needs less than a Bloom filter of the same error and merges exactly. It
// is the MaxForgotten smallest fingerprints of all that were ever added, whatever the order.
type Forgotten []uint32

func fingerprint(itemID string) uint32 {
	return uint32(xxhash.Sum64String(itemID) >> (64 - forgottenBits))
}

func (f Forgotten) add(print uint32) Forgotten {
	at, found := slices.BinarySearch(f, print)
	if found || at >= MaxForgotten {
		return f
	}
	f = slices.Insert(f, at, print)
	return f[:min(len(f), MaxForgotten)]
}

// addItem adds the item that fell out of a list, if one did.
func (f Forgotten) addItem(itemID string) Forgotten {
	if itemID == "" {
		return f
	}
	return f.add(fingerprint(itemID))
}

func (f Forgotten) merge(o Forgotten) Forgotten {
	for _, print := range o {
		f = f.add(print)
	}
	return f
}

// Has reports whether the item is a member, in the error of MaxForgotten.
func (f Forgotten) Has(itemID string) bool {
	_, found := slices.BinarySearch(f, fingerprint(itemID))
	return found
}
