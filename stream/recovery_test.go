package stream

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/sqldb"
	"github.com/millrace/millrace/lake"
)

// TestRecreatedTopicStopsUntilAdopted puts another log under a stream: it must not skip what is new in it, and say the way
// out; after the adoption it reads the new log from its start and keeps what it knew.
func TestRecreatedTopicStopsUntilAdopted(t *testing.T) {
	for _, c := range []struct {
		name   string
		events int // in the new log
		want   string
	}{
		{"shorter", 0, "the log ends at offset"},
		{"longer with other records", 400, "is another"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, old := newHouse(t), newTraffic(1)
			s := h.start()
			h.produce(old.next(200)...)
			s.drain()
			s.halt()

			other := newHouse(t) // a broker whose data is not ours
			fresh := newTraffic(2)
			fresh.n = 100_000
			if c.events > 0 {
				other.produce(fresh.next(c.events)...)
			}
			h.useLog, h.useOutput = other.client, other.producer
			s = h.start()
			<-s.done
			var changed *LogChangedError
			if err := s.ended(); !errors.As(err, &changed) || !strings.Contains(err.Error(), c.want) ||
				!strings.Contains(err.Error(), "millrace topics adopt "+event.TopicEvents) || changed.Topic != event.TopicEvents {
				t.Fatalf("stream ended with %v", err)
			}
			for _, topic := range Topics() {
				if _, err := h.control.AdoptTopic(t.Context(), topic, testPartitions); err != nil {
					t.Fatal(err)
				}
			}
			s = h.start()
			s.drain()
			for id := range fresh.ids {
				old.ids[id] = true
			}
			h.checkLanded(old.ids)
			verify(t, s.Stream)
		})
	}
}

func TestUnknownTopicSaysSo(t *testing.T) {
	h := newHouse(t)
	s := h.stream()
	defer s.Close()
	s.deps.Epochs = noEpochs{}
	if _, err := s.origin(t.Context(), partitionID{event.TopicEvents, 0}, lake.TableEvents); err == nil || !strings.Contains(err.Error(), "topics adopt") {
		t.Fatalf("a topic without an epoch: %v", err)
	}
}

type noEpochs struct{}

func (noEpochs) TopicEpoch(context.Context, string) (control.TopicEpoch, bool, error) {
	return control.TopicEpoch{}, false, nil
}

// checkGaps asks that the events table has marks of exactly these gaps, given as from and to.
func (h *house) checkGaps(want ...int64) {
	h.t.Helper()
	tables, err := h.lake.Info(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	var got []int64
	for _, g := range tables[0].Gaps {
		got = append(got, g.From, g.To)
		if g.Topic != event.TopicEvents || g.Epoch != 1 || g.Partition != kafka.PartitionFor([]byte("default:a:b1"), testPartitions) || time.Since(g.At) > time.Minute {
			h.t.Errorf("a gap is marked as %+v", g)
		}
	}
	if !slices.Equal(got, want) {
		h.t.Fatalf("the lake marks the gaps %v, want %v", got, want)
	}
}

// calledLog says when the log's offsets are asked for.
type calledLog struct {
	Log
	called chan struct{}
}

func (l calledLog) Offsets(ctx context.Context, topic string) (map[int32]kafka.OffsetRange, error) {
	defer func() { l.called <- struct{}{} }()
	return l.Log.Offsets(ctx, topic)
}

// TestDrainTellsOfLoss loses offsets while somebody waits for them: all is applied and landed then, but not everything.
func TestDrainTellsOfLoss(t *testing.T) {
	h := newHouse(t)
	h.produce(view("e0", "b1", "a"), view("e1", "b1", "a"))
	log := calledLog{Log: h.client, called: make(chan struct{})}
	h.useLog = log
	s := h.stream() // the test stands in for its partitions
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	services := make(chan error, 1)
	go func() { services <- s.landing.run(ctx) }()
	o := origin{id: partitionID{event.TopicEvents, 0}, layout: layout{1, testPartitions}}
	s.landing.begin(o.fenceKey(), 0, 0)
	drain := func(lost int64) error {
		drained := make(chan error, 1)
		go func() { drained <- s.Drained(ctx) }()
		for range Topics() {
			<-log.called
		}
		if lost > 0 {
			if err := s.skip(ctx, o, 0, lost); err != nil {
				t.Error(err)
			}
		}
		for _, topic := range Topics() {
			for p := range int32(testPartitions) {
				s.progress.update(partitionID{topic, p}, func(at *standing) { at.applied, at.landed = 2, 2 })
			}
		}
		return <-drained
	}
	if err := drain(2); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "2 offsets") {
		t.Errorf("two offsets were lost during the wait: %v", err)
	}
	if err := drain(0); err != nil {
		t.Errorf("nothing was lost during the second wait: %v", err)
	}
	cancel()
	if err := <-services; err != nil {
		t.Error(err)
	}
}

