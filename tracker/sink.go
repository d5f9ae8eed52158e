package tracker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/tracker/spool"
)

const (
	// DefaultPatience is how long Kafka may take to confirm a group before it goes to the spool: a leader election is over by
	// then, and the page that sends is still there.
	DefaultPatience = 2 * time.Second
	// DefaultMaxWaitingBytes bounds the events of requests that are not answered yet: 100,000 of 600 bytes.
	DefaultMaxWaitingBytes = 64 << 20

	// lanes is how many groups are on their way at once. A partition count that it divides, like the usual 16 and 64, sends a
	// lane's records to as few partitions as can be.
	lanes = 16
	// groupBytes bounds a group, and drainBytes what is read from the spool at once and in flight: either fits into one batch of the
	// producer, so that of one partition all of it arrives or nothing.
	groupBytes = 448 << 10
	drainBytes = 384 << 10
	// nearEntries is how near the end of the spool a lane that is behind waits for its reader: a few reads.
	nearEntries = 2_000
	// tendEvery is the pace of what repeats: offers of the spool's front while Kafka is away, looks at a disk that was full.
	tendEvery = time.Second
)

var (
	// ErrBusy says that MaxWaitingBytes of events wait already. Nothing was taken.
	ErrBusy = errors.New("too many events wait to be stored")
	// ErrSinkClosed says that the collector is stopping. Nothing was taken.
	ErrSinkClosed = errors.New("the collector is stopping")
)

// SinkConfig bounds a Sink; a zero field has the default of the same name.
type SinkConfig struct {
	Patience        time.Duration
	MaxWaitingBytes int64
}

// SinkDeps is what a Sink stands on. It owns the spool's reader; who made the spool closes it after Run.
type SinkDeps struct {
	Producer Producer
	Spool    *spool.Spool
	Metrics  prometheus.Registerer
	Log      *slog.Logger
}

// Sink stores events for certain: in Kafka, or on disk until Kafka takes them. All events of a visitor pass one lane, which
// keeps their order whatever fails. docs/decisions/0005-collector.md says why it is built so.
type Sink struct {
	cfg     SinkConfig
	deps    SinkDeps
	metrics *sinkMetrics
	lanes   [lanes]*lane
	closing chan struct{}
	waiting atomic.Int64 // bytes of calls that are not answered

	// away says that Kafka has not taken what it was offered last; Kafka's next success takes it back.
	away     atomic.Bool
	growing  atomic.Bool // it was not asked, because the topic is being grown
	awayTold logLimit

	mu      sync.Mutex
	closed  bool
	refused error // why the newest group was stored nowhere; nil when it was
}

// NewSink makes a sink that works once Run runs.
func NewSink(cfg SinkConfig, deps SinkDeps) (*Sink, error) {
	if deps.Producer == nil || deps.Spool == nil || deps.Metrics == nil || deps.Log == nil {
		return nil, errors.New("sink needs a producer, a spool, a metrics registry and a logger")
	}
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
	}
	if cfg.MaxWaitingBytes == 0 {
		cfg.MaxWaitingBytes = DefaultMaxWaitingBytes
	}
	s := &Sink{cfg: cfg, deps: deps, closing: make(chan struct{})}
	for i := range s.lanes {
		// What an earlier process has spooled may be anybody's.
		s.lanes[i] = &lane{sink: s, wake: make(chan struct{}, 1), until: deps.Spool.End()}
	}
	var err error
	s.metrics, err = newSinkMetrics(deps.Metrics, s)
	return s, err
}

// Run works until ctx ends; then it refuses calls, stores what waits and returns. What is in the spool stays there.
func (s *Sink) Run(ctx context.Context) error {
	draining, stopDrain := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDrain()
	group, failed := errgroup.WithContext(draining)
	var storing errgroup.Group
	for _, l := range s.lanes {
		storing.Go(func() error { l.run(); return nil })
	}
	group.Go(func() error { return s.drain(failed) })
	group.Go(func() error { s.tend(failed); return nil })
	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.closing)
	_ = storing.Wait() // lanes answer their callers
	stopDrain()
	return group.Wait()
}

// call is one Produce: done gets the first error, or nil, when all of its parts are stored or have failed.
type call struct {
	pending atomic.Int32
	err     atomic.Pointer[error]
	done    chan error
}

func (c *call) finish(err error) {
	if err != nil {
		c.err.CompareAndSwap(nil, &err)
	}
	if c.pending.Add(-1) == 0 {
		if failed := c.err.Load(); failed != nil {
			err = *failed
		}
		c.done <- err
	}
}

// Produce returns when every record is stored. After an error some of them may be, so the caller's client sends all of them
// again. It keeps the records' bytes.
func (s *Sink) Produce(ctx context.Context, records []kafka.Record) error {
	if len(records) == 0 {
		return nil
	}
	var parts [lanes]part
	count, total := int32(0), int64(0)
	for _, r := range records {
		p := &parts[laneOf(r.Key)]
		if p.records == nil {
			count++
		}
		p.records = append(p.records, r)
		p.bytes += recordBytes(&r)
		total += recordBytes(&r)
	}
	if s.waiting.Add(total) > s.cfg.MaxWaitingBytes {
		s.waiting.Add(-total)
		return ErrBusy
	}
	c := &call{done: make(chan error, 1)}
	c.pending.Store(count)
	if !s.hand(c, &parts) {
		s.waiting.Add(-total)
		return ErrSinkClosed
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("await storage: %w", ctx.Err())
	}
}

// hand gives each lane its part, or says that the sink is closed.
func (s *Sink) hand(c *call, parts *[lanes]part) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	for i := range parts {
		if parts[i].records != nil {
			parts[i].call = c
			s.lanes[i].add(parts[i])
		}
	}
	return true
}

// laneOf is the lane of a key.
func laneOf(key []byte) int { return int(kafka.PartitionFor(key, lanes)) }

// recordBytes is what a record holds in memory, with the little around it.
func recordBytes(r *kafka.Record) int64 { return int64(len(r.Key)+len(r.Value)) + 200 }

// note keeps how the newest group ended, for Ready.
func (s *Sink) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = err
}

// Ready reports why no events can be kept, or nil. That Kafka is away is none: the spool keeps them.
func (s *Sink) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused != nil {
		return fmt.Errorf("events can be stored neither in Kafka nor in the spool: %w", s.refused)
	}
	return nil
}

// State says in words where events go now; "" when all goes to Kafka.
func (s *Sink) State() string {
	st := s.deps.Spool.Stats()
	switch {
	case s.away.Load():
		why := "Kafka takes no events"
		if s.growing.Load() {
			why = "the topic of events is being grown"
		}
		return fmt.Sprintf("%s; %d wait in the spool (%d bytes, for %s)", why, st.Entries, st.Bytes, st.Oldest.Round(time.Second))
	case st.Entries > 0:
		return fmt.Sprintf("%d events go from the spool to Kafka", st.Entries)
	}
	return ""
}

// Drained returns when the spool holds nothing that is not in Kafka.
func (s *Sink) Drained(ctx context.Context) error {
	for {
		cursor, moved := s.deps.Spool.Cursor()
		if cursor >= s.deps.Spool.End() {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("%d events are left in the spool: %w", s.deps.Spool.Stats().Entries, ctx.Err())
		}
	}
}
