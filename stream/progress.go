package stream

import (
	"context"
	"sync"
)

// partitionID names a partition of a topic.
type partitionID struct {
	topic     string
	partition int32
}

// standing is how far a partition has come: the next offset to apply, and the next to land, in the running epoch. end is
// the log end as seen last.
type standing struct {
	applied, landed, end int64
}

// progress tells how far every owned partition has come, and lets others wait for it.
type progress struct {
	mu      sync.Mutex
	at      map[partitionID]standing
	lost    int64         // offsets that were gone before they were read, since the process began
	changed chan struct{} // closed and replaced at every change
}

func newProgress() *progress {
	return &progress{at: make(map[partitionID]standing), changed: make(chan struct{})}
}

// update changes the standing of a partition.
func (p *progress) update(id partitionID, change func(*standing)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, known := p.at[id]
	s := before
	change(&s)
	if known && s == before {
		return
	}
	p.at[id] = s
	close(p.changed)
	p.changed = make(chan struct{})
}

// lose notes offsets that nobody will ever read, and tells how many there are.
func (p *progress) lose(offsets int64) (sum int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost += offsets
	return p.lost
}

// drop forgets a partition that is owned no more.
func (p *progress) drop(id partitionID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.at, id)
}

// snapshot returns the standings of all owned partitions.
func (p *progress) snapshot() map[partitionID]standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[partitionID]standing, len(p.at))
	for id, s := range p.at {
		all[id] = s
	}
	return all
}

// wait returns when done says so, which is asked at every change.
func (p *progress) wait(ctx context.Context, done func(map[partitionID]standing) bool) error {
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if done(p.snapshot()) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