// view is a visitor's look at an item.
func view(id, browser, item string) *event.Event {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	return &event.Event{EventID: id, Site: "default", Type: event.ViewItem, OccurredAt: at, ReceivedAt: at, AnonymousID: browser,
		Items: []event.Item{{ItemID: item}}}
}

// metric is the sum over the labels of a counter or gauge.
func metric(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range families {
		if f.GetName() == name {
			found = true
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	if !found {
		t.Fatalf("no metric %s", name)
	}
	return sum
}

// thievingLake lets another writer land the same records just before us, once, as a process does that believes it still
// owns the partitions.
type thievingLake struct {
	*lake.Lake
	steal bool
}

func (l *thievingLake) Commit(ctx context.Context, in lake.Landing) error {
	if l.steal && len(in.Events) > 1 {
		l.steal = false
		// The other writer stood one record behind.
		theirs := lake.Landing{Events: in.Events[:1], Fences: []lake.Fence{}}
		at := in.Events[0].At
		for _, f := range in.Fences {
			if f.Key() == (lake.FenceKey{Topic: at.Topic, Epoch: at.Epoch, Partition: at.Partition}) && at.Offset+1 < f.Next {
				f.Next, f.Hash = at.Offset+1, 0
				theirs.Fences = append(theirs.Fences, f)
			}
		}
		if len(theirs.Fences) > 0 {
			if err := l.Lake.Commit(ctx, theirs); err != nil {
				return err
			}
		}
	}
	return l.Lake.Commit(ctx, in)
}

func TestMovedFenceIsFollowed(t *testing.T) {
	h, tr := newHouse(t), newTraffic(5)
	thief := &thievingLake{Lake: h.lake, steal: true}
	h.useLake = thief
	h.produce(tr.next(300)...)
	s := h.start()
	s.drain()
	if thief.steal {
		t.Fatal("nothing was stolen: the test proves nothing")
	}
	h.checkLanded(tr.ids)
	verify(t, s.Stream)
}

// TestLostOnlineStoreIsFilledAgain starts with an empty online store beside a full state.
func TestLostOnlineStoreIsFilledAgain(t *testing.T) {
	h, tr := newHouse(t), newTraffic(6)
	s := h.start()
	h.produce(tr.next(300)...)
	s.drain()
	s.halt()
	lost := h.online
	h.openOnline("online-2")
	if err := lost.Close(); err != nil {
		t.Fatal(err)
	}
	s = h.start()
	s.drain()
	if report := verify(t, s.Stream); report.Profiles == 0 {
		t.Fatal("nothing was compared")
	}
}

// brokenOnline takes no rows.
type brokenOnline struct{ onlinestore.Store }

var errBrokenOnline = errors.New("the online store takes no rows")

func (brokenOnline) Put(context.Context, []onlinestore.Row) error { return errBrokenOnline }

// TestBrokenRefillIsDoneAgain lets the online store fail while all rows are published again: the next start must not take
// it for full.
func TestBrokenRefillIsDoneAgain(t *testing.T) {
	h, tr := newHouse(t), newTraffic(6)
	s := h.start()
	h.produce(tr.next(300)...)
	s.drain()
	s.halt()
	lost := h.online
	h.openOnline("online-2")
	if err := lost.Close(); err != nil {
		t.Fatal(err)
	}
	whole := h.useOnline
	h.useOnline = brokenOnline{whole}
	s = h.start()
	<-s.done
	if err := s.ended(); !errors.Is(err, errBrokenOnline) {
		t.Fatalf("stream ended with %v", err)
	}
	h.useOnline = whole
	s = h.start()
	s.drain()
	if report := verify(t, s.Stream); report.Profiles == 0 {
		t.Fatal("nothing was compared")
	}
}

// countedLake counts how often its events are read. The first reading goes on when all partitions wait for it.
type countedLake struct {
	Lake
	stream chan *Stream
	scans  atomic.Int32
}

func (l *countedLake) ScanEvents(ctx context.Context, r lake.ScanRequest, yield func(lake.EventRow) error) error {
	if l.scans.Add(1) == 1 {
		s := <-l.stream
		waiting := func() int {
			s.restores.mu.Lock()
			defer s.restores.mu.Unlock()
			for _, shared := range s.restores.pasts {
				return shared.users
			}
			return 0
		}
		for waiting() < testPartitions && ctx.Err() == nil {
			runtime.Gosched()
		}
	}
	return l.Lake.ScanEvents(ctx, r, yield)
}

// TestLostStateIsMadeFromTheLake starts without a state, when the log no longer holds what made it.
func TestLostStateIsMadeFromTheLake(t *testing.T) {
	h, tr := newHouse(t), newTraffic(7)
	s := h.start()
	h.produce(tr.next(250)...)
	s.drain()
	before := verify(t, s.Stream)
	s.halt()
	if err := os.RemoveAll(filepath.Join(h.dir, "state")); err != nil {
		t.Fatal(err)
	}
	h.useLog = trimmedLog{Log: h.client, topic: event.TopicEvents, start: 20}
	counted := &countedLake{Lake: h.lake, stream: make(chan *Stream, 1)}
	h.useLake = counted
	s = h.start()
	counted.stream <- s.Stream
	again := tr.sent[0] // an id that the lost state knew
	h.produce(tr.next(100)...)
	h.produce(again)
	s.drain()
	h.checkLanded(tr.ids)
	if n := counted.scans.Load(); n != 1 {
		t.Errorf("the lake was read %d times for %d partitions", n, testPartitions)
	}
	if left, err := filepath.Glob(filepath.Join(h.dir, "state", temporaryPrefix+"*")); err != nil || len(left) != 0 {
		t.Errorf("the restore left %v (%v)", left, err)
	}
	if after := verify(t, s.Stream); after.Profiles < before.Profiles {
		t.Fatalf("%d profiles after the loss, %d before", after.Profiles, before.Profiles)
	}
}

// awayEpochs is a control store that does not answer the first questions.
type awayEpochs struct {
	Epochs
	silent *atomic.Int32
	err    error
}

func (e awayEpochs) TopicEpoch(ctx context.Context, topic string) (control.TopicEpoch, bool, error) {
	if e.silent.Add(-1) >= 0 {
		return control.TopicEpoch{}, false, e.err
	}
	return e.Epochs.TopicEpoch(ctx, topic)
}

// TestControlStoreAway lets the control store be away when partitions are assigned: they wait for it.
func TestControlStoreAway(t *testing.T) {
	h, tr := newHouse(t), newTraffic(4)
	h.produce(tr.next(50)...)
	_, away := sqldb.Open(t.Context(), "postgres://127.0.0.1:1/nowhere")
	var silent atomic.Int32
	silent.Store(2 * testPartitions)
	s := h.stream()
	s.deps.Epochs = awayEpochs{h.control, &silent, away}
	r := h.run(s)
	r.drain()
	if silent.Load() > 0 {
		t.Fatal("nobody asked for the epoch")
	}
	verify(t, s)
}
