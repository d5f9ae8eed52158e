package stream

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// onCommand assigns the partitions that the topics had at first, and all that they have when told so: a group knows of new
// ones at any moment after they were made.
type onCommand struct {
	more    chan struct{} // closed: the new ones too
	started sync.WaitGroup
}

func newOnCommand() *onCommand {
	a := &onCommand{more: make(chan struct{})}
	a.started.Add(grownPartitions - testPartitions)
	return a
}

func (a *onCommand) Run(ctx context.Context, handle kafka.Handler) error {
	all, ctx := errgroup.WithContext(ctx)
	for p := range int32(testPartitions) {
		for _, topic := range Topics() {
			all.Go(func() error { return handle(ctx, topic, p, func(int64) {}) })
		}
	}
	all.Go(func() error {
		select {
		case <-a.more:
		case <-ctx.Done():
			return nil
		}
		for p := int32(testPartitions); p < grownPartitions; p++ {
			all.Go(func() error {
				a.started.Done()
				return handle(ctx, event.TopicEvents, p, func(int64) {})
			})
		}
		return nil
	})
	return all.Wait()
}

// forgetfulLog is a client that remembers an old layout of the cluster: so many questions are answered with the partitions
// that there were before.
type forgetfulLog struct {
	Log
	mu    sync.Mutex
	stale int
}

func (l *forgetfulLog) Offsets(ctx context.Context, topic string) (map[int32]kafka.OffsetRange, error) {
	ranges, err := l.Log.Offsets(ctx, topic)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stale > 0 && len(ranges) > testPartitions {
		l.stale--
		for p := int32(testPartitions); p < grownPartitions; p++ {
			delete(ranges, p)
		}
	}
	return ranges, err
}

// TestNewPartitionsAreSeenAtAnyMoment lets the group tell of the new partitions at every moment of a grow, while the client
// that reads them still remembers the cluster without: their owners wait for the epoch that has them, and nobody ends.
func TestNewPartitionsAreSeenAtAnyMoment(t *testing.T) {
	for _, at := range []string{stepRaised, stepFenced, stepEpochOpen} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			h, tr := growingHouse(t), newTraffic(23)
			assigner := newOnCommand()
			log := &forgetfulLog{Log: h.useLog, stale: 12}
			h.assigner, h.useLog = assigner, log
			s := h.stream()
			s.hook = func(step string) error {
				if step == at {
					close(assigner.more)
					assigner.started.Wait()
				}
				return nil
			}
			r := h.run(s)
			h.produce(tr.next(150)...)
			if err := s.Grow(t.Context(), event.TopicEvents, grownPartitions); err != nil {
				t.Fatal(err)
			}
			if status := r.grown(event.TopicEvents); status.Epoch != 2 || status.Partitions != grownPartitions {
				t.Fatalf("grown to %+v", status)
			}
			if log.stale != 0 {
				t.Errorf("%d old answers were left: the test proves nothing", log.stale)
			}
			h.spread(tr.sent...)
			h.spread(tr.next(50)...)
			h.exactlyGrown(r, tr)
		})
	}
}

// TestCountChangedBehindOurBack ends the stream where a partition appears that no grow explains.
func TestCountChangedBehindOurBack(t *testing.T) {
	h := growingHouse(t)
	assigner := newOnCommand()
	h.assigner = assigner
	r := h.start()
	if err := h.client.GrowTopic(t.Context(), event.TopicEvents, grownPartitions); err != nil {
		t.Fatal(err)
	}
	close(assigner.more)
	<-r.done
	if err := r.ended(); !errors.Is(err, control.ErrPartitionsChanged) {
		t.Fatalf("the stream ended with %v", err)
	}
}

