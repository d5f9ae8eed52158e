package eval

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/internal/model"
)

// Kinds of slices.
const (
	sliceVisitor  = "visitor"
	sliceItem     = "item"
	sliceCategory = "category"
	sliceDevice   = "device"
)

const (
	// headShare is the share of the training clicks that the items of the head have; all other items are the tail.
	headShare = 0.8
	// topCategories bounds the categories that are told apart: those with the most training clicks.
	topCategories = 8
	// SmallSlice is the number of predictions below which a slice is too small to conclude anything from.
	SmallSlice = 100
)

// sliceName is one slice of a test.
type sliceName struct{ kind, name string }

// slicing says which slices cases belong to. Those of visitors and devices hold whole cases; those of items and categories
// hold of a case what it wants of them, so that a case of several wanted items can be in several.
type slicing struct {
	names  []sliceName
	number map[sliceName]int
	byItem [][]int // slices of each item
	cold   int     // that of items that no model knows
	people bool    // visitors are known, so that an empty history means somebody new
}

// newSlicing makes the slices of a training part; people says whether visitors are known.
func newSlicing(train *Part, people bool) *slicing {
	s := &slicing{number: map[sliceName]int{}, byItem: make([][]int, train.NumItems), people: people}
	clicks := clicksOf(train)
	s.splitHead(clicks)
	s.cold = s.of(sliceItem, "cold")
	categories := train.Categories()
	for _, name := range mostClicked(categories, clicks) {
		n := s.of(sliceCategory, name)
		for item, of := range categories {
			if slices.Contains(of, name) {
				s.byItem[item] = append(s.byItem[item], n)
			}
		}
	}
	return s
}

// clicksOf counts the events of each item.
func clicksOf(train *Part) []int {
	clicks := make([]int, train.NumItems)
	for _, item := range train.Sessions.Items {
		clicks[item]++
	}
	return clicks
}

// splitHead puts the most clicked items into the head until it has its share of the clicks.
func (s *slicing) splitHead(clicks []int) {
	head, tail := s.of(sliceItem, "head"), s.of(sliceItem, "tail")
	order, all := make([]int, len(clicks)), 0
	for item, n := range clicks {
		order[item] = item
		all += n
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(clicks[b], clicks[a]) })
	sum := 0
	for _, item := range order {
		if float64(sum) < headShare*float64(all) {
			s.byItem[item] = append(s.byItem[item], head)
		} else {
			s.byItem[item] = append(s.byItem[item], tail)
		}
		sum += clicks[item]
	}
}

// mostClicked lists the categories with the most clicks, those first.
func mostClicked(categories [][]string, clicks []int) []string {
	sums := map[string]int{}
	var names []string
	for item, of := range categories {
		for _, name := range of {
			if _, ok := sums[name]; !ok {
				names = append(names, name)
			}
			sums[name] += clicks[item]
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(sums[b], sums[a]), cmp.Compare(a, b)) })
	return names[:min(topCategories, len(names))]
}

// of returns the number of a slice, a new one where it has none.
func (s *slicing) of(kind, name string) int {
	key := sliceName{kind, name}
	n, ok := s.number[key]
	if !ok {
		n = len(s.names)
		s.number[key], s.names = n, append(s.names, key)
	}
	return n
}

// ofCase appends the slices of the whole case.
func (s *slicing) ofCase(to []int, q model.Query) []int {
	switch {
	case !s.people:
	case len(q.History) == 0:
		to = append(to, s.of(sliceVisitor, "new"))
	default:
		to = append(to, s.of(sliceVisitor, "returning"))
	}
	if q.Segment != "" {
		to = append(to, s.of(sliceDevice, q.Segment))
	}
	return to
}

// ofItem lists the slices of a wanted item.
func (s *slicing) ofItem(item int32) []int {
	if item == unknownItem {
		return []int{s.cold}
	}
	return s.byItem[item]
}

// sliced is an Observer that measures every slice by itself.
type sliced struct {
	by       *slicing
	metrics  []Metric
	outcomes []*Outcome // by slice

	whole  []int           // scratch
	wanted map[int][]int32 // scratch: by slice, what a case wants of it
}

func newSliced(by *slicing, metrics []Metric) *sliced {
	return &sliced{by: by, metrics: metrics, wanted: map[int][]int32{}}
}

// Observe implements Observer. A case counts in an item's slice with those wanted items alone.
func (s *sliced) Observe(group int, c *Case, p Prediction) {
	s.whole = s.by.ofCase(s.whole[:0], c.Query)
	for _, slice := range s.whole {
		s.add(slice, group, p)
	}
	if len(c.Wanted) == 1 {
		for _, slice := range s.by.ofItem(c.Wanted[0]) {
			s.add(slice, group, p)
		}
		return
	}
	clear(s.wanted)
	for _, item := range c.Wanted {
		for _, slice := range s.by.ofItem(item) {
			s.wanted[slice] = append(s.wanted[slice], item)
		}
	}
	for slice, wanted := range s.wanted {
		s.add(slice, group, Prediction{List: p.List, Wanted: wanted, Hits: appendHits(nil, p.List, wanted)})
	}
}

// add counts a prediction in a slice. Groups come one after the other, so that only those with a prediction take memory.
func (s *sliced) add(slice, group int, p Prediction) {
	for slice >= len(s.outcomes) {
		s.outcomes = append(s.outcomes, newOutcome(s.metrics))
	}
	o := s.outcomes[slice]
	if n := len(o.Groups); n == 0 || o.Groups[n-1] != group {
		o.open(group)
	}
	o.add(s.metrics, len(o.Groups)-1, p)
}
