package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// trimmedLog is a log whose first offsets are gone.
type trimmedLog struct {
	Log
	topic string
	start int64
}

func (l trimmedLog) Offsets(ctx context.Context, topic string) (map[int32]kafka.OffsetRange, error) {
	ranges, err := l.Log.Offsets(ctx, topic)
	for p, r := range ranges {
		if topic == l.topic {
			ranges[p] = kafka.OffsetRange{Start: min(l.start, r.End), End: r.End}
		}
	}
	return ranges, err
}

func (l trimmedLog) Fetch(ctx context.Context, r kafka.FetchRequest) (kafka.FetchResult, error) {
	if r.Topic == l.topic {
		ranges, err := l.Offsets(ctx, r.Topic)
		if err != nil {
			return kafka.FetchResult{}, err
		}
		if start := ranges[r.Partition].Start; r.Offset < start {
			return kafka.FetchResult{}, &kafka.ErrBelowStart{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Start: start}
		}
	}
	return l.Log.Fetch(ctx, r)
}

// TestLostBeforeTheFirstLanding lets retention win against a stream that has never run.
func TestLostBeforeTheFirstLanding(t *testing.T) {
	h := newHouse(t)
	for _, id := range []string{"e0", "e1", "e2", "e3"} {
		h.produce(view(id, "b1", "a"))
	}
	h.useLog = trimmedLog{Log: h.client, topic: event.TopicEvents, start: 3}
	s := h.start()
	if err := s.Drained(t.Context()); err != nil && !errors.Is(err, ErrLost) {
		t.Fatal(err)
	}
	h.checkLanded(map[string]bool{"e3": true})
	if lost := metric(t, h.metrics, "millrace_lost_offsets_total"); lost != 3 {
		t.Errorf("%v lost offsets counted, want 3", lost)
	}
	h.checkGaps(0, 3)
}

// brokenLog answers fetches of events with an error a number of times.
type brokenLog struct {
	Log
	left *atomic.Int64
	err  error
}

func (l brokenLog) Fetch(ctx context.Context, r kafka.FetchRequest) (kafka.FetchResult, error) {
	if r.Topic == event.TopicEvents && l.left.Add(-1) >= 0 {
		return kafka.FetchResult{}, l.err
	}
	return l.Log.Fetch(ctx, r)
}

// TestKafkaAwayForLong: the client has given up on every partition more than once. The stream waits, and loses nothing.
func TestKafkaAwayForLong(t *testing.T) {
	h, tr := newHouse(t), newTraffic(21)
	var left atomic.Int64
	h.useLog = brokenLog{h.client, &left, fmt.Errorf("gave up after 1m0s: %w", syscall.ECONNREFUSED)}
	s := h.start()
	h.produce(tr.next(100)...)
	s.drain()
	left.Store(2 * testPartitions)
	until(t, "every partition was out of reach twice", func() bool { return left.Load() <= 0 })
	h.produce(tr.next(100)...)
	s.drain()
	h.checkLanded(tr.ids)
	verify(t, s.Stream)
	s.halt()
}

// TestLogThatShrinksIsLoud: while the stream reads it, a log turns out to end before what was read. That is not waited out.
func TestLogThatShrinksIsLoud(t *testing.T) {
	h, tr := newHouse(t), newTraffic(22)
	var left atomic.Int64
	h.useLog = brokenLog{h.client, &left, &kafka.ErrAboveEnd{Topic: event.TopicEvents, Offset: 70, Start: 0, End: 7}}
	s := h.start()
	h.produce(tr.next(100)...)
	s.drain()
	left.Store(1)
	<-s.done
	var above *kafka.ErrAboveEnd
	if err := s.ended(); !errors.As(err, &above) || !strings.Contains(err.Error(), "millrace topics adopt") {
		t.Fatalf("stream ended with %v", err)
	}
}

// TestLostOffsetsAreCounted lets retention win against a stream that stood still: the gap is reported, not jumped silently,
// and everything behind it is taken.
func TestLostOffsetsAreCounted(t *testing.T) {
	h := newHouse(t)
	visitor := func(id string) *event.Event { return view(id, "b1", "a") }
	h.produce(visitor("e0"))
	s := h.start()
	s.drain()
	s.halt()
	h.produce(visitor("e1"), visitor("e2"), visitor("e3"))
	h.useLog = trimmedLog{Log: h.client, topic: event.TopicEvents, start: 3}
	s = h.start()
	if err := s.Drained(t.Context()); err != nil && !errors.Is(err, ErrLost) { // the gap may be met before the call or in it
		t.Fatal(err)
	}
	h.checkLanded(map[string]bool{"e0": true, "e3": true})
	if lost := metric(t, h.metrics, "millrace_lost_offsets_total"); lost != 2 {
		t.Fatalf("%v lost offsets counted, want 2", lost)
	}
	h.checkGaps(1, 3)
	s.halt()
	h.produce(visitor("e4"), visitor("e5"))
	h.useLog = trimmedLog{Log: h.client, topic: event.TopicEvents, start: 6} // nothing is left that would show where to go on
	s = h.start()
	if err := s.Drained(t.Context()); err != nil && !errors.Is(err, ErrLost) {
		t.Fatal(err)
	}
	h.checkGaps(1, 3, 4, 6)
	verify(t, s.Stream)
}
