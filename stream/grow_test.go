package stream

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/lake"
)

// grownPartitions is no multiple of testPartitions: keys move between old partitions too, not only to new ones.
const grownPartitions = 5

// following assigns all partitions that the topics have to one process, and new ones when they come.
type following struct{ client *kafka.Client }

func (f following) Run(ctx context.Context, handle kafka.Handler) error {
	all, ctx := errgroup.WithContext(ctx)
	known := make(map[partitionID]bool)
	look := time.NewTicker(100 * time.Millisecond) // each look is a dozen requests
	defer look.Stop()
	for ctx.Err() == nil {
		for _, topic := range Topics() {
			ranges, err := f.client.Offsets(ctx, topic)
			if err != nil {
				break // the end of the test, or the next look tells
			}
			for p := range ranges {
				if id := (partitionID{topic, p}); !known[id] {
					known[id] = true
					all.Go(func() error { return handle(ctx, topic, p, func(int64) {}) })
				}
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
	return all.Wait()
}

// growingHouse is a house whose stream may grow topics.
func growingHouse(t *testing.T) *house {
	h := newHouse(t)
	h.useLog, h.assigner, h.grows = quickLog{h.client}, following{h.client}, true
	return h
}

// grown waits until nothing is under way any more.
func (r *running) grown(topic string) GrowStatus {
	r.t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		status, err := r.GrowStatus(r.t.Context(), topic)
		if err != nil {
			r.t.Fatal(err)
		}
		if status.Step == "" {
			return status
		}
		select {
		case <-look.C:
		case <-r.done:
			r.t.Fatalf("the stream ended with %v while a topic grew: %+v", r.err, status)
		}
	}
}

// spread writes events as a collector does that knows the new partitions.
func (h *house) spread(events ...*event.Event) {
	h.t.Helper()
	records := make([]kafka.Record, len(events))
	for i, e := range events {
		records[i] = kafka.Record{Topic: event.TopicEvents, Partition: kafka.PartitionFor([]byte(e.Key()), grownPartitions), Time: e.ReceivedAt,
			Key: []byte(e.Key()), Value: encoded(h.t, e)}
	}
	if err := h.producer.Produce(h.t.Context(), records); err != nil {
		h.t.Fatal(err)
	}
}

// TestGrowEvents grows the topic of events under a running stream: every event is in the lake once, those that are sent
// again across the grow are known, and the features equal the history under the new partitioning.
func TestGrowEvents(t *testing.T) {
	h, tr := growingHouse(t), newTraffic(21)
	s := h.start()
	h.produce(tr.next(600)...)
	before := slices.Clone(tr.sent)
	if err := s.Grow(t.Context(), event.TopicEvents, grownPartitions); err != nil {
		t.Fatal(err)
	}
	if in, err := h.control.Intake(t.Context()); err != nil || !in.Closed {
		t.Fatalf("the intake is %+v at the begin of a grow (%v)", in, err)
	}
	status := s.grown(event.TopicEvents)
	if status.Epoch != 2 || status.Partitions != grownPartitions {
		t.Fatalf("grown to %+v", status)
	}
	if in, err := h.control.Intake(t.Context()); err != nil || in.Closed || in.Partitions != grownPartitions {
		t.Fatalf("the intake is %+v after the grow (%v)", in, err)
	}
	h.spread(before...) // what was acknowledged and not heard of, and every row of an import
	h.spread(tr.next(300)...)
	h.exactlyGrown(s, tr)
	for _, topic := range []string{event.TopicEvents, event.TopicFeatures} {
		if ranges, err := h.client.Offsets(t.Context(), topic); err != nil || len(ranges) != grownPartitions {
			t.Errorf("%s has %d partitions (%v)", topic, len(ranges), err)
		}
	}
	s.halt()
	s = h.start()
	h.exactlyGrown(s, tr)
	generation := h.requestRebuild() // and again, from both epochs
	s.rebuilt(generation)
	h.exactlyGrown(s, tr)
}

// exactlyGrown asks for exact features, each event once in the lake, and every row at the partition that its key has now.
func (h *house) exactlyGrown(r *running, tr *traffic) {
	h.t.Helper()
	h.exactly(r)
	h.checkLanded(tr.ids)
	partitions := make(map[int32]int)
	for n := range int32(grownPartitions) {
		r.mu.Lock()
		p := r.open[n]
		r.mu.Unlock()
		if err := p.ask(h.t.Context(), func(context.Context) error {
			return p.db.Scan("p/", func(key string, _ []byte) error {
				partial, err := onlinestore.ParseProfileKey(key)
				if want := kafka.PartitionFor([]byte(partial.Site+":"+partial.Kind+":"+partial.ID), grownPartitions); want != n {
					h.t.Errorf("profile %s lives in partition %d, its events come in %d", key, n, want)
				}
				partitions[n]++
				return err
			})
		}); err != nil {
			h.t.Fatal(err)
		}
	}
	if len(partitions) < grownPartitions {
		h.t.Errorf("profiles live in %d of %d partitions", len(partitions), grownPartitions)
	}
}

// TestGrowSurvivesDeath kills the process between any two steps of a grow and starts it again: it goes on by itself.
func TestGrowSurvivesDeath(t *testing.T) {
	for _, at := range []string{stepSettled, stepDrained, stepRaising, stepFeedGrown, stepRaised, stepFenced, stepEpochOpen, stepMoved, stepFollowed, stepGrown} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			h, tr := growingHouse(t), newTraffic(22)
			h.produce(tr.next(150)...)
			reaper := &reaper{at: step(at), left: 1}
			ctx, kill := context.WithCancel(t.Context())
			reaper.kill = kill
			mortal := h.stream()
			mortal.hook = func(s string) error { return reaper.pass(step(s)) }
			if err := mortal.Grow(t.Context(), event.TopicEvents, grownPartitions); err != nil {
				t.Fatal(err)
			}
			_ = mortal.Run(ctx)
			mortal.Close()
			if !reaper.dead {
				t.Fatalf("the process never came to %q", at)
			}
			s := h.start()
			if status := s.grown(event.TopicEvents); status.Epoch != 2 || status.Partitions != grownPartitions {
				t.Fatalf("grown to %+v", status)
			}
			h.spread(tr.sent...)
			h.spread(tr.next(50)...)
			h.exactly(s)
			h.checkLanded(tr.ids)
		})
	}
}

