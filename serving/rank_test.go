package serving

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// rankedBy ranks the sources of a query and tells of all candidates, best first.
func rankedBy(q *query) (list []*candidate) {
	r := &q.mem.ranking
	r.join(q.mem.sources, &q.mem.demoted)
	for c := r.next(); c != nil; c = r.next() {
		c.told = true
		list = append(list, c)
	}
	r.attribute(q.mem.sources)
	return list
}

// plainRank says in maps what ranking does: by id the best word of every family, in the order in which families come up.
func plainRank(sources []source, seen map[string]bool, before map[string]bool) []*candidate {
	var families []string
	for _, s := range sources {
		if !slices.Contains(families, s.family) {
			families = append(families, s.family)
		}
	}
	byID := map[string]map[string]contribution{}
	for _, s := range sources {
		for _, p := range s.items {
			best := cmp.Or(s.scale, s.items[0].score)
			part := contribution{family: s.family, origin: p.origin, score: s.weight / best * p.score, rung: s.rung}
			if before[p.id] {
				continue
			}
			if byID[p.id] == nil {
				byID[p.id] = map[string]contribution{}
			}
			if known, ok := byID[p.id][s.family]; !ok || part.score > known.score {
				byID[p.id][s.family] = part
			}
		}
	}
	var list []*candidate
	for id, parts := range byID {
		c := &candidate{id: id}
		for _, family := range families {
			if part, ok := parts[family]; ok {
				c.score += part.score
				c.parts = append(c.parts, part)
			}
		}
		if seen[id] {
			c.score *= seenFactor
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
	})
	return list
}

func randomSources(rng *rand.Rand) []source {
	sources := make([]source, 1+rng.IntN(6))
	for i := range sources {
		s := &sources[i]
		s.family, s.rung, s.weight = fmt.Sprintf("f%d", rng.IntN(4)), rung(rng.IntN(3)), float64(1+rng.IntN(4))/4
		for range rng.IntN(40) {
			p := proposal{id: itemName(rng.IntN(30)), score: float64(1 + rng.IntN(8)), origin: itemName(rng.IntN(3))}
			if s.family == "f0" || !slices.ContainsFunc(s.items, func(o proposal) bool { return o.id == p.id }) {
				s.items = append(s.items, p)
			}
		}
		slices.SortStableFunc(s.items, func(a, b proposal) int { return cmp.Compare(b.score, a.score) })
		if rng.IntN(3) == 0 {
			s.scale = 3
		}
	}
	return sources
}

// The ranking is that of maps, whatever the sources, over several stages and in memory that requests before have used.
func TestRankingIsThatOfMaps(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	pool := newScratches()
	for round := range 400 {
		mem := pool.get()
		q := &query{mem: mem}
		before, seen := map[string]bool{}, map[string]bool{}
		for range rng.IntN(10) {
			id := itemName(rng.IntN(30))
			seen[id] = true
			mem.demoted.put(id)
		}
		for stage := range 1 + rng.IntN(3) {
			mem.sources = randomSources(rng)
			want := plainRank(mem.sources, seen, before)
			got := rankedBy(q)
			if len(got) != len(want) {
				t.Fatalf("round %d, stage %d: %d candidates, want %d", round, stage, len(got), len(want))
			}
			for i, w := range want {
				g := got[i]
				if g.id != w.id || g.score != w.score || !sameParts(g.parts, w.parts) {
					t.Fatalf("round %d, stage %d, place %d: %+v, want %+v", round, stage, i, g, w)
				}
				before[w.id] = true
			}
		}
		pool.put(mem)
	}
}

// sameParts compares contributions and that they come strongest first.
func sameParts(got, want []contribution) bool {
	byFamily := func(list []contribution) map[string]contribution {
		m := map[string]contribution{}
		for _, part := range list {
			m[part.family] = part
		}
		return m
	}
	return len(got) == len(want) && maps.Equal(byFamily(got), byFamily(want)) &&
		slices.IsSortedFunc(got, func(a, b contribution) int { return cmp.Compare(b.score, a.score) })
}

// An idTable is a map, also after it has grown and was used before.
func TestIDTableIsAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	table := newIDTable()
	for _, size := range []int{10, 3 * minTableSlots, maxTableSlots, 5} {
		table.reset()
		want := map[string]int32{}
		for range size {
			id := itemName(rng.IntN(size))
			number, added := table.put(id)
			if known, ok := want[id]; ok == added || ok && known != number {
				t.Fatalf("put %s: %d, %t; want %d, known %t", id, number, added, known, ok)
			}
			want[id] = number
		}
		for i := range 2 * size {
			if _, ok := want[itemName(i)]; table.has(itemName(i)) != ok {
				t.Fatalf("has %s: %t", itemName(i), !ok)
			}
		}
		if table.len() != len(want) {
			t.Fatalf("%d ids, want %d", table.len(), len(want))
		}
	}
}
