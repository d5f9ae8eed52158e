package tracker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/tracker/spool"
)

// lane stores the events of its visitors, one group after the other: what comes later goes behind what came before, in Kafka as
// in the spool.
type lane struct {
	sink *Sink
	wake chan struct{}

	mu    sync.Mutex
	queue []part // guarded by mu

	until uint64 // the frame of the lane's newest events in the spool; run's own
}

// part is those records of a call that belong to one lane.
type part struct {
	call    *call
	records []kafka.Record
	bytes   int64
}

func (l *lane) add(p part) {
	l.mu.Lock()
	l.queue = append(l.queue, p)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default: // it is awake already
	}
}

// take takes what one group may hold, at least one part where there is any.
func (l *lane) take() (group []part, records []kafka.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, bytes := 0, int64(0)
	for _, p := range l.queue {
		if bytes += p.bytes; n > 0 && bytes > groupBytes {
			break
		}
		records = append(records, p.records...)
		n++
	}
	group = l.queue[:n:n]
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return group, records
}

// run stores groups until the sink is closing and nothing waits. Failures go to the callers.
func (l *lane) run() {
	for {
		group, records := l.take()
		if len(group) > 0 {
			err := l.store(records)
			l.sink.note(err)
			for _, p := range group {
				l.sink.waiting.Add(-p.bytes)
				p.call.finish(err)
			}
			continue
		}
		select {
		case <-l.wake:
			continue
		default:
		}
		select {
		case <-l.wake:
		case <-l.sink.closing:
			if l.empty() {
				return
			}
		}
	}
}

func (l *lane) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) == 0
}

// store brings a group to Kafka, or to the spool where Kafka does not take it or earlier events of the lane wait there.
func (l *lane) store(records []kafka.Record) error {
	s := l.sink
	if !l.caughtUp() || s.away.Load() && s.deps.Spool.Stats().Entries > 0 { // the reader finds out when Kafka is back
		return l.spool(records, nil)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Patience)
	defer cancel()
	err := s.deps.Producer.Produce(ctx, records)
	if err == nil {
		s.tellBack()
		return nil
	}
	s.tellAway(err)
	return l.spool(records, err)
}

// caughtUp reports whether nothing of the lane is left in the spool. Near the spool's end it waits for that.
func (l *lane) caughtUp() bool {
	s := l.sink
	patience := time.NewTimer(s.cfg.Patience)
	defer patience.Stop()
	for {
		cursor, moved := s.deps.Spool.Cursor()
		if cursor >= l.until {
			return true
		}
		if s.away.Load() || s.deps.Spool.Stats().Entries > nearEntries {
			return false
		}
		select {
		case <-moved:
		case <-patience.C:
			return false
		}
	}
}

// spool writes a group to disk, which refused says that Kafka did not take.
func (l *lane) spool(records []kafka.Record, refused error) error {
	s := l.sink
	entries := make([][]byte, len(records))
	for i := range records {
		entries[i] = encodeEntry(&records[i])
	}
	number, err := s.deps.Spool.Append(entries)
	if err != nil {
		s.metrics.refused.WithLabelValues(spoolReason(err)).Add(float64(len(entries)))
		return errors.Join(fmt.Errorf("spool events: %w", err), refused)
	}
	s.metrics.spooled.Add(float64(len(entries)))
	l.until = number
	return nil
}

// spoolReason is the label of what the spool did not take.
func spoolReason(err error) string {
	if errors.Is(err, spool.ErrFull) {
		return "full"
	}
	return "disk"
}
