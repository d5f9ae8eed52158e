package vmisknn

import (
	"slices"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/topk"
)

// candidate is a past session that shares an item with the query.
type candidate struct {
	session    int32
	similarity float32
	position   uint8   // position in the query of the most recent shared item, counted from 1
	from, to   int32   // places of the session's items in those of its index
	items      []int32 // they themselves, once they are gathered
	seen       int32   // what was read of them to have them near
}

// cursor walks the posting list of one query item.
type cursor struct {
	list     []int32 // sessions not yet seen, newest first; never empty
	rest     []int32 // and those of the base behind them
	position uint8   // of the item in the query, counted from 1
}

// vote is what a neighbour says for an item that it holds.
type vote struct {
	item     int32
	position int32 // of the candidate
	weight   float32
}

// tally is what a query notes of an item that is voted for. It is all together, because items are met in no order and each may have
// to come from far away. All but gain is zero between queries.
type tally struct {
	score float32
	gain  float32 // what idf makes of the score
	slot  int32   // place in the results, of an item that is marked as one
}

// result marks an item of the results, beside its position in the query.
const result = 1 << 7

// scratch is the working memory of one query.
type scratch struct {
	index      *Index    // of the last query: candidates lead into its memory
	query      []int32   // distinct looked-up items of the query, oldest first
	weights    []float32 // session weight of each
	itemWeight []float32 // VSTAN's weight of each as last shared item
	marks      []uint8   // by item: its position in query, counted from 1, and result; zero between queries, and small enough to stay near
	tallies    []tally   // by item
	cursors    []cursor  // a binary heap with the newest unseen session at the root
	candidates []candidate
	neighbours []candidate
	votes      []vote
	similar    topk.Best
	touched    []int32 // items with a score
	best       topk.Best
	causes     []float32 // by result and query item
}

func newScratch(gains []float32) *scratch {
	s := &scratch{marks: make([]uint8, len(gains)), tallies: make([]tally, len(gains))}
	for item, gain := range gains {
		s.tallies[item].gain = gain
	}
	return s
}

// load takes the last distinct items of the query and computes their weights.
func (s *scratch) load(m *Model, q model.Query) {
	s.index = m.index
	for i := len(q.Items) - 1; i >= 0 && len(s.query) < m.cfg.LastItems; i-- {
		item := q.Items[i]
		if item < 0 || int(item) >= len(s.tallies) || s.marks[item] > 0 {
			continue
		}
		s.marks[item] = 1
		s.query = append(s.query, item)
	}
	slices.Reverse(s.query)
	length := len(s.query)
	for i, item := range s.query {
		s.marks[item] = uint8(i + 1)
		session, last := 1.0, 1.0
		if !q.Set && m.cfg.Scoring == VSTAN {
			session, last = decayOver(length-i-1, m.cfg.SPW), decayOver(length-i-1, m.cfg.IPW)
		} else if !q.Set {
			session = positionWeight(m.cfg.Decay, i+1, length)
		}
		s.weights, s.itemWeight = append(s.weights, float32(session)), append(s.itemWeight, float32(last))
	}
}

// findCandidates collects the m newest sessions that share a weighted item with the query, newest first, each with the
// sum of the weights of the shared items. VMIS-kNN keeps the m newest sessions in a heap on time while it goes through
// one posting list after the other, and leaves a list at the first session older than the heap's oldest. Here the heap
// holds the heads of the lists and merges them by time: the same m sessions come out with the same weights, no session
// is ever dropped again, no map is needed, and all lists are left once m sessions are found.
func (s *scratch) findCandidates(x *Index, m int) {
	for i, item := range s.query {
		if list, rest := x.newest(item, m); s.weights[i] > 0 && len(list) > 0 {
			s.cursors = append(s.cursors, cursor{list: list, rest: rest, position: uint8(i + 1)})
		}
	}
	for i := len(s.cursors)/2 - 1; i >= 0; i-- {
		s.sink(i)
	}
	for len(s.cursors) > 0 {
		head := &s.cursors[0]
		session, position := head.list[0], head.position
		if n := len(s.candidates); n > 0 && s.candidates[n-1].session == session {
			c := &s.candidates[n-1]
			c.similarity += s.weights[position-1]
			c.position = max(c.position, position)
		} else if n == m {
			return
		} else {
			s.candidates = append(s.candidates, candidate{session: session, similarity: s.weights[position-1], position: position})
		}
		if head.list = head.list[1:]; len(head.list) == 0 {
			head.list, head.rest = head.rest, nil
		}
		if len(head.list) == 0 {
			last := len(s.cursors) - 1
			s.cursors[0] = s.cursors[last]
			s.cursors = s.cursors[:last]
		}
		s.sink(0)
	}
}

// sink restores the heap below place i. Equal sessions come newest query item first, so that sums are always added in
// the same order.
func (s *scratch) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(s.cursors) {
			return
		}
		if right := child + 1; right < len(s.cursors) && s.cursors[right].before(&s.cursors[child]) {
			child = right
		}
		if !s.cursors[child].before(&s.cursors[i]) {
			return
		}
		s.cursors[i], s.cursors[child] = s.cursors[child], s.cursors[i]
		i = child
	}
}

func (c *cursor) before(other *cursor) bool {
	if c.list[0] != other.list[0] {
		return c.list[0] > other.list[0]
	}
	return c.position > other.position
}

// chooseNeighbours keeps the k most similar candidates, ties to the newer.
func (s *scratch) chooseNeighbours(k int) {
	if len(s.candidates) <= k {
		s.neighbours = append(s.neighbours, s.candidates...)
		return
	}
	s.similar.Reset(k)
	for i, c := range s.candidates { // newest first: the lower id is the newer session
		s.similar.Push(int32(i), c.similarity)
	}
	for _, e := range s.similar.Unsorted() {
		s.neighbours = append(s.neighbours, s.candidates[e.ID])
	}
}

// lastShared returns the place of the last item of a neighbour that is in the query; every neighbour has one.
func (s *scratch) lastShared(items []int32) int {
	for at := len(items) - 1; at > 0; at-- {
		if s.marks[items[at]] > 0 {
			return at
		}
	}
	return 0
}

// clear makes the scratch ready for the next query.
func (s *scratch) clear() {
	for _, item := range s.touched {
		s.tallies[item].score = 0
	}
	for _, item := range s.query {
		s.marks[item] = 0
	}
	s.query, s.weights, s.itemWeight = s.query[:0], s.weights[:0], s.itemWeight[:0]
	s.cursors, s.candidates, s.neighbours, s.votes = s.cursors[:0], s.candidates[:0], s.neighbours[:0], s.votes[:0]
}
