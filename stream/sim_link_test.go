package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/lake"
)

// errInjected looks like a lost connection, which everybody may try again or give up for.
var errInjected = fmt.Errorf("injected fault: %w", net.ErrClosed)

// simLink is the network between one life of a process and the world: every effect of the process passes through it, takes
// a moment, and meets the faults of the plan. A dead process has no effect any more; one that stands still has none until it
// goes on, and then has it in spite of all that happened meanwhile.
type simLink struct {
	world   *simWorld
	process *simProcess
	life    int
	kill    func() // ends the life, called once

	mu      sync.Mutex
	faults  []action // armed; nth counts down
	calls   int
	last    effect                // that the life has had
	fetched map[partitionID]int64 // how far events were fetched
	applied map[int64]int64       // the newest event of a partition whose rows were published
	durable int                   // checkpoints that wait for the sync of their state
	failed  bool                  // a fault has been injected
	dead    bool                  // killed
	still   chan struct{}         // closed when the process goes on; nil while it runs
}

// arm lets an action happen at its step.
func (l *simLink) arm(a action) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, a)
}

// disarm takes all faults away and returns them.
func (l *simLink) disarm() []action {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.faults
	l.faults = nil
	return left
}

// heal takes all faults away, and lets who stands still go on.
func (l *simLink) heal() {
	l.disarm()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.goOn()
}

func (l *simLink) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

func (l *simLink) hasFailed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed || l.dead
}

// die ends the process as kill -9 does.
func (l *simLink) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return
	}
	l.dead = true
	l.goOn()
	l.kill()
}

// pause lets the process stand still for a while.
func (l *simLink) pause(hold time.Duration) {
	still := make(chan struct{})
	l.mu.Lock()
	if l.still != nil || l.dead {
		l.mu.Unlock()
		return
	}
	l.still = still
	l.mu.Unlock()
	time.AfterFunc(hold, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.still == still {
			l.goOn()
		}
	})
	l.process.paused(l, still)
}

// goOn wakes who stands still. The caller holds mu.
func (l *simLink) goOn() {
	if l.still != nil {
		close(l.still)
		l.still = nil
	}
}

// standStill returns when the process runs.
func (l *simLink) standStill() {
	for {
		l.mu.Lock()
		still := l.still
		l.mu.Unlock()
		if still == nil {
			return
		}
		<-still
	}
}

// pass is a step of the process: what the plan has for it happens here.
func (l *simLink) pass(s step) error {
	err := l.meet(s)
	l.standStill()
	if l.isDead() {
		return errKilled
	}
	return err
}

func (l *simLink) meet(s step) error {
	due, at := l.due(s)
	if due == nil {
		return nil
	}
	l.world.tally.fault(due.what)
	l.world.tally.hit(due.what, at)
	if due.what == actFail {
		l.world.note("process %d: %s %s (%s)", l.process.id, due.what, s, at)
		return errInjected
	}
	l.process.suffer(l, *due)
	return nil
}

// due takes the fault that the plan has for a step, and says between which effects that is.
func (l *simLink) due(s step) (*action, pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := pair{l.last, s.due()}
	for i, a := range l.faults {
		if a.between == (pair{}) && a.step != s || a.between != (pair{}) && a.between != at {
			continue
		}
		if l.faults[i].nth--; l.faults[i].nth > 0 {
			continue
		}
		l.faults = append(l.faults[:i:i], l.faults[i+1:]...)
		l.failed = l.failed || a.what == actFail
		return &a, at
	}
	return nil, at
}

// had notes an effect.
func (l *simLink) had(e effect) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = e
}

// syncing is a step around the sync of a file of the state. The database holds locks there, and who waits for a lock lets
// fake time stand still: so a process that is paused at this step stands still at its next one. A sync never fails: a real
// process would end then, which is another fault.
func (l *simLink) syncing(file string, before bool) {
	if before {
		_ = l.meet(beforeSyncing)
		return
	}
	l.mu.Lock()
	if l.durable > 0 && path.Ext(file) == ".log" {
		l.durable--
		l.last = effCheckpoint
	}
	l.mu.Unlock()
	_ = l.meet(afterSyncing)
}

// wait takes time.
func wait(d time.Duration) { <-time.After(d) }