// TestStragglersLandOnce lets a record in that nobody waits for, between the drain and the end of the epoch, while a stream
// of the old epoch still runs and lands: it lands in one of the two epochs.
func TestStragglersLandOnce(t *testing.T) {
	for _, at := range []string{stepDrained, stepRaised, stepFenced} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			h := growingHouse(t)
			ids := map[string]bool{"first": true, "straggler": true}
			h.produce(view("first", "b1", "a"))
			s := h.stream()
			s.hook = func(step string) error {
				if step != at {
					return nil
				}
				h.produce(view("straggler", "b1", "a"))
				id := partitionID{event.TopicEvents, kafka.PartitionFor([]byte("default:a:b1"), testPartitions)}
				if err := s.progress.wait(t.Context(), func(at map[partitionID]standing) bool { return at[id].applied == 2 }); err != nil {
					return err
				}
				return s.landing.flush(t.Context()) // the old epoch tries
			}
			r := h.run(s)
			if err := s.Grow(t.Context(), event.TopicEvents, grownPartitions); err != nil {
				t.Fatal(err)
			}
			r.grown(event.TopicEvents)
			r.drain()
			h.checkLanded(ids)
		})
	}
}

// TestGrowExposures grows the topic of exposures, for which nothing has to wait.
func TestGrowExposures(t *testing.T) {
	h := growingHouse(t)
	s := h.start()
	show := func(recs ...string) {
		var records []kafka.Record
		for _, rec := range recs {
			value, err := event.MarshalExposure(&event.Exposure{RecID: rec, Site: "default", ServedAt: time.Now().UTC()})
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, kafka.Record{Topic: event.TopicExposures, Partition: -1, Key: []byte("default:" + rec), Value: value, Time: time.Now()})
		}
		if err := h.producer.Produce(t.Context(), records); err != nil {
			t.Fatal(err)
		}
	}
	show("r1", "r2", "r3", "r4")
	if err := s.Grow(t.Context(), event.TopicExposures, grownPartitions); err != nil {
		t.Fatal(err)
	}
	if in, err := h.control.Intake(t.Context()); err != nil || in.Closed {
		t.Fatalf("events are refused while exposures grow: %+v (%v)", in, err)
	}
	if status := s.grown(event.TopicExposures); status.Epoch != 2 || status.Partitions != grownPartitions {
		t.Fatalf("grown to %+v", status)
	}
	h.producer = h.newProducer()
	show("r5", "r6", "r7", "r8", "r9")
	s.drain()
	landed := make(map[string]int)
	err := h.lake.ScanExposures(t.Context(), lake.ScanRequest{Table: lake.TableExposures}, func(r lake.ExposureRow) error {
		landed[r.Exposure.RecID]++
		return nil
	})
	want := map[string]int{"r1": 1, "r2": 1, "r3": 1, "r4": 1, "r5": 1, "r6": 1, "r7": 1, "r8": 1, "r9": 1}
	if err != nil || !maps.Equal(landed, want) {
		t.Fatalf("landed %v (%v)", landed, err)
	}
}

func TestWhatCannotGrow(t *testing.T) {
	h := growingHouse(t)
	s := h.stream()
	defer s.Close()
	for _, topic := range []string{event.TopicItems, event.TopicDead, event.TopicFeatures, "another"} {
		if err := s.Grow(t.Context(), topic, grownPartitions); err == nil {
			t.Errorf("%s may grow", topic)
		}
	}
	for _, partitions := range []int32{0, testPartitions - 1} {
		if err := s.Grow(t.Context(), event.TopicEvents, partitions); err == nil {
			t.Errorf("%d partitions become %d", testPartitions, partitions)
		}
	}
	if grows, err := h.control.Grows(t.Context()); err != nil || len(grows) != 0 {
		t.Errorf("refused grows left %+v (%v)", grows, err)
	}
	if names := GrowingTopics([]control.Grow{{Topic: event.TopicEvents, Step: control.GrowRaising}, {Topic: event.TopicExposures, Step: control.GrowClosing}}); !slices.Equal(names, []string{event.TopicEvents, event.TopicFeatures}) {
		t.Errorf("growing topics %v", names)
	}
}
