package tracker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/tracker/spool"
)

// rig is a sink over a real broker that can go away and come back at the same address, with all that it had.
type rig struct {
	dir    string
	addr   string
	broker *broker.Broker
	client *kafka.Client
	spool  *spool.Spool
	sink   *Sink
	stop   func()
}

func newRig(t *testing.T, cfg spool.Config) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), addr: "127.0.0.1:0"}
	r.startBroker(t)
	t.Cleanup(func() { _ = r.broker.Close() })
	r.client = kafkatest.Dial(t, []string{r.addr})
	kafkatest.Topic(t, r.client, event.TopicEvents, 4)
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	r.start(t, cfg, kafkatest.Producer(t, r.client, kafka.ProducerConfig{}))
	return r
}

func (r *rig) startBroker(t *testing.T) {
	t.Helper()
	var err error
	for range 100 { // the port may be in use by a connection that ends
		if r.broker, err = broker.Start(broker.Config{DataDir: r.dir, Listen: r.addr}); err == nil {
			r.addr = r.broker.Addr()
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatal(err)
}

// start opens the spool and runs a sink on it.
func (r *rig) start(t *testing.T, cfg spool.Config, producer Producer) {
	t.Helper()
	s, err := spool.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.spool = s
	r.sink, err = NewSink(SinkConfig{Patience: 150 * time.Millisecond}, SinkDeps{
		Producer: producer, Spool: s, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := kafkatest.Run(t, r.sink.Run)
	r.stop = func() {
		stop()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(r.stop)
}

func (r *rig) drained(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.sink.Drained(ctx); err != nil {
		t.Fatal(err)
	}
}

func eventRecord(visitor string, n int) kafka.Record {
	return kafka.Record{
		Topic: event.TopicEvents, Partition: -1, Time: time.UnixMilli(1_772_366_400_000), Key: []byte("shop:a:" + visitor),
		Value: []byte(strconv.Itoa(n)), Headers: recordHeaders(),
	}
}

// firsts reads the topic as the stream does: of a value that comes again the first counts. It fails unless each visitor's values
// are 0, 1, 2, ... in order, at least as many as were acknowledged.
func (r *rig) firsts(t *testing.T, acknowledged map[string]int) (repeats int) {
	t.Helper()
	next := map[string]int{}
	ranges, err := r.client.Offsets(t.Context(), event.TopicEvents)
	if err != nil {
		t.Fatal(err)
	}
	for partition, span := range ranges {
		for at := span.Start; at < span.End; {
			res, err := r.client.Fetch(t.Context(), kafka.FetchRequest{Topic: event.TopicEvents, Partition: partition, Offset: at})
			if err != nil {
				t.Fatal(err)
			}
			at = res.Next
			for _, rec := range res.Records {
				n, err := strconv.Atoi(string(rec.Value))
				if err != nil || len(rec.Headers) != 1 || string(rec.Headers[0].Value) != event.Schema || rec.Time.UnixMilli() != 1_772_366_400_000 {
					t.Fatalf("record %q, headers %v, time %v", rec.Value, rec.Headers, rec.Time)
				}
				key := strings.TrimPrefix(string(rec.Key), "shop:a:")
				switch {
				case n == next[key]:
					next[key]++
				case n < next[key]:
					repeats++
				default:
					t.Fatalf("visitor %s: %d comes where %d should", key, n, next[key])
				}
			}
		}
	}
	for visitor, n := range acknowledged {
		if next[visitor] < n {
			t.Errorf("visitor %s: %d were acknowledged, %d are there", visitor, n, next[visitor])
		}
	}
	return repeats
}

// crowd are visitors who send one event after the other, each when the one before is stored, until stop.
type crowd struct {
	wg           sync.WaitGroup
	done         chan struct{}
	mu           sync.Mutex
	acknowledged map[string]int
	refused      atomic.Int64
	sent         atomic.Int64
}

func newCrowd(visitors int, send func(kafka.Record) error) *crowd {
	c := &crowd{done: make(chan struct{}), acknowledged: map[string]int{}}
	for v := range visitors {
		name := fmt.Sprintf("v%d", v)
		c.wg.Go(func() {
			for n := 0; ; {
				select {
				case <-c.done:
					return
				case <-time.After(time.Millisecond):
				}
				if err := send(eventRecord(name, n)); err != nil {
					c.refused.Add(1)
					continue
				}
				n++
				c.sent.Add(1)
				c.mu.Lock()
				c.acknowledged[name] = n
				c.mu.Unlock()
			}
		})
	}
	return c
}

func (c *crowd) stop() map[string]int {
	close(c.done)
	c.wg.Wait()
	return c.acknowledged
}

// until waits for a condition that must come.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// TestOutage takes the broker away under load and brings it back: every event is acknowledged all the time, all of them arrive,
// each visitor's in order, and in the end they go to Kafka directly again.
func TestOutage(t *testing.T) {
	r := newRig(t, spool.Config{})
	c := newCrowd(40, func(rec kafka.Record) error { return r.sink.Produce(t.Context(), []kafka.Record{rec}) })
	until(t, "events in Kafka", func() bool { return c.sent.Load() > 500 })
	if n := r.spool.Stats().Entries; n != 0 || r.sink.State() != "" {
		t.Errorf("%d events are spooled while Kafka is there: %s", n, r.sink.State())
	}
	for range 2 {
		if err := r.broker.Close(); err != nil {
			t.Fatal(err)
		}
		before := c.sent.Load()
		until(t, "events while Kafka is away", func() bool { return c.sent.Load() > before+3000 })
		if err := r.sink.Ready(); err != nil || !strings.Contains(r.sink.State(), "Kafka takes no events") {
			t.Errorf("ready: %v, state %q", err, r.sink.State())
		}
		r.startBroker(t)
		until(t, "direct writing again", func() bool { return r.sink.State() == "" })
	}
	acknowledged := c.stop()
	r.drained(t)
	repeats := r.firsts(t, acknowledged)
	if c.refused.Load() > 0 {
		t.Errorf("%d events were refused", c.refused.Load())
	}
	t.Logf("%d events, %d of them twice in the log", c.sent.Load(), repeats)
}

// TestBackToKafkaUnderLoad drains a spool while events keep coming as fast as they are stored: lanes must not write behind the
// reader for ever.
func TestBackToKafkaUnderLoad(t *testing.T) {
	r := newRig(t, spool.Config{})
	const notEnoughReplicas = 19
	remove, err := r.broker.Inject(broker.Fault{API: "Produce", Code: notEnoughReplicas, Count: -1})
	if err != nil {
		t.Fatal(err)
	}
	c := newCrowd(200, func(rec kafka.Record) error { return r.sink.Produce(t.Context(), []kafka.Record{rec}) })
	until(t, "a full spool", func() bool { return r.spool.Stats().Entries > 2*nearEntries })
	remove()
	until(t, "direct writing again", func() bool { return r.sink.State() == "" })
	r.firsts(t, c.stop())
}

// TestOneLaneAway fails one partition: the others' visitors never touch the disk.
func TestOneLaneAway(t *testing.T) {
	r := newRig(t, spool.Config{})
	away := kafka.PartitionFor(eventRecord("v0", 0).Key, 4)
	const notLeader = 6
	remove, err := r.broker.Inject(broker.Fault{API: "Produce", Topic: event.TopicEvents, Partitions: []int32{away}, Code: notLeader, Count: -1})
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]int{}
	for v := range 20 {
		name := fmt.Sprintf("v%d", v)
		if err := r.sink.Produce(t.Context(), []kafka.Record{eventRecord(name, 0), eventRecord(name, 1)}); err != nil {
			t.Fatal(err)
		}
		acknowledged[name] = 2
	}
	if r.spool.Stats().Entries == 0 {
		t.Error("the fault did not hit")
	}
	remove()
	r.drained(t)
	r.firsts(t, acknowledged)
}

// TestRestartInOutage ends one sink while Kafka is away, and lets the next bring what is in the spool before anything new.
func TestRestartInOutage(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, spool.Config{Dir: dir})
	if err := r.broker.Close(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]int{}
	send := func(from, to int) {
		var wg sync.WaitGroup
		for v := range 20 {
			name := fmt.Sprintf("v%d", v)
			acknowledged[name] = to
			wg.Go(func() {
				for n := from; n < to; n++ {
					if err := r.sink.Produce(t.Context(), []kafka.Record{eventRecord(name, n)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	send(0, 10)
	r.stop()
	if err := r.sink.Produce(t.Context(), []kafka.Record{eventRecord("v0", 10)}); !errors.Is(err, ErrSinkClosed) {
		t.Errorf("a stopped sink: %v", err)
	}
	r.start(t, spool.Config{Dir: dir}, kafkatest.Producer(t, kafkatest.Dial(t, []string{r.addr}), kafka.ProducerConfig{}))
	send(10, 15)
	r.startBroker(t)
	send(15, 30)
	r.drained(t)
	r.firsts(t, acknowledged)
}

// TestBothFull refuses when neither takes anything, says so in Ready, and goes on by itself when there is room or Kafka is back.
func TestBothFull(t *testing.T) {
	r := newRig(t, spool.Config{MaxBytes: 64 << 10})
	if err := r.broker.Close(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]int{}
	var err error
	for n := 0; err == nil && n < 5_000; n++ {
		if err = r.sink.Produce(t.Context(), []kafka.Record{eventRecord("v", n)}); err == nil {
			acknowledged["v"] = n + 1
		}
	}
	if !errors.Is(err, spool.ErrFull) || acknowledged["v"] < 100 {
		t.Fatalf("after %d events: %v", acknowledged["v"], err)
	}
	if err := r.sink.Ready(); !errors.Is(err, spool.ErrFull) {
		t.Errorf("ready: %v", err)
	}
	r.startBroker(t)
	r.drained(t)
	until(t, "ready", func() bool { return r.sink.Ready() == nil })
	if err := r.sink.Produce(t.Context(), []kafka.Record{eventRecord("v", acknowledged["v"])}); err != nil {
		t.Error(err)
	}
	r.firsts(t, acknowledged)
}

// TestWaitingIsBounded refuses at once what does not fit into memory, and takes again when that is free.
func TestWaitingIsBounded(t *testing.T) {
	held := make(chan struct{})
	r := &rig{}
	var got atomic.Int64
	r.start(t, spool.Config{Dir: t.TempDir()}, producerFunc(func(records []kafka.Record) error {
		<-held
		got.Add(int64(len(records)))
		return nil
	}))
	r.sink.cfg.MaxWaitingBytes = 1_000
	first := make(chan error, 1)
	go func() { first <- r.sink.Produce(t.Context(), []kafka.Record{eventRecord("v", 0)}) }()
	until(t, "the first to wait", func() bool { return r.sink.waiting.Load() > 0 })
	big := eventRecord("v", 1)
	big.Value = make([]byte, 700)
	if err := r.sink.Produce(t.Context(), []kafka.Record{big}); !errors.Is(err, ErrBusy) {
		t.Errorf("beyond the bound: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.sink.Produce(ctx, []kafka.Record{eventRecord("w", 1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who is gone: %v", err)
	}
	close(held)
	if err := <-first; err != nil {
		t.Error(err)
	}
	until(t, "free memory", func() bool { return r.sink.waiting.Load() == 0 })
	if err := r.sink.Produce(t.Context(), []kafka.Record{big}); err != nil || got.Load() != 3 {
		t.Errorf("afterwards: %v, %d records", err, got.Load())
	}
}

// FuzzEntry holds encoding against decoding, and lets decoding meet anything.
func FuzzEntry(f *testing.F) {
	r := eventRecord("v", 1)
	f.Add(encodeEntry(&r))
	f.Add([]byte{entryVersion, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeEntry(b)
		if err != nil {
			return
		}
		back, err := decodeEntry(encodeEntry(&r))
		if err != nil || string(back.Key) != string(r.Key) || string(back.Value) != string(r.Value) || !back.Time.Equal(r.Time) ||
			string(schemaOf(&back)) != string(schemaOf(&r)) {
			t.Fatalf("%v: %+v became %+v", err, r, back)
		}
	})
}
