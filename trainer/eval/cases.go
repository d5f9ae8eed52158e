package eval

import (
	"iter"
	"math/rand/v2"
	"slices"

	"github.com/millrace/millrace/internal/model"
)

// Case is one request with what a good answer to it holds.
type Case struct {
	Query  model.Query
	Wanted []int32 // the relevant items, each once; -1 is an item that no model knows, which is always missed

	from evidence
}

// evidence is what a case was made of, as events of the log, for the check that nothing leaks; it is empty where a case
// comes from nowhere else than the sessions at hand.
type evidence struct {
	history, items []int32 // those that the query tells, unknown items too
	wanted         []int32
}

// Test is a list of cases in groups. Cases of one group, a session or a visitor, are not independent of each other: groups
// are what samples and intervals draw. Cases are made while they are walked through, so that a test costs little memory,
// and may be walked by several goroutines at once.
type Test struct {
	Unit      string                 // what a group is
	Objective func(depth int) Metric // what tuning maximises on such a test

	groups []int                         // what makes each group, and its name in outcomes
	counts []int                         // cases by group
	walk   func(group int, yield yields) // calls yield with each case of a group
}

type yields = func(*Case) bool

// Units of a test.
const (
	UnitSession = "session"
	UnitUser    = "user"
)

// Len returns how many cases there are.
func (t *Test) Len() int {
	n := 0
	for _, count := range t.counts {
		n += count
	}
	return n
}

// Groups returns how many groups there are, those without a case counted too.
func (t *Test) Groups() int { return len(t.counts) }

// Group walks through the cases of group g in their order. A case is valid until the next one.
func (t *Test) Group(g int) iter.Seq[*Case] {
	return func(yield func(*Case) bool) { t.walk(t.groups[g], yield) }
}

// Pick returns the test of some groups, in the order given.
func (t *Test) Pick(groups []int) *Test {
	out := *t
	out.counts, out.groups = make([]int, len(groups)), make([]int, len(groups))
	for i, g := range groups {
		out.counts[i], out.groups[i] = t.counts[g], t.groups[g]
	}
	return &out
}

// After returns the test of the groups whose first case asks after a time in Unix milliseconds.
func (t *Test) After(ms int64) *Test {
	var kept []int
	for g := range t.Groups() {
		for c := range t.Group(g) {
			if c.Query.Now.UnixMilli() > ms {
				kept = append(kept, g)
			}
			break
		}
	}
	return t.Pick(kept)
}

// Newest returns the test of the last groups with at most n cases. A group that has more than that alone, such as a session that
// never ends, is passed over, so that it cannot push out all others; where all have, the newest one is the test.
func (t *Test) Newest(n int) *Test {
	var kept []int
	left := n
	for g := t.Groups() - 1; g >= 0; g-- {
		if t.counts[g] > n {
			continue
		}
		if left -= t.counts[g]; left < 0 {
			break
		}
		kept = append(kept, g)
	}
	if len(kept) == 0 {
		return t.Pick(upTo(max(t.Groups()-1, 0), t.Groups()))
	}
	slices.Reverse(kept)
	return t.Pick(kept)
}

// first returns the test of the first n groups.
func (t *Test) first(n int) *Test { return t.Pick(upTo(0, min(n, t.Groups()))) }

func upTo(from, to int) []int {
	out := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

// sample returns whole groups with at most n cases in all, drawn without replacement, in their order. As for Newest, a group of more
// cases than that is passed over; where all have more, one is the sample.
func (t *Test) sample(n int, rng *rand.Rand) *Test {
	if t.Len() <= n {
		return t
	}
	var chosen []int
	left, order := n, rng.Perm(t.Groups())
	for _, g := range order {
		if t.counts[g] > n {
			continue
		}
		if left -= t.counts[g]; left < 0 {
			break
		}
		chosen = append(chosen, g)
	}
	if len(chosen) == 0 {
		return t.Pick(order[:1])
	}
	slices.Sort(chosen)
	return t.Pick(chosen)
}
