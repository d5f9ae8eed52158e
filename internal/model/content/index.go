package content

// index finds the vectors that are near a query: for every term it lists the vectors that have it.
type index struct {
	vectors [][]term    // by place; empty for an item of which nothing is known
	lists   [][]posting // by number of the term
	live    int         // vectors that are not empty
}

// posting is a vector that has a term.
type posting struct {
	place  int32
	weight float32
}

// newIndex makes the index of vectors, which it keeps. All lists share one array, each with room for its own alone.
func newIndex(vectors [][]term, numTerms int) index {
	x := index{vectors: vectors, lists: make([][]posting, numTerms)}
	counts, total := make([]int32, numTerms), 0
	for _, vector := range vectors {
		for _, t := range vector {
			counts[t.number]++
		}
		total += len(vector)
		if len(vector) > 0 {
			x.live++
		}
	}
	room := make([]posting, total)
	for n, count := range counts {
		x.lists[n], room = room[:0:count], room[count:]
	}
	for place, vector := range vectors {
		for _, t := range vector {
			x.lists[t.number] = append(x.lists[t.number], posting{int32(place), t.weight})
		}
	}
	return x
}

// add adds a vector at the next place, which it returns.
func (x *index) add(vector []term) int32 {
	place := int32(len(x.vectors))
	x.vectors = append(x.vectors, vector)
	for _, t := range vector {
		for int(t.number) >= len(x.lists) {
			x.lists = append(x.lists, nil)
		}
		x.lists[t.number] = append(x.lists[t.number], posting{place, t.weight})
	}
	if len(vector) > 0 {
		x.live++
	}
	return place
}

// drop forgets the vector at a place. Its postings stay, and lead nowhere.
func (x *index) drop(place int32) {
	if len(x.vectors[place]) > 0 {
		x.live--
	}
	x.vectors[place] = nil
}