// slowEffects is how many requests that end in an effect share a slow one, or fewer.
const slowEffects = 3

// travel takes the time of a request, mostly little. What ends in an effect takes long more often, and a
// commit always: much happens meanwhile.
func (l *simLink) travel(what step) error {
	l.mu.Lock()
	l.calls++
	n := l.calls
	l.mu.Unlock()
	most := 5 * time.Millisecond
	slow := l.world.plan.slow
	switch what.due() {
	case effNone:
	case effCommit:
		slow = 1
	default:
		slow = min(slow, slowEffects)
	}
	if l.world.plan.draw(slow, "slow", l.process.id, l.life, n) == 0 {
		most = time.Second
	}
	wait(time.Duration(l.world.plan.draw(int(most), what, l.process.id, l.life, n)))
	l.standStill()
	if l.isDead() {
		return errKilled
	}
	return nil
}

// around has an effect between two steps.
func (l *simLink) around(before, after step, do func() error) error {
	if err := l.pass(before); err != nil {
		return err
	}
	if err := l.travel(before); err != nil {
		return err
	}
	err := do()
	return errors.Join(err, l.pass(after))
}

// Offsets implements Log.
func (l *simLink) Offsets(ctx context.Context, topic string) (map[int32]kafka.OffsetRange, error) {
	if err := l.travel("offsets"); err != nil {
		return nil, err
	}
	l.world.awaitBroker(ctx)
	return l.world.log.Offsets(ctx, topic)
}

// Fetch implements Log.
func (l *simLink) Fetch(ctx context.Context, r kafka.FetchRequest) (kafka.FetchResult, error) {
	if err := l.travel("fetch"); err != nil {
		return kafka.FetchResult{}, err
	}
	l.world.awaitBroker(ctx)
	res, err := l.world.log.Fetch(ctx, r)
	l.world.bug.fetched(&res)
	switch {
	case len(res.Records) == 0:
	case r.Topic == event.TopicEvents:
		l.mu.Lock()
		id := partitionID{r.Topic, r.Partition}
		l.fetched[id] = max(l.fetched[id], res.Next)
		l.mu.Unlock()
		err = errors.Join(err, l.pass(atFetch))
	default:
		err = errors.Join(err, l.pass(fetchedExposures))
	}
	return res, err
}

// Produce implements Producer.
func (l *simLink) Produce(_ context.Context, records []kafka.Record) error {
	before, after := beforeFeed, afterFeed
	if records[0].Topic == event.TopicDead {
		before, after = beforeDead, afterDead
	}
	return l.around(before, after, func() error {
		if l.world.brokerAway() {
			l.world.tally.count("records that the broker refused", len(records))
			return errInjected
		}
		if !l.world.bug.swallows(records[0].Topic) {
			l.world.log.append(records...)
		}
		if before == beforeFeed {
			l.had(effPublish)
		}
		return nil
	})
}

// Next implements Lake.
func (l *simLink) Next(ctx context.Context, table string) (map[lake.FenceKey]lake.Fence, error) {
	if err := l.travel("next"); err != nil {
		return nil, err
	}
	fences, err := l.process.lake.Next(ctx, table)
	l.world.bug.fences(l.world, fences)
	return fences, err
}

// Commit implements Lake.
func (l *simLink) Commit(ctx context.Context, in lake.Landing) error {
	err := l.around(beforeCommit, afterCommit, func() error {
		err := l.process.lake.commitAt(ctx, in, l.landing)
		if err == nil {
			l.had(effCommit)
		}
		if errors.As(err, new(*lake.FenceMovedError)) {
			l.world.tally.count("landings that a fence refused", 1)
		}
		return err
	})
	return l.world.bug.landed(err)
}

// landing is a step within a commit.
func (l *simLink) landing(s step) error {
	if s == duringCommit {
		l.had(effPutFile)
	} else {
		l.had(effCommit)
	}
	if err := l.travel(s); err != nil { // others work meanwhile, so it may be theirs that is the last effect
		return err
	}
	return l.pass(s)
}

// ScanEvents implements Lake.
func (l *simLink) ScanEvents(ctx context.Context, r lake.ScanRequest, yield func(lake.EventRow) error) error {
	if err := l.travel("scan"); err != nil {
		return err
	}
	return l.process.lake.ScanEvents(ctx, r, yield)
}