// TestOldCountIsForwarded writes with the old count after a grow, as a collector does that was stopped meanwhile, and sends
// the same again by the new count: every event is moved to the partition where it belongs, and counts once. A crash between
// moving and moving on changes nothing.
func TestOldCountIsForwarded(t *testing.T) {
	h, tr := growingHouse(t), newTraffic(24)
	s := h.start()
	h.produce(tr.next(200)...)
	if err := s.Grow(t.Context(), event.TopicEvents, grownPartitions); err != nil {
		t.Fatal(err)
	}
	s.grown(event.TopicEvents)
	s.halt()
	late := tr.next(200)
	records := make([]kafka.Record, len(late))
	for i, e := range late {
		records[i] = kafka.Record{Topic: event.TopicEvents, Partition: kafka.PartitionFor([]byte(e.Key()), testPartitions), Time: e.ReceivedAt,
			Key: []byte(e.Key()), Value: encoded(t, e)}
	}
	if err := h.producer.Produce(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	dying := &dyingProducer{Producer: h.producer}
	h.useOutput = dying
	r := h.start()
	<-r.done // as killed: what was moved is acknowledged, and nothing says so
	if err := r.ended(); !errors.Is(err, errDied) {
		t.Fatalf("the stream ended with %v", err)
	}
	h.useOutput = h.producer
	s = h.start()
	s.drain()
	h.spread(late...)
	h.exactlyGrown(s, tr)
	if n := metric(t, h.metrics, "millrace_stream_forwarded_total"); n < 100 {
		t.Errorf("%v events were moved: the test proves nothing", n)
	}
	generation := h.requestRebuild()
	s.rebuilt(generation)
	h.exactlyGrown(s, tr)
}

// dyingProducer writes events and does not live to tell.
type dyingProducer struct{ Producer }

func (p *dyingProducer) Produce(ctx context.Context, records []kafka.Record) error {
	if err := p.Producer.Produce(ctx, records); err != nil || records[0].Topic != event.TopicEvents {
		return err
	}
	return errDied
}

var errDied = errors.New("died")

// TestZombieOfTheOldEpoch holds a process still before the epoch ends and lets it go on after the grow, with everything that
// it has applied and not landed: it changes nothing.
func TestZombieOfTheOldEpoch(t *testing.T) {
	h, tr := growingHouse(t), newTraffic(25)
	frozen := &frozenEpochs{Epochs: h.control}
	still := stillLog{h.useLog, make(chan struct{})}
	zombie := h.streamIn(filepath.Join(h.dir, "zombie"))
	zombie.deps.Epochs, zombie.deps.Grows, zombie.deps.Assigner, zombie.deps.Log = frozen, nil, everything{}, still
	zombie.landing.interval = time.Hour // it lands when it is told to
	z := h.run(zombie)
	h.produce(tr.next(200)...)
	all := func(at map[partitionID]standing) bool {
		applied := int64(0)
		for id, s := range at {
			if id.topic == event.TopicEvents {
				applied += s.applied
			}
		}
		return applied == h.logged()
	}
	if err := zombie.progress.wait(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	close(still.from)
	s := h.start()
	if err := s.Grow(t.Context(), event.TopicEvents, grownPartitions); err != nil {
		t.Fatal(err)
	}
	s.grown(event.TopicEvents)
	h.spread(tr.next(100)...)
	s.drain()
	if err := zombie.landing.flush(t.Context()); err != nil { // all of the old epoch
		t.Fatal(err)
	}
	h.exactlyGrown(s, tr)
	z.halt()
	h.exactlyGrown(s, tr)
}

// frozenEpochs shows what it saw first.
type frozenEpochs struct {
	Epochs
	mu   sync.Mutex
	seen map[string]control.TopicEpoch
}

func (f *frozenEpochs) TopicEpoch(ctx context.Context, topic string) (control.TopicEpoch, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, ok := f.seen[topic]; ok {
		return e, true, nil
	}
	e, ok, err := f.Epochs.TopicEpoch(ctx, topic)
	if f.seen == nil {
		f.seen = make(map[string]control.TopicEpoch)
	}
	f.seen[topic] = e
	return e, ok, err
}

// stillLog gives no more records from a moment on.
type stillLog struct {
	Log
	from chan struct{}
}

func (l stillLog) Fetch(ctx context.Context, r kafka.FetchRequest) (kafka.FetchResult, error) {
	select {
	case <-l.from:
		<-ctx.Done()
		return kafka.FetchResult{}, ctx.Err()
	default:
		return l.Log.Fetch(ctx, r)
	}
}

// logged is how many records of events the log holds.
func (h *house) logged() (n int64) {
	h.t.Helper()
	ranges, err := h.client.Offsets(h.t.Context(), event.TopicEvents)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range ranges {
		n += r.End - r.Start
	}
	return n
}
