package idtable

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// shelf is a table with its texts, and a map that says what it should say.
type shelf struct {
	table Table
	texts []string
	want  map[string]int32
	hash  func(string) uint32
}

func (s *shelf) find(id string) int32 {
	for p := s.table.Probe(s.hash(id)); ; {
		if n := p.Next(); n < 0 || s.texts[n] == id {
			return n
		}
	}
}

func (s *shelf) put(id string) {
	n := int32(len(s.texts))
	s.texts = append(s.texts, id)
	s.table.Put(s.hash(id), n)
	s.want[id] = n
}

func (s *shelf) remove(id string) {
	s.table.Remove(s.hash(id), s.want[id])
	delete(s.want, id)
}

func (s *shelf) check(t *testing.T, ids int) {
	t.Helper()
	if s.table.Len() != len(s.want) {
		t.Fatalf("%d of %d", s.table.Len(), len(s.want))
	}
	for i := range ids {
		id := name(i)
		want, known := s.want[id]
		if !known {
			want = -1
		}
		if got := s.find(id); got != want {
			t.Fatalf("%s has the number %d, want %d", id, got, want)
		}
	}
}

func name(i int) string { return fmt.Sprintf("item-%d", i) }

// Ids that come, go and come again under other numbers are found as in a map, also where many have one hash or hashes that begin alike
// and lie across the end of the slots.
func TestATableIsAMap(t *testing.T) {
	for kind, hash := range map[string]func(string) uint32{
		"hashes":           Hash,
		"few hashes":       func(id string) uint32 { return Hash(id) % 7 << 29 },
		"one hash":         func(string) uint32 { return 1<<32 - 1 },
		"all at the end":   func(id string) uint32 { return Hash(id) | 0xffff_f000 },
		"all at the begin": func(id string) uint32 { return Hash(id) & 0xfff },
	} {
		t.Run(kind, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			s := shelf{want: map[string]int32{}, hash: hash}
			const ids = 300
			s.check(t, ids)
			for step := range 5_000 {
				id := name(rng.IntN(ids))
				if _, known := s.want[id]; known {
					s.remove(id)
				} else {
					s.put(id)
				}
				if step%100 == 0 {
					s.check(t, ids)
				}
			}
			s.check(t, ids)
		})
	}
}

// What is reserved is made beside a table that others read, and takes in what was reserved for without growing again.
func TestReservingLeavesTheTableAlone(t *testing.T) {
	s := shelf{want: map[string]int32{}, hash: Hash}
	for i := range 10 {
		s.put(name(i))
	}
	before := s.table
	s.table = before.Reserve(1_000)
	if len(before.slots) == len(s.table.slots) {
		t.Fatal("there was room before")
	}
	slots := &s.table.slots[0]
	for i := range 1_000 {
		s.put(name(10 + i))
	}
	if slots != &s.table.slots[0] {
		t.Error("it grew again")
	}
	s.check(t, 1_010)
	s.table = before
	if s.find(name(3)) != 3 || s.find(name(700)) != -1 {
		t.Error("the table that others read has changed")
	}
}

// BenchmarkFind looks up known ids among a million, beside a map.
func BenchmarkFind(b *testing.B) {
	const ids = 1_000_000
	s := shelf{want: map[string]int32{}, hash: Hash}
	for i := range ids {
		s.put(name(i))
	}
	b.Run("table", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if s.find(s.texts[i*7919%ids]) < 0 {
				b.Fatal("not there")
			}
		}
	})
	b.Run("map", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, ok := s.want[s.texts[i*7919%ids]]; !ok {
				b.Fatal("not there")
			}
		}
	})
}
