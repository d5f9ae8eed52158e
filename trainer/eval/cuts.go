package eval

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Shares that protocols hold out where the configuration does not say.
const (
	temporalShare = 0.2  // of the events, the newest
	holdoutShare  = 0.25 // of the items of each visitor, as is usual for ratings
	strangerShare = 0.1  // of the visitors
	targetShare   = 0.2  // of the items of a held-out visitor; the rest is told (Liang et al. 2018)
)

// minStrangerItems is how many items a visitor must have met to be held out whole, so that one of five is a target.
const minStrangerItems = 5

// leaveLast holds out the last event of every visitor.
func leaveLast(*Log, crowd, Config, uint64, int) (cut, error) {
	return cut{how: "the last event of each visitor", of: func(number int, events []int32) ration {
		last := len(events) - 1
		if number < 0 || last < 1 {
			return ration{learn: events}
		}
		return ration{learn: events[:last], ask: events[:last], want: events[last:]}
	}}, nil
}

// temporal holds out all that happened from a time on; every visitor is asked about at that time, and the answer is to find
// each item that they meet afterwards for the first time.
func temporal(l *Log, at crowd, c Config, _ uint64, round int) (cut, error) {
	share := cmp.Or(c.Holdout, temporalShare)
	from, how := newestFrom(l, at.visitors, share), fmt.Sprintf("what each visitor does in the newest %g %% of the events", share*100)
	if round == 0 && !c.TestFrom.IsZero() {
		from, how = c.TestFrom.UnixMilli(), "what each visitor does"
	}
	if !l.Logical {
		how += ", from " + time.UnixMilli(from).UTC().Format(time.RFC3339) + " on"
	}
	return cut{now: from, how: how, of: func(_ int, events []int32) ration {
		then, _ := slices.BinarySearchFunc(events, from, func(e int32, t int64) int { return cmp.Compare(l.Sessions.Times[e], t) })
		known := events[:then]
		r := ration{learn: known, ask: known}
		met := map[int32]bool{}
		for _, e := range known {
			met[l.Sessions.Items[e]] = true
		}
		for _, e := range events[then:] {
			if item := l.Sessions.Items[e]; !met[item] {
				met[item], r.want = true, append(r.want, e)
			}
		}
		return r
	}}, nil
}

// newestFrom returns the time from which on a share of the events happened.
func newestFrom(l *Log, visitors [][]int32, share float64) int64 {
	var times []int64
	for _, events := range visitors {
		for _, e := range events {
			times = append(times, l.Sessions.Times[e])
		}
	}
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(int(math.Round((1-share)*float64(len(times)))), len(times)-1)]
}

// randomHoldout holds out a random share of the items of every visitor.
func randomHoldout(l *Log, _ crowd, c Config, seed uint64, round int) (cut, error) {
	share := cmp.Or(c.Holdout, holdoutShare)
	return cut{how: fmt.Sprintf("a random %g %% of the items of each visitor", share*100), of: func(number int, events []int32) ration {
		if number < 0 {
			return ration{learn: events}
		}
		kept, held := l.divide(events, share, drawFor(seed, number, round))
		return ration{learn: kept, ask: kept, want: held}
	}}, nil
}

// drawFor is the chance of one visitor in one round.
func drawFor(seed uint64, visitor, round int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(visitor)<<1|uint64(round)))
}

// divide holds out a random share of the different items of some events, with all events of them but the first left out: an
// item is wanted once. Where the share is less than half an item, or leaves none, nothing is held out.
func (l *Log) divide(events []int32, share float64, rng *rand.Rand) (kept, held []int32) {
	var items []int32
	place := map[int32]int{}
	for _, e := range events {
		item := l.Sessions.Items[e]
		if _, met := place[item]; !met {
			place[item], items = len(items), append(items, item)
		}
	}
	n := int(math.Round(share * float64(len(items))))
	if n == 0 || n == len(items) {
		return events, nil
	}
	out := make([]bool, len(items))
	for _, i := range rng.Perm(len(items))[:n] {
		out[i] = true
	}
	wanted := make([]bool, len(items))
	for _, e := range events {
		switch i := place[l.Sessions.Items[e]]; {
		case !out[i]:
			kept = append(kept, e)
		case !wanted[i]:
			wanted[i], held = true, append(held, e)
		}
	}
	return kept, held
}

// strongGeneralization holds out a random share of the visitors whole: models learn nothing of them, the query tells most of
// what they met, and the answer is to find the rest (Liang, Krishnan, Hoffman, Jebara, "Variational Autoencoders for
// Collaborative Filtering", WWW 2018).
func strongGeneralization(l *Log, at crowd, c Config, seed uint64, round int) (cut, error) {
	share := cmp.Or(c.Holdout, strangerShare)
	var fit []int
	for i, events := range at.visitors[:at.known] {
		if l.differentItems(events) >= minStrangerItems {
			fit = append(fit, i)
		}
	}
	strangers := make([]bool, at.known)
	rng := rand.New(rand.NewPCG(seed, uint64(round)))
	n := int(math.Round(share * float64(len(fit))))
	for _, i := range rng.Perm(len(fit))[:n] {
		strangers[fit[i]] = true
	}
	how := fmt.Sprintf("a random %g %% of the visitors with %d items or more, a random %g %% of whose items are to be found and the others told",
		share*100, minStrangerItems, targetShare*100)
	return cut{how: how, of: func(number int, events []int32) ration {
		if number < 0 || !strangers[number] {
			return ration{learn: events}
		}
		told, wanted := l.divide(events, targetShare, drawFor(seed, number, round))
		return ration{ask: told, want: wanted}
	}}, nil
}

// differentItems counts the items of some events, up to minStrangerItems.
func (l *Log) differentItems(events []int32) int {
	var items []int32
	for _, e := range events {
		if item := l.Sessions.Items[e]; !slices.Contains(items, item) {
			if items = append(items, item); len(items) == minStrangerItems {
				break
			}
		}
	}
	return len(items)
}
