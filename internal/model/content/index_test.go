package content

import "testing"

// A term that more vectors have than a query reads takes no postings, whether it came to be so common at once or one by one; and
// what shares a rarer term is found nevertheless.
func TestTermsThatNoQueryReadsTakeNoPostings(t *testing.T) {
	var packed vectors
	const common, rare = 0, 1
	add := func(add func([]term), n int) {
		for range n {
			add([]term{{common, 0.5}})
		}
	}
	add(packed.add, maxPostings)
	cfg := Default()
	x := newIndex(nil, packed, 2)
	if len(x.lists[common]) != maxPostings {
		t.Fatalf("%d postings of a term of %d vectors", len(x.lists[common]), maxPostings)
	}
	one := x.add([]term{{common, 0.6}, {rare, 0.8}})
	other := x.add([]term{{common, 0.6}, {rare, 0.8}})
	for name, x := range map[string]*index{"one by one": &x, "at once": new(newIndex(nil, x.vectors, 2))} {
		if len(x.lists[common]) != 0 || len(x.lists[rare]) != 2 || x.counts[common] != maxPostings+2 {
			t.Errorf("%s: %d postings of %d, and %d", name, len(x.lists[common]), x.counts[common], len(x.lists[rare]))
		}
		s := newScratch()
		s.ask(&cfg, x, 1, false, func(int) int32 { return one })
		s.search(x)
		s.leave(one)
		var found []int32
		s.answers(&cfg, x, 10, nil, func(a answer) { found = append(found, a.place) })
		if len(found) != 1 || found[0] != other {
			t.Errorf("%s: found %v, want %d", name, found, other)
		}
	}
}
