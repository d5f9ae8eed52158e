package vmisknn

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/model"
)

// maxLengthQuantile is the quantile of session lengths above which a session is no neighbour: the longest sessions are
// crawlers and kiosks, share an item with everybody and cost the most.
const maxLengthQuantile = 0.995

// Index is the searchable past. Sessions are numbered by the time of their last event, so a greater number is a newer
// session and comparing numbers compares times. An Index does not change and may serve several configurations.
//
// An index may lie over another one, whose sessions come first and count as older (Over): then all but clicks holds only what
// the base does not.
type Index struct {
	base     *Index
	first    int     // sessions of the base
	offsets  []int32 // session first+s has items[offsets[s]:offsets[s+1]]
	items    []int32 // distinct items of a session, in the order of their last occurrence
	ends     []int64 // last event of each session, Unix milliseconds, never falling
	clicks   []int32 // clicks of each item, in all sessions
	starts   []int32 // item i is in postings[starts[i]:starts[i+1]]
	postings []int32 // sessions of an item, newest first
	owner    any     // of the memory that what was decoded lies in
}

// BuildIndex makes an index over a vocabulary of numItems. Sessions of one event, which show no way from item to item,
// and those longer than the 99.5th percentile count as clicks only.
func BuildIndex(sessions *model.Sessions, numItems int) (*Index, error) {
	if err := sessions.Check(numItems); err != nil {
		return nil, fmt.Errorf("build session index: %w", err)
	}
	if sessions.Events() > math.MaxInt32 {
		return nil, fmt.Errorf("build session index: %d events are more than %d", sessions.Events(), math.MaxInt32)
	}
	x := &Index{clicks: make([]int32, numItems)}
	x.add(sessions, longestNeighbour(sessions))
	return x, nil
}

// add indexes sessions of 2 to longest events, and counts the clicks of all.
func (x *Index) add(sessions *model.Sessions, longest int) {
	x.offsets = []int32{0}
	for _, item := range sessions.Items {
		x.clicks[item]++
	}
	last := make([]int, len(x.clicks)) // 1 + the event of an item's last occurrence in the session at hand
	for _, i := range neighbourOrder(sessions, longest) {
		items, times := sessions.At(i)
		for e, item := range items {
			last[item] = e + 1
		}
		for e, item := range items {
			if last[item] == e+1 {
				x.items = append(x.items, item)
			}
		}
		for _, item := range items {
			last[item] = 0
		}
		x.offsets = append(x.offsets, int32(len(x.items)))
		x.ends = append(x.ends, times[len(times)-1])
	}
	x.buildPostings()
}

// longestNeighbour is how many events a session may have to be a neighbour.
func longestNeighbour(sessions *model.Sessions) int {
	if sessions.Len() == 0 {
		return 0
	}
	lengths := make([]int, sessions.Len())
	for i := range lengths {
		lengths[i] = sessions.Offsets[i+1] - sessions.Offsets[i]
	}
	slices.Sort(lengths)
	return lengths[int(math.Ceil(maxLengthQuantile*float64(len(lengths))))-1]
}

// neighbourOrder returns the sessions that may be neighbours, oldest first; equal times keep the input's order.
func neighbourOrder(sessions *model.Sessions, longest int) []int {
	var order []int
	for i := range sessions.Len() {
		if n := sessions.Offsets[i+1] - sessions.Offsets[i]; n >= 2 && n <= longest {
			order = append(order, i)
		}
	}
	end := func(i int) int64 { return sessions.Times[sessions.Offsets[i+1]-1] }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(end(a), end(b)) })
	return order
}

// buildPostings derives the postings from the sessions.
func (x *Index) buildPostings() {
	numItems := len(x.clicks)
	x.starts = make([]int32, numItems+1)
	for _, item := range x.items {
		x.starts[item+1]++
	}
	for i := range numItems {
		x.starts[i+1] += x.starts[i]
	}
	x.postings = make([]int32, len(x.items))
	next := slices.Clone(x.starts)
	for s := x.sessions() - 1; s >= x.first; s-- {
		for _, item := range x.session(s) {
			x.postings[next[item]] = int32(s)
			next[item]++
		}
	}
}

func (x *Index) sessions() int { return x.first + len(x.ends) }

func (x *Index) numItems() int { return len(x.clicks) }

func (x *Index) session(s int) []int32 {
	if s < x.first {
		return x.base.session(s)
	}
	s -= x.first
	return x.items[x.offsets[s]:x.offsets[s+1]]
}

// gather looks the items of sessions up. They lie anywhere in the memory of the past; that first all places are read, and then the
// ends of each session, with nothing to decide in between, lets the processor wait for many at once and not for one after the other.
func (x *Index) gather(sessions []candidate) {
	for i := range sessions {
		c, of := &sessions[i], x
		if int(c.session) < x.first {
			of = x.base
		}
		at := int(c.session) - of.first
		c.from, c.to = of.offsets[at], of.offsets[at+1]
	}
	for i := range sessions {
		c, of := &sessions[i], x
		if int(c.session) < x.first {
			of = x.base
		}
		c.items = of.items[c.from:c.to]
		c.seen = c.items[0] + c.items[len(c.items)-1]
	}
}

// longest returns the most distinct items of a session that the base does not have.
func (x *Index) longest() int {
	n := 0
	for s := x.first; s < x.sessions(); s++ {
		n = max(n, len(x.session(s)))
	}
	return n
}

// newest returns at most m sessions that hold an item, newest first, in two parts: rest is of the base and follows list. Only
// rest may be empty while the other is not.
func (x *Index) newest(item int32, m int) (list, rest []int32) {
	list = x.postings[x.starts[item]:x.starts[item+1]]
	list = list[:min(m, len(list))]
	if x.base != nil && len(list) < m && int(item) < x.base.numItems() {
		rest, _ = x.base.newest(item, m-len(list))
	}
	if len(list) == 0 {
		return rest, nil
	}
	return list, rest
}

// idf returns ln(clicks / clicks of the item) of every item; 0 for items without a click.
func (x *Index) idf() []float64 {
	total := 0
	for _, n := range x.clicks {
		total += int(n)
	}
	out := make([]float64, len(x.clicks))
	for i, n := range x.clicks {
		if n > 0 {
			out[i] = math.Log(float64(total) / float64(n))
		}
	}
	return out
}
