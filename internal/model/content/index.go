package content

import "github.com/millrace/millrace/internal/parallel"

// index finds the vectors that are near a query: for every term it lists the vectors that have it.
type index struct {
	vectors vectors
	counts  []int32     // by number of the term: the vectors that have, or had it
	lists   [][]posting // by number of the term; none of a term that so many have that no query reads it
	live    int         // vectors that are not empty
}

// newIndex makes the index of vectors, which it keeps. All lists share one array, each with room for its own alone.
func newIndex(gently *parallel.Gently, packed vectors, numTerms int) index {
	x := index{vectors: packed, counts: make([]int32, numTerms), lists: make([][]posting, numTerms)}
	x.eachTerm(gently, func(_ int32, t term) { x.counts[t.number]++ })
	total := 0
	for _, count := range x.counts {
		if count <= maxPostings {
			total += int(count)
		}
	}
	room := make([]posting, total)
	for n, count := range x.counts {
		if count <= maxPostings {
			x.lists[n], room = room[:0:count], room[count:]
		}
	}
	x.eachTerm(gently, func(place int32, t term) {
		if x.counts[t.number] <= maxPostings {
			x.lists[t.number] = append(x.lists[t.number], newPosting(place, t.weight))
		}
	})
	for _, size := range packed.sizes {
		if size > 0 {
			x.live++
		}
	}
	return x
}

// eachTerm calls f with every term of the vectors that can be found, by their places.
func (x *index) eachTerm(gently *parallel.Gently, f func(place int32, t term)) {
	for place := range int32(min(x.vectors.len(), maxPlaces)) {
		gently.Step()
		vector := x.vectors.at(place)
		for i := range vector.terms() {
			f(place, vector.term(i))
		}
	}
}

// add adds a vector at the next place, which it returns.
func (x *index) add(vector []term) int32 {
	place := int32(x.vectors.len())
	x.vectors.add(vector)
	if len(vector) > 0 {
		x.live++
	}
	if place >= maxPlaces {
		return place
	}
	for _, t := range vector {
		for int(t.number) >= len(x.lists) {
			x.lists, x.counts = append(x.lists, nil), append(x.counts, 0)
		}
		if x.counts[t.number]++; x.counts[t.number] > maxPostings {
			x.lists[t.number] = nil
			continue
		}
		x.lists[t.number] = append(x.lists[t.number], newPosting(place, t.weight))
	}
	return place
}

// drop forgets the vector at a place. Its postings stay, and lead nowhere.
func (x *index) drop(place int32) {
	if x.vectors.sizes[place] > 0 {
		x.live--
	}
	x.vectors.sizes[place] = 0
}
