package stream

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// What can happen to a simulated process or to the world. A fault with a step happens at that step of the process, as
// soon as it comes there after its time.
const (
	actKill      = "kill -9"              // the process ends; what it has written stays
	actCut       = "power cut"            // the process ends; of what was not synced a part is lost
	actLoseDisk  = "lose the disk"        // the process ends; its state is gone
	actPause     = "pause"                // the process stands still and goes on later, as if nothing had happened
	actFail      = "fail"                 // the call fails, at a step after its effect: it has happened all the same
	actStop      = "stop"                 // the process is asked to end
	actEvict     = "evict"                // the group takes the process for dead while it works
	actRebalance = "rebalance"            // the group deals the partitions again
	actBroker    = "broker away"          // Kafka answers nobody
	actBlackout  = "blackout"             // a power cut of everything, the online store included
	actLoseRows  = "lose the online rows" // the online store comes back empty, under another marker
	actRebuild   = "features rebuild"     // an operator asks for all states to be made again
)

// Steps of the simulation beside those of the crash tests.
const (
	duringCommit  step = "data files written, lake not committed"
	betweenTables step = "events committed, exposures not"
	beforeMarker  step = "online store not asked for its marker"
	beforeRead    step = "online row not read"
	beforeReplace step = "online rows not replaced"
	afterReplace  step = "online rows replaced"
	beforeScan    step = "online store not scanned"
	afterScan     step = "online store scanned"
	beforeObject  step = "object not put"
	afterObject   step = "object put"
	beforeGet     step = "object not read"
	beforeSyncing step = "state not synced"
	afterSyncing  step = "state synced"

	fetchedExposures step = "exposures fetched, not handed to landing"
)

func simSteps() []step {
	return append(steps(), fetchedExposures, duringCommit, betweenTables, beforeMarker, beforeRead, beforeReplace, afterReplace, beforeScan, afterScan,
		beforeObject, afterObject, beforeGet, beforeSyncing, afterSyncing, stepBuildBegun, stepReplayed, stepBuilt, stepStaged, stepMoved,
		stepSwapped, stepPublished, stepCorrected, stepSwept)
}

// action is one thing that happens.
type action struct {
	at      time.Duration // since the start
	what    string
	process int
	step    step // happens there, where it is not ""
	between pair // or there, where it is not empty; else at once
	nth     int  // at the nth time that the process comes there
	hold    time.Duration
}

func (a action) String() string {
	s := fmt.Sprintf("%8s  %s", a.at, a.what)
	switch a.what {
	case actBlackout, actLoseRows, actRebuild:
	default:
		s += fmt.Sprintf(" process %d", a.process)
	}
	switch {
	case a.step != "":
		s += fmt.Sprintf(" at %q, time %d", string(a.step), a.nth)
	case a.between != pair{}:
		s += fmt.Sprintf(" %s, time %d", a.between, a.nth)
	}
	if a.hold > 0 {
		s += fmt.Sprintf(" for %s", a.hold)
	}
	return s
}

// waits says that the action happens when its process comes somewhere.
func (a action) waits() bool { return a.step != "" || a.between != pair{} }

// plan is a whole schedule; the seed decides all of it.
type plan struct {
	seed       uint64
	processes  int
	commit     time.Duration // between commits to the lake
	checkpoint time.Duration
	upload     time.Duration // between checkpoints in the bucket
	events     int
	length     time.Duration // of traffic and faults
	slow       int           // one in so many requests takes long
	realLake   bool
	actions    []action
	last       []action // for the time when all traffic is over: nothing comes that could heal what they break
}

const (
	// simEventPartitions and simExposurePartitions are few, so that every process has several and none has all.
	simEventPartitions    = 3
	simExposurePartitions = 2
	// plannedPairs is how many faults of a plan come between two effects that were drawn, beside those that come anywhere.
	plannedPairs = 8
	// realLakeEvery is how many seeds share one that lands in the real lake instead of its model.
	realLakeEvery = 20
)

