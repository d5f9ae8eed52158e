package stream

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
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
	s.drain()
	h.checkLanded(map[string]bool{"e0": true, "e3": true})
	if lost := metric(t, h.metrics, "millrace_lost_offsets_total"); lost != 2 {
		t.Fatalf("%v lost offsets counted, want 2", lost)
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

// TestLostStateIsMadeFromTheLake starts without a state, when the log no longer holds what made it.
func TestLostStateIsMadeFromTheLake(t *testing.T) {
	h, tr := newHouse(t), newTraffic(7)
	s := h.start()
	h.produce(tr.next(400)...)
	s.drain()
	before := verify(t, s.Stream)
	s.halt()
	if err := os.RemoveAll(filepath.Join(h.dir, "state")); err != nil {
		t.Fatal(err)
	}
	h.useLog = trimmedLog{Log: h.client, topic: event.TopicEvents, start: 40}
	s = h.start()
	again := tr.sent[0] // an id that the lost state knew
	h.produce(tr.next(100)...)
	h.produce(again)
	s.drain()
	h.checkLanded(tr.ids)
	if after := verify(t, s.Stream); after.Profiles < before.Profiles {
		t.Fatalf("%d profiles after the loss, %d before", after.Profiles, before.Profiles)
	}
}

// TestVerifyNoticesDamage changes one row in each store: a verification that cannot fail proves nothing.
func TestVerifyNoticesDamage(t *testing.T) {
	h, tr := newHouse(t), newTraffic(8)
	s := h.start()
	h.produce(tr.next(200)...)
	s.drain()
	s.halt()
	alone := h.stream()
	defer alone.Close()
	verify(t, alone)

	key := onlinestore.ItemKey(onlinestore.ItemShare{Site: "default", Item: "i1", Partition: 0})
	row, ok, err := h.online.Get(t.Context(), key)
	if err != nil || !ok {
		t.Fatalf("no row %s: %v", key, err)
	}
	put := func(row onlinestore.Row) {
		if err := h.online.Put(t.Context(), []onlinestore.Row{row}); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, n int64) {
		t.Helper()
		report, err := alone.Verify(t.Context())
		if err != nil || report.Differences != n || int64(len(report.Described)) != n {
			t.Fatalf("%s: report %+v, %v, want %d differences", what, report, err, n)
		}
	}
	damaged := row
	damaged.Value = append([]byte(nil), row.Value...)
	damaged.Value[1]++
	put(damaged)
	expect("a changed row online", 1)
	put(row)
	expect("healed", 0)
	stray := row
	stray.Key, stray.Offset = onlinestore.ItemKey(onlinestore.ItemShare{Site: "default", Item: "never", Partition: 0}), 0
	put(stray)
	expect("a stray row online", 1)
	if err := h.online.Delete(t.Context(), stray.Key, key); err != nil {
		t.Fatal(err)
	}
	expect("a missing row online", 1)
	put(row)

	db, err := state.Open(alone.stateDir(0), state.Options{Cache: alone.cache})
	if err != nil {
		t.Fatal(err)
	}
	position, _, err := db.Position()
	if err != nil {
		t.Fatal(err)
	}
	batch := db.NewBatch()
	batch.Set(key, onlinestore.AppendRow(nil, damaged))
	batch.Set(stray.Key, onlinestore.AppendRow(nil, stray))
	if err := errors.Join(db.Commit(batch, position), db.Close()); err != nil {
		t.Fatal(err)
	}
	expect("a changed and a stray row in the state", 2)
}

func TestStateInUseSaysSo(t *testing.T) {
	h := newHouse(t)
	s := h.start()
	s.drain()
	second := h.start()
	<-second.done
	if err := second.ended(); !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), filepath.Join(h.dir, "state")) {
		t.Fatalf("a second stream on one state directory ended with %v", err)
	}
}
