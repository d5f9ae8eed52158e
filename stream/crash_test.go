package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/lake"
)

// step is a moment at which the process may die: before or after something leaves it.
type step string

const (
	beforePut    step = "state committed, online store not written"
	afterPut     step = "online store written, nothing handed to landing"
	beforeSync   step = "checkpoint begun"
	afterSync    step = "online store synced, outbox not dropped"
	beforeFeed   step = "change feed not published"
	afterFeed    step = "change feed published"
	beforeCommit step = "lake commit not begun"
	afterCommit  step = "lake committed, not noticed"
	beforeDead   step = "dead letter not written"
	afterDead    step = "dead letter written, position not moved"
	atFetch      step = "records fetched, not applied"
)

func steps() []step {
	return []step{beforePut, afterPut, beforeSync, afterSync, beforeFeed, afterFeed, beforeCommit, afterCommit, beforeDead, afterDead, atFetch}
}

// errKilled is an error that is tried again, as a dead process notices nothing and decides nothing.
var errKilled = fmt.Errorf("the process is dead: %w", net.ErrClosed)

// reaper kills a stream at the nth time that it comes to a step. From then on nothing leaves the process: every call of its
// dependencies fails without effect. What its state holds stays, as the page cache of a killed process does.
type reaper struct {
	mu   sync.Mutex
	at   step
	left int
	dead bool
	kill func()
}

func (r *reaper) pass(s step) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dead && s == r.at {
		if r.left--; r.left <= 0 {
			r.dead = true
			r.kill()
		}
	}
	if r.dead {
		return errKilled
	}
	return nil
}

// around runs an effect between two steps.
func (r *reaper) around(before, after step, effect func() error) error {
	if err := r.pass(before); err != nil {
		return err
	}
	return errors.Join(effect(), r.pass(after))
}

type mortalLake struct {
	Lake
	r *reaper
}

func (l mortalLake) Commit(ctx context.Context, in lake.Landing) error {
	return l.r.around(beforeCommit, afterCommit, func() error { return l.Lake.Commit(ctx, in) })
}

type mortalOnline struct {
	onlinestore.Store
	r *reaper
}

func (o mortalOnline) Put(ctx context.Context, rows []onlinestore.Row) error {
	return o.r.around(beforePut, afterPut, func() error { return o.Store.Put(ctx, rows) })
}

func (o mortalOnline) Sync(ctx context.Context) error {
	return o.r.around(beforeSync, afterSync, func() error { return o.Store.Sync(ctx) })
}

type mortalProducer struct {
	Producer
	r *reaper
}

func (p mortalProducer) Produce(ctx context.Context, records []kafka.Record) error {
	before, after := beforeFeed, afterFeed
	if records[0].Topic == event.TopicDead {
		before, after = beforeDead, afterDead
	}
	return p.r.around(before, after, func() error { return p.Producer.Produce(ctx, records) })
}

type mortalLog struct {
	Log
	r *reaper
}

func (l mortalLog) Fetch(ctx context.Context, req kafka.FetchRequest) (kafka.FetchResult, error) {
	res, err := l.Log.Fetch(ctx, req)
	if len(res.Records) > 0 {
		err = errors.Join(err, l.r.pass(atFetch))
	}
	return res, err
}

// startMortal starts a stream that dies at the nth time it comes to a step.
func (h *house) startMortal(at step, nth int) *running {
	r := &reaper{at: at, left: nth}
	var s *running
	ready := make(chan struct{})
	r.kill = func() {
		<-ready
		s.stop()
	}
	h.useLake, h.useOnline = mortalLake{h.lake, r}, mortalOnline{h.online, r}
	h.useOutput, h.useLog = mortalProducer{h.producer, r}, mortalLog{h.client, r}
	s = h.start()
	close(ready)
	h.useLake, h.useOnline, h.useOutput, h.useLog = h.lake, h.online, h.producer, h.client
	return s
}