func newPlan(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 0x51))
	p := plan{seed: seed, processes: 2 + r.IntN(2), commit: pick(r, 200*time.Millisecond, time.Second, 5*time.Second),
		checkpoint: pick(r, 500*time.Millisecond, 2*time.Second, 10*time.Second),
		upload:     pick(r, 500*time.Millisecond, 3*time.Second, 15*time.Second), slow: pick(r, 3, 6, 20), events: 60 + r.IntN(80),
		length: time.Duration(20+r.IntN(30)) * time.Second, realLake: seed%realLakeEvery == 0}
	at := time.Duration(0)
	for n := 4 + r.IntN(8); n > 0 && at < p.length; n-- {
		at += time.Duration(r.Int64N(int64(p.length) / 5)).Round(time.Millisecond)
		a := newAction(r, at, p.processes)
		p.actions = append(p.actions, a)
		if a.what == actRebuild { // and somebody falls asleep while he sweeps
			p.actions = append(p.actions, action{at: at, what: actPause, process: a.process, step: beforeReplace, nth: 1,
				hold: time.Duration(10+r.IntN(30)) * time.Second})
		}
	}
	for range plannedPairs {
		p.actions = append(p.actions, newPairAction(r, time.Duration(r.Int64N(int64(p.length)*2/3)).Round(time.Millisecond), p.processes))
	}
	slices.SortStableFunc(p.actions, func(a, b action) int { return cmp.Compare(a.at, b.at) })
	for range r.IntN(3) {
		p.last = append(p.last, newPairAction(r, 0, p.processes))
	}
	return p
}

// newPair draws a pair. Moments that are rare, because one partition must come between two effects of another that follow
// each other at once, are drawn more often.
func newPair(r *rand.Rand) pair {
	if r.IntN(2) == 0 {
		return pick(r, pairs()...)
	}
	return pick(r, pair{effApply, effCheckpoint}, pair{effApply, effCheckpoint}, pair{effApply, effCommit}, pair{effApply, effPutFile},
		pair{effPublish, effCommit}, pair{effCheckpoint, effCommit}, pair{effPutFile, effApply})
}

// newPairAction is a fault between two effects.
func newPairAction(r *rand.Rand, at time.Duration, processes int) action {
	a := action{at: at, process: r.IntN(processes), between: newPair(r), nth: 1}
	switch a.what = pick(r, actKill, actKill, actCut, actCut, actPause, actPause, actFail, actFail, actEvict, actRebalance, actBroker); a.what {
	case actKill, actCut, actBroker:
		a.hold = time.Duration(200+r.IntN(8000)) * time.Millisecond
	case actPause:
		a.hold = time.Duration(1+r.IntN(40)) * time.Second
	}
	return a
}

func newAction(r *rand.Rand, at time.Duration, processes int) action {
	a := action{at: at, process: r.IntN(processes), hold: (time.Duration(200+r.IntN(8000)) * time.Millisecond)}
	a.what = pick(r, actKill, actKill, actKill, actCut, actCut, actPause, actPause, actPause, actFail, actFail, actFail, actFail,
		actStop, actEvict, actEvict, actRebalance, actRebalance, actBroker, actLoseDisk, actBlackout, actLoseRows, actRebuild)
	switch a.what {
	case actPause:
		a.hold = time.Duration(1+r.IntN(40)) * time.Second
		fallthrough
	case actKill, actCut, actFail:
		a.step, a.nth = pick(r, simSteps()...), 1+r.IntN(3)
	case actEvict, actRebalance, actLoseRows, actRebuild:
		a.hold = 0
	}
	if a.what == actFail {
		a.hold = 0
	}
	return a
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (p plan) String() string {
	var b strings.Builder
	lake := "the model of the lake"
	if p.realLake {
		lake = "the real lake"
	}
	fmt.Fprintf(&b, "seed %d: %d processes, %d events in %s, commits every %s, checkpoints every %s, uploads every %s, one in %d requests slow, %s\n", p.seed, p.processes,
		p.events, p.length, p.commit, p.checkpoint, p.upload, p.slow, lake)
	for _, a := range p.actions {
		fmt.Fprintln(&b, a)
	}
	for _, a := range p.last {
		fmt.Fprintf(&b, "in the end%s\n", strings.TrimPrefix(a.String(), fmt.Sprintf("%8s", a.at)))
	}
	return b.String()
}

// draw is a number that depends on the seed and on what it is drawn for, and not on what was drawn before: goroutines may
// draw in any order.
func (p plan) draw(n int, what ...any) int {
	h := fnv.New64a()
	fmt.Fprint(h, p.seed, what)
	return int(h.Sum64() >> 1 % uint64(n))
}
