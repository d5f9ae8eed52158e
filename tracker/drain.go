package tracker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/tracker/spool"
)

// drain brings what is in the spool to Kafka, in its order, until ctx ends.
func (s *Sink) drain(ctx context.Context) error {
	for ctx.Err() == nil {
		chunk, err := s.deps.Spool.Next(drainBytes)
		if err != nil {
			return fmt.Errorf("drain spool: %w", err)
		}
		if chunk.Last == 0 {
			select {
			case <-s.deps.Spool.Grown():
			case <-ctx.Done():
			}
			continue
		}
		records, err := recordsOf(chunk)
		if err != nil {
			return fmt.Errorf("drain spool: %w", err)
		}
		if !s.deliver(ctx, records) {
			return nil
		}
		if err := s.deps.Spool.Done(chunk); err != nil && s.awayTold.allow(time.Now()) {
			s.deps.Log.WarnContext(ctx, "the spool cannot be tidied; what is drained may be drained again after a restart", "error", err)
		}
	}
	return nil
}

func recordsOf(chunk spool.Chunk) ([]kafka.Record, error) {
	records := make([]kafka.Record, len(chunk.Entries))
	for i, e := range chunk.Entries {
		r, err := decodeEntry(e)
		if err != nil {
			return nil, fmt.Errorf("entry %d before frame %d: %w", i, chunk.Last, err)
		}
		records[i] = r
	}
	return records, nil
}

// deliver offers records to Kafka until it takes them; false means that ctx ended before.
func (s *Sink) deliver(ctx context.Context, records []kafka.Record) bool {
	for len(records) > 0 {
		// One offer rides out a minute by itself. The lanes must know earlier that Kafka takes nothing.
		late := time.AfterFunc(s.cfg.Patience, func() { s.away.Store(true) })
		err := s.deps.Producer.Produce(ctx, records)
		late.Stop()
		if err == nil {
			s.tellBack()
			s.metrics.drained.Add(float64(len(records)))
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		s.tellAway(err)
		select {
		case <-time.After(tendEvery):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// tellBack notes that Kafka has taken what it was offered.
func (s *Sink) tellBack() {
	if s.away.Load() && s.away.Swap(false) {
		s.deps.Log.Info("Kafka takes events again", "spooled", s.deps.Spool.Stats().Entries)
	}
}

// tellAway notes that Kafka does not take events, and why.
func (s *Sink) tellAway(err error) {
	growing := errors.Is(err, ErrIntakeClosed)
	s.growing.Store(growing)
	s.away.Store(true)
	if !growing && s.awayTold.allow(time.Now()) {
		s.deps.Log.Error("Kafka takes no events; they wait in the spool", "error", err, "spooled", s.deps.Spool.Stats().Entries)
	}
}

// tend finds out whether a spool that took nothing takes events again: where nobody sends any because this collector is not
// ready, nobody else would.
func (s *Sink) tend(ctx context.Context) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if s.Ready() == nil {
				continue
			}
			if _, err := s.deps.Spool.Append(nil); err == nil {
				s.note(nil)
			}
		case <-ctx.Done():
			return
		}
	}
}