// dieAt runs a stream that dies the nth time that it comes to a step of its own.
func (h *house) dieAt(at string, nth int) {
	h.t.Helper()
	reaper := &reaper{at: step(at), left: nth}
	ctx, kill := context.WithCancel(h.t.Context())
	defer kill()
	reaper.kill = kill
	mortal := h.stream()
	mortal.hook = func(s string) error { return reaper.pass(step(s)) }
	_ = mortal.Run(ctx)
	mortal.Close()
	if !reaper.dead {
		h.t.Fatalf("the process never came to %q", at)
	}
}

// TestKilledAnywhere kills the stream between every pair of effects, several times over one history, and asks after a last
// start: every event in the lake exactly once, and features equal to what the events give.
func TestKilledAnywhere(t *testing.T) {
	for _, at := range steps() {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			h, tr := newHouse(t), newTraffic(uint64(len(at)))
			h.drainTimeout = time.Millisecond
			poisoned := 0
			for round := range 2 {
				h.produce(tr.next(80)...)
				h.producePoison(fmt.Sprintf("poison %d", round))
				poisoned++
				s := h.startMortal(at, 1+round*2)
				h.produce(tr.next(30)...)
				waitKilledOrDrained(t, s)
				if err := s.ended(); err != nil && !errors.Is(err, errKilled) {
					t.Fatalf("stream ended with %v", err)
				}
			}
			s := h.start()
			s.drain()
			h.checkLanded(tr.ids)
			verify(t, s.Stream)
			s.halt()
			if letters := h.deadLetters(); len(letters) < poisoned {
				t.Fatalf("%d dead letters for %d poison records", len(letters), poisoned)
			}
		})
	}
}

// TestKilledAtRandom mixes the steps.
func TestKilledAtRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	h, tr := newHouse(t), newTraffic(99)
	h.drainTimeout = time.Millisecond
	for range 6 {
		h.produce(tr.next(60)...)
		s := h.startMortal(steps()[r.IntN(len(steps()))], 1+r.IntN(6))
		h.produce(tr.next(20)...)
		waitKilledOrDrained(t, s)
		if err := s.ended(); err != nil && !errors.Is(err, errKilled) {
			t.Fatalf("stream ended with %v", err)
		}
	}
	s := h.start()
	s.drain()
	h.checkLanded(tr.ids)
	verify(t, s.Stream)
}

// waitKilledOrDrained waits until the stream died, or came to the end of its work before its hour.
func waitKilledOrDrained(t *testing.T, s *running) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-s.done:
		case <-ctx.Done():
		}
	}()
	// The library may name a cancelled request otherwise.
	if err := s.Drained(ctx); err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		t.Fatalf("stream neither died nor drained: %v", err)
	}
}

// producePoison writes a record that is no event.
func (h *house) producePoison(value string) {
	h.t.Helper()
	r := kafka.Record{Topic: event.TopicEvents, Partition: -1, Key: []byte("default:a:b1"), Value: []byte(value), Time: time.UnixMilli(1_772_000_000_000),
		Headers: []kafka.Header{{Key: "own", Value: []byte("header")}}}
	if err := h.producer.Produce(h.t.Context(), []kafka.Record{r}); err != nil {
		h.t.Fatal(err)
	}
}

// deadLetters reads the topic of dead letters.
func (h *house) deadLetters() []kafka.Record { return h.readTopic(event.TopicDead) }

// readTopic reads all records of a topic.
func (h *house) readTopic(topic string) (records []kafka.Record) {
	h.t.Helper()
	ranges, err := h.client.Offsets(h.t.Context(), topic)
	if err != nil {
		h.t.Fatal(err)
	}
	for partition, r := range ranges {
		for at := r.Start; at < r.End; {
			res, err := h.client.Fetch(h.t.Context(), kafka.FetchRequest{Topic: topic, Partition: partition, Offset: at})
			if err != nil {
				h.t.Fatal(err)
			}
			records = append(records, res.Records...)
			at = res.Next
		}
	}
	return records
}
