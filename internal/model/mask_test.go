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
