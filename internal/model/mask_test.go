package model

import (
	"math/rand/v2"
	"testing"
)

func TestMaskIsASetOfItems(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	m := &Mask{}
	for _, size := range []int{0, 1, 64, 65, 1000, 130} {
		for _, allowed := range []bool{false, true} {
			m.Reset(size, allowed)
			want := map[int32]bool{}
			for range size {
				item := int32(rng.IntN(size))
				if want[item] = rng.IntN(2) == 0; want[item] {
					m.Allow(item)
				} else {
					m.Deny(item)
				}
			}
			for item := range int32(size + 200) {
				expected, changed := want[item]
				if !changed {
					expected = allowed
				}
				if m.Allows(item) != expected {
					t.Fatalf("mask of %d, all %t: item %d is allowed %t", size, allowed, item, !expected)
				}
			}
		}
	}
	if !(*Mask)(nil).Allows(7) {
		t.Error("no mask leaves an item out")
	}
}

// A mask through places is the mask of the items themselves, and leaves what it was made of as it is.
func TestMaskThroughPlaces(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	m, plain := &Mask{}, &Mask{}
	for range 20 {
		items, bits := 1+rng.IntN(200), 300
		words, places := make([]uint64, (bits+63)/64), make([]int32, items)
		plain.Reset(items, false)
		for item, place := range rng.Perm(bits)[:items] {
			places[item] = int32(place)
			if rng.IntN(2) == 0 {
				words[place>>6] |= 1 << (place & 63)
				plain.Allow(int32(item))
			}
		}
		before := words[0]
		m.Through(words, places)
		for range 10 {
			item := int32(rng.IntN(items))
			m.Deny(item)
			plain.Deny(item)
		}
		m.Allow(0)
		plain.Allow(0)
		for item := range int32(items + 500) {
			if m.Allows(item) != plain.Allows(item) {
				t.Fatalf("item %d of %d is allowed %t", item, items, m.Allows(item))
			}
		}
		if words[0] != before {
			t.Fatal("a mask changes what it was made of")
		}
		m.Reset(items, true)
		if !m.Allows(0) || !m.Allows(int32(items+1)) {
			t.Fatal("places are left of a mask that was made again")
		}
	}
}
