package stream

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// effect is one of the things by which a process changes what will be found after it. Between any two of them it may end.
type effect int

const (
	effNone       effect = iota // the life has had no effect yet
	effApply                    // a batch is in the state of a partition, on no disk yet
	effPublish                  // its rows are in the online store, or in the change feed
	effCheckpoint               // the state is on disk and has forgotten the outbox of a round
	effPutFile                  // a data file of the lake, or an object of the bucket, is written
	effCommit                   // rows and fences are in a table of the lake
	numEffects
)

func (e effect) String() string {
	return [numEffects]string{"begin", "apply", "publish", "checkpoint", "put file", "commit"}[e]
}

// due says which effect a process is about to have when it comes to a step; effNone of steps that are none's begin.
func (s step) due() effect {
	switch s {
	case atFetch:
		return effApply
	case beforePut, beforeFeed:
		return effPublish
	case beforeSync, afterSync:
		return effCheckpoint
	case beforeCommit, betweenTables, beforeObject:
		return effPutFile
	case duringCommit:
		return effCommit
	}
	return effNone
}

// pair is a moment of a process: the last of its effects was one, and the next would be the other.
type pair struct{ last, next effect }

func (p pair) String() string { return fmt.Sprintf("between %s and %s", p.last, p.next) }

// pairs are all moments between two different effects.
func pairs() (all []pair) {
	for last := effApply; last < numEffects; last++ {
		for next := effApply; next < numEffects; next++ {
			if last != next {
				all = append(all, pair{last, next})
			}
		}
	}
	return all
}

// tally counts what schedules have really done.
type tally struct {
	mu      sync.Mutex
	crashes map[pair]int   // processes that ended without a goodbye
	others  map[pair]int   // everything else that went wrong there
	faults  map[string]int // by what happened, wherever it was
	figures map[string]int
}

func newTally() *tally {
	return &tally{crashes: make(map[pair]int), others: make(map[pair]int), faults: make(map[string]int), figures: make(map[string]int)}
}

// hit notes that something happened to a process between two effects.
func (t *tally) hit(what string, at pair) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if what == actKill || what == actCut {
		t.crashes[at]++
	} else {
		t.others[at]++
	}
}

func (t *tally) fault(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults[what]++
}

func (t *tally) count(figure string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.figures[figure] += n
}

// add takes over what another tally, which nobody changes any more, has counted.
func (t *tally) add(o *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	addCounts(t.crashes, o.crashes)
	addCounts(t.others, o.others)
	addCounts(t.faults, o.faults)
	addCounts(t.figures, o.figures)
}

func addCounts[K comparable](to, from map[K]int) {
	for k, n := range from {
		to[k] += n
	}
}

// missed returns the pairs at which there were fewer than some number of crashes, or of other faults.
func (t *tally) missed(atLeast int) (missed []string) {
	for _, p := range pairs() {
		if c, o := t.crashes[p], t.others[p]; c < atLeast || o < atLeast {
			missed = append(missed, fmt.Sprintf("%s: %d crashes, %d other faults", p, c, o))
		}
	}
	return missed
}

func (t *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "crashes / other faults between the last effect of a process (down) and its next (across):\n%12s", "")
	for next := effApply; next < numEffects; next++ {
		fmt.Fprintf(&b, "%14s", next)
	}
	for last := effNone; last < numEffects; last++ {
		fmt.Fprintf(&b, "\n%12s", last)
		for next := effApply; next < numEffects; next++ {
			fmt.Fprintf(&b, "%14s", fmt.Sprintf("%d / %d", t.crashes[pair{last, next}], t.others[pair{last, next}]))
		}
	}
	b.WriteByte('\n')
	for _, counts := range []map[string]int{t.faults, t.figures} {
		var line []string
		for _, what := range slices.Sorted(maps.Keys(counts)) {
			line = append(line, fmt.Sprintf("%s %d", what, counts[what]))
		}
		fmt.Fprintln(&b, strings.Join(line, ", "))
	}
	return b.String()
}
