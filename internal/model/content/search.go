package content

import (
	"cmp"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/topk"
)

const (
	// maxPostings bounds the postings that one query reads, the rarest terms first: some 150 µs. What does not fit is of terms
	// that many items have; of a term that more have than this no postings are kept.
	maxPostings = 20_000
	// So many more candidates than wanted are compared in full: lists know weights roughly, and a query may not read all of its.
	compareMore = 50
	// A term that more than one in commonShare items has tells them apart hardly at all, and reading its list costs most. In a
	// small catalogue it costs nothing and may be all there is.
	commonShare    = 2
	smallCatalogue = 1_000
	// termRoom is the room for the terms of a query before it grows: those of ten items.
	termRoom = 1_024
)

// scratch is the working memory of one query. The scores are all zero between queries.
type scratch struct {
	items   []asked     // of the query
	terms   []askedTerm // of all its items, in the order of numbers and then of items
	lists   []askedList
	length  float32   // of the sum of its vectors
	scores  []float32 // by place
	touched []int32   // places with a score
	left    []int32   // places that are no answers
	news    []nearAnswer
	shares  []float32 // what each item of the query gives to one answer
	cause   []int32   // of each answer, by its place among the candidates
	wide    topk.Best // candidates
	best    topk.Best // answers, by their place among the candidates
}

func newScratch() *scratch {
	return &scratch{terms: make([]askedTerm, 0, termRoom), lists: make([]askedList, 0, termRoom)}
}

// asked is an item of the query: its place in the index and what its vector counts.
type asked struct {
	place  int32
	weight float32
}

// askedTerm is a term of an item of the query.
type askedTerm struct {
	number int32
	weight float32
	item   int32 // in scratch.items
}

// askedList is the list of a term with its weight in the query.
type askedList struct {
	number   int32
	count    int32
	weight   float32
	postings []posting
}

// ask takes the last n distinct items of a query that are known, newest first, and adds up their vectors. place tells where the
// i-th of the query is, below 0 where it is unknown; of a set every item weighs the same. It reports whether any is known.
func (s *scratch) ask(c *Config, x *index, n int, set bool, place func(i int) int32) bool {
	s.items = s.items[:0]
	weight := float32(1)
	for i := n - 1; i >= 0 && len(s.items) < c.LastItems; i-- {
		at := place(i)
		if at < 0 || int(at) >= x.vectors.len() || x.vectors.sizes[at] == 0 ||
			slices.ContainsFunc(s.items, func(a asked) bool { return a.place == at }) {
			continue
		}
		s.items = append(s.items, asked{at, weight})
		if !set {
			weight *= float32(c.HistoryDecay)
		}
	}
	s.sum(x)
	return len(s.items) > 0
}

// sum adds up the vectors of the query's items.
func (s *scratch) sum(x *index) {
	s.terms, s.lists = s.terms[:0], s.lists[:0]
	for i, a := range s.items {
		vector := x.vectors.at(a.place)
		for n := range vector.terms() {
			t := vector.term(n)
			s.terms = append(s.terms, askedTerm{t.number, a.weight * t.weight, int32(i)})
		}
	}
	if len(s.items) > 1 {
		slices.SortFunc(s.terms, func(a, b askedTerm) int { return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.item, b.item)) })
	}
	length := 0.0
	for from := 0; from < len(s.terms); {
		number, weight, to := s.terms[from].number, float32(0), from
		for ; to < len(s.terms) && s.terms[to].number == number; to++ {
			weight += s.terms[to].weight
		}
		s.lists = append(s.lists, askedList{number: number, count: x.counts[number], weight: weight, postings: x.lists[number]})
		length += float64(weight) * float64(weight)
		from = to
	}
	s.length = float32(math.Sqrt(length))
}

// search scores the vectors that share a term with the query, the rarest terms first.
func (s *scratch) search(x *index) {
	if n := x.vectors.len(); len(s.scores) < n {
		s.scores = make([]float32, n+n/8) // for the items that come
	}
	slices.SortFunc(s.lists, func(a, b askedList) int {
		return cmp.Or(cmp.Compare(a.count, b.count), cmp.Compare(a.number, b.number))
	})
	left := maxPostings
	for _, list := range s.lists {
		n := int(list.count)
		if n > left || n > smallCatalogue && n > x.live/commonShare {
			return // the lists that follow are longer
		}
		left -= n
		weight := list.weight / s.length
		for _, p := range list.postings {
			place := p.place()
			if s.scores[place] == 0 {
				s.touched = append(s.touched, place)
			}
			s.scores[place] += weight * p.weight()
		}
	}
}

// leave takes a place out of the answer.
func (s *scratch) leave(place int32) {
	if place >= 0 && int(place) < len(s.scores) {
		s.scores[place] = 0
	}
}

// answer is one of the nearest vectors: its place, its cosine and the item of the query that gives most to it.
type answer struct {
	place   int32
	score   float32
	because int32 // place
}

// answers calls yield with the k nearest of what was searched and may be shown, best first, ties to the lower place, none below
// MinScore; and clears the scores. A nil shown shows all.
func (s *scratch) answers(c *Config, x *index, k int, shown func(place int32) bool, yield func(answer)) {
	s.wide.Reset(k + compareMore)
	for _, place := range s.touched {
		score := s.scores[place]
		s.scores[place] = 0
		if score <= 0 || score < s.wide.Floor() || x.vectors.sizes[place] == 0 || shown != nil && !shown(place) {
			continue
		}
		s.wide.Push(place, score)
	}
	s.touched = s.touched[:0]
	candidates := s.wide.Sorted()
	s.best.Reset(k)
	s.cause = s.cause[:0]
	slices.SortFunc(candidates, func(a, b topk.Entry) int { return cmp.Compare(a.ID, b.ID) })
	for i, e := range candidates {
		score, because := s.compare(x.vectors.at(e.ID))
		s.cause = append(s.cause, because)
		if float64(score) >= c.MinScore {
			s.best.Push(int32(i), score)
		}
	}
	for _, e := range s.best.Sorted() {
		yield(answer{candidates[e.ID].ID, e.Score, s.cause[e.ID]})
	}
}

// compare is the cosine of the query and a vector, with the place of the item of the query that gives most to it; ties to the newer.
func (s *scratch) compare(vector Vector) (cosine float32, because int32) {
	if len(s.shares) < len(s.items) {
		s.shares = make([]float32, len(s.items))
	}
	shares := s.shares[:len(s.items)]
	clear(shares)
	rest := s.terms
	for n := range vector.terms() {
		t := vector.term(n)
		for len(rest) > 0 && rest[0].number < t.number {
			rest = rest[1:]
		}
		for ; len(rest) > 0 && rest[0].number == t.number; rest = rest[1:] {
			shares[rest[0].item] += rest[0].weight * t.weight
		}
	}
	best, sum := 0, float32(0)
	for i, share := range shares {
		if sum += share; share > shares[best] {
			best = i
		}
	}
	return sum / s.length, s.items[best].place
}
