package stream

import (
	"context"
	"errors"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
)

// The group gives a partition to one process, but one that stood still goes on as if it were still its own until it hears
// from the group. So whoever takes a state claims it in the control store, and only the last claim may report. A claim that
// came late, of a process that stood still before it, is found by the true owner, who claims the partition again and
// corrects what the other may have written. The other one's time ends at its next heartbeat; then the claims rest.

// claimState takes the word for the state of the partition. Where the online store may show another state, or a part of one,
// all rows are published and those of others are removed. What of that was done by its last claim, if nobody has claimed the
// partition since, the state itself remembers.
func (p *partition) claimState(ctx context.Context) error {
	claimed, err := p.s.deps.Rebuilds.ClaimState(ctx, event.TopicEvents, p.number, p.basis)
	if err != nil {
		return err
	}
	p.s.mu.Lock()
	p.claim = claimed.Claim
	p.s.mu.Unlock()
	own, err := p.db.Meta(noteClaim)
	if err != nil {
		return err
	}
	if !claimed.Shown && own != strconv.FormatInt(claimed.Claim-1, 10) {
		if err := errors.Join(p.db.Note(noteMarker, ""), p.db.Note(noteSweep, "due")); err != nil {
			return err
		}
	}
	return p.db.Note(noteClaim, strconv.FormatInt(claimed.Claim, 10))
}

// showState publishes a state that is in force already, and lets what others have left be removed.
func (p *partition) showState(ctx context.Context) error {
	p.republication.end()
	p.republication = republication{} // all that it would do is done below
	sweep, err := p.publishState(ctx)
	if sweep {
		p.s.sweeper.want(p.number)
	}
	return err
}

// watchClaims takes back what other processes have claimed of the partitions that the group gives to this one, until ctx ends.
func (s *Stream) watchClaims(ctx context.Context) error {
	tick := time.NewTicker(s.rebuildPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.takeBack(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("claims of other processes cannot be answered; trying again", "error", err, "pause", s.rebuildPoll)
		}
	}
}

func (s *Stream) takeBack(ctx context.Context) error {
	states, err := s.deps.Rebuilds.ReportedStates(ctx, event.TopicEvents)
	if err != nil {
		return err
	}
	var lost []*partition
	s.mu.Lock()
	for number, p := range s.open {
		if states[number].Claim > p.claim {
			lost = append(lost, p)
		}
	}
	s.mu.Unlock()
	all, ctx := errgroup.WithContext(ctx)
	for _, p := range lost {
		s.log.Warn("another process has claimed a partition of this one; claiming it again", "partition", p.number)
		all.Go(func() error {
			return ignoreNotOwned(p.ask(ctx, func(ctx context.Context) error {
				p.failed = p.showState(ctx) // a claim that is not followed up leaves it to the next opening
				return p.failed
			}))
		})
	}
	return all.Wait()
}
