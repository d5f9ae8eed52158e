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
type Index struct {
	offsets  []int32 // session s has items[offsets[s]:offsets[s+1]]
	items    []int32 // distinct items of a session, in the order of their last occurrence
	ends     []int64 // last event of each session, Unix milliseconds, never falling
	clicks   []int32 // clicks of each item, in all sessions
	starts   []int32 // item i is in postings[starts[i]:starts[i+1]]
	postings []int32 // sessions of an item, newest first
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
	x := &Index{offsets: []int32{0}, clicks: make([]int32, numItems)}
	for _, item := range sessions.Items {
		x.clicks[item]++
	}
	last := make([]int, numItems) // 1 + the event of an item's last occurrence in the session at hand
	for _, i := range neighbourOrder(sessions) {
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
	return x, nil
}

// neighbourOrder returns the sessions that may be neighbours, oldest first; equal times keep the input's order.
func neighbourOrder(sessions *model.Sessions) []int {
	lengths := make([]int, sessions.Len())
	for i := range lengths {
		lengths[i] = sessions.Offsets[i+1] - sessions.Offsets[i]
	}
	longest := 0
	if len(lengths) > 0 {
		sorted := slices.Sorted(slices.Values(lengths))
		longest = sorted[int(math.Ceil(maxLengthQuantile*float64(len(sorted))))-1]
	}
	var order []int
	for i, n := range lengths {
		if n >= 2 && n <= longest {
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
	for s := x.sessions() - 1; s >= 0; s-- {
		for _, item := range x.session(s) {
			x.postings[next[item]] = int32(s)
			next[item]++
		}
	}
}

func (x *Index) sessions() int { return len(x.ends) }

func (x *Index) numItems() int { return len(x.clicks) }

func (x *Index) session(s int) []int32 { return x.items[x.offsets[s]:x.offsets[s+1]] }

// longest returns the most distinct items of a session.
func (x *Index) longest() int {
	n := 0
	for s := range x.sessions() {
		n = max(n, len(x.session(s)))
	}
	return n
}

// newest returns at most m sessions that hold an item, newest first.
func (x *Index) newest(item int32, m int) []int32 {
	list := x.postings[x.starts[item]:x.starts[item+1]]
	return list[:min(m, len(list))]
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
