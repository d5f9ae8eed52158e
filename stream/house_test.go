package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/lake"
)

// testPartitions is small, so that a test of all partitions is quick, and more than one, so that mixing them up shows.
const testPartitions = 3

// house is everything around a stream: the real broker, lake, control and online store in a temporary directory. A stream
// in it can be stopped, killed and started again.
type house struct {
	t        *testing.T
	dir      string
	client   *kafka.Client
	producer *kafka.Producer
	control  *control.Store
	lake     *lake.Lake
	online   *onlinestore.Embedded
	log      *slog.Logger
	metrics  *prometheus.Registry // of the stream opened last

	// What the next stream works with; tests replace them to inject faults.
	useLog    Log
	useLake   Lake
	useOnline onlinestore.Store
	useOutput Producer
	bucket    objstore.Bucket // nil: states stay in their directories
	stateName string          // directory of the states of the next stream

	assigner     Assigner
	grows        bool // the stream may grow topics
	erases       bool // the stream may erase people
	drainTimeout time.Duration
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), assigner: everything{}, drainTimeout: defaultDrainTimeout, stateName: "state", log: slog.New(slog.DiscardHandler)}
	h.client = kafkatest.Client(t, kafkatest.Broker(t))
	h.producer = h.newProducer()
	var err error
	if h.control, err = control.Open(t.Context(), filepath.Join(h.dir, "control.db")); err != nil {
		t.Fatal(err)
	}
	if h.lake, err = lake.Open(t.Context(), lake.Config{Dir: filepath.Join(h.dir, "lake")}); err != nil {
		t.Fatal(err)
	}
	h.openOnline("online")
	t.Cleanup(func() {
		if err := errors.Join(h.online.Close(), h.lake.Close(), h.control.Close()); err != nil {
			t.Error(err)
		}
	})
	for _, topic := range []string{event.TopicEvents, event.TopicExposures, event.TopicItems, event.TopicDead, event.TopicFeatures, event.TopicSessions} {
		kafkatest.Topic(t, h.client, topic, testPartitions)
		if _, err := h.control.EnsureEpoch(t.Context(), topic, testPartitions, true); err != nil {
			t.Fatal(err)
		}
	}
	h.useLog, h.useLake, h.useOutput = h.client, h.lake, h.producer
	return h
}

func (h *house) newProducer() *kafka.Producer {
	h.t.Helper()
	return kafkatest.Producer(h.t, h.client, kafka.ProducerConfig{Linger: -1})
}

// openOnline opens the online store in a directory of the house.
func (h *house) openOnline(name string) {
	h.t.Helper()
	var err error
	h.online, err = onlinestore.OpenEmbedded(onlinestore.EmbeddedConfig{Dir: filepath.Join(h.dir, name), CacheBytes: 1 << 20})
	if err != nil {
		h.t.Fatal(err)
	}
	h.useOnline = h.online
}

// everything assigns all partitions to one process, without the delays of a group.
type everything struct{}

func (everything) Run(ctx context.Context, handle kafka.Handler) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, topic := range Topics() {
		for p := range int32(testPartitions) {
			all.Go(func() error { return handle(ctx, topic, p, func(int64) {}) })
		}
	}
	return all.Wait()
}

// stream opens a stream that is not running.
func (h *house) stream() *Stream {
	h.t.Helper()
	return h.streamIn(filepath.Join(h.dir, h.stateName))
}

// streamIn opens one whose states are in a directory of their own, as in another process.
func (h *house) streamIn(dir string) *Stream {
	h.t.Helper()
	h.metrics = prometheus.NewRegistry()
	deps := Deps{Log: h.useLog, Assigner: h.assigner, Producer: h.useOutput, Lake: h.useLake, Epochs: h.control, Replays: h.control, Rebuilds: h.control,
		Online: h.useOnline, Bucket: h.bucket, Logger: h.log, Metrics: h.metrics}
	if h.erases {
		deps.Ledgers = h.control
		deps.Erasing = &Erasing{Jobs: h.control, Log: h.client, Lake: h.lake, Rejects: filepath.Join(h.dir, "rejected")}
	}
	if h.grows {
		deps.Grows, deps.Topics = h.control, h.client
	}
	s, err := New(Config{StateDir: dir, CommitInterval: 20 * time.Millisecond, CheckpointInterval: 50 * time.Millisecond,
		UploadInterval: 30 * time.Millisecond, CacheBytes: 1 << 20}, deps)
	if err != nil {
		h.t.Fatal(err)
	}
	s.drainTimeout, s.rebuildPoll, s.closeEvery, s.growSettle = h.drainTimeout, 20*time.Millisecond, time.Millisecond, 0
	return s
}

// running is a stream that runs.
type running struct {
	*Stream
	t    *testing.T
	once sync.Once
	stop context.CancelFunc
	done chan struct{}
	err  error // of Run, once done is closed
}

func (h *house) start() *running {
	h.t.Helper()
	return h.run(h.stream())
}

func (h *house) run(s *Stream) *running {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	r := &running{Stream: s, t: h.t, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = r.Run(ctx)
	}()
	h.t.Cleanup(func() { r.ended() })
	return r
}

// ended stops the stream and returns how Run ended.
func (r *running) ended() error {
	r.once.Do(func() {
		r.stop()
		<-r.done
		r.Close()
	})
	return r.err
}

// halt stops the stream as SIGTERM does.
func (r *running) halt() {
	r.t.Helper()
	if err := r.ended(); err != nil {
		r.t.Fatalf("stream ended with %v", err)
	}
}

// drain waits until everything produced so far is applied and landed.
func (r *running) drain() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	go func() {
		select {
		case <-r.done: // a stream that has failed will never drain
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := r.Drained(ctx); err != nil {
		r.t.Fatalf("%v (stream: %v)", err, r.progress.snapshot())
	}
}

// verify asks for zero differences.
func verify(t *testing.T, s *Stream) Report {
	t.Helper()
	report, err := s.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if report.Differences != 0 {
		t.Fatalf("%d differences in %d rows: %q", report.Differences, report.Rows, report.Described)
	}
	return report
}

// produce writes events to the log as the collector does.
func (h *house) produce(events ...*event.Event) {
	h.t.Helper()
	records := make([]kafka.Record, len(events))
	for i, e := range events {
		value, err := event.Marshal(e)
		if err != nil {
			h.t.Fatal(err)
		}
		records[i] = kafka.Record{Topic: event.TopicEvents, Partition: -1, Time: e.ReceivedAt, Key: []byte(e.Key()), Value: value}
	}
	if err := h.producer.Produce(h.t.Context(), records); err != nil {
		h.t.Fatal(err)
	}
}

// landed returns how often each event_id is in the lake.
func (h *house) landed() map[string]int {
	h.t.Helper()
	ids := make(map[string]int)
	err := h.lake.ScanEvents(h.t.Context(), lake.ScanRequest{Table: lake.TableEvents}, func(r lake.EventRow) error {
		ids[r.Event.EventID]++
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return ids
}

// checkLanded asks that exactly the given events are in the lake, each once.
func (h *house) checkLanded(ids map[string]bool) {
	h.t.Helper()
	landed := h.landed()
	for id := range ids {
		if landed[id] != 1 {
			h.t.Errorf("event %s is in the lake %d times", id, landed[id])
		}
	}
	if len(landed) != len(ids) {
		h.t.Errorf("%d events in the lake, want %d", len(landed), len(ids))
	}
}

// traffic makes events of a few visitors with seeded chance: several sites, logins, logouts, shared browsers, users
// without a browser, robots, refusals, late events, duplicates and lists.
type traffic struct {
	r    *rand.Rand
	now  time.Time
	n    int
	sent []*event.Event
	ids  map[string]bool
}

func newTraffic(seed uint64) *traffic {
	return &traffic{r: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), ids: make(map[string]bool)}
}

// detail says more about an event, so that every feature has something to count.
func (tr *traffic) detail(e *event.Event) {
	place := int32(tr.n % 7)
	switch {
	case e.Type == event.PageView && tr.n%3 == 0:
		e.Type, e.SearchTerm = event.Search, fmt.Sprintf("Term %d", tr.n%11)
	case e.Type == event.PageView && tr.n%3 == 1:
		e.Type, e.Engagement = event.Engage, &event.Engagement{VisibleMs: int64(tr.n) * 7, FocusedMs: int64(tr.n)}
		e.Items = []event.Item{{ItemID: fmt.Sprintf("i%d", tr.n%20)}}
	case e.Type == event.ViewItemList:
		e.Rec = &event.Rec{RecID: "r", Placement: fmt.Sprintf("p%d", tr.n%3), Index: &place}
		if tr.n%4 == 0 {
			e.Type, e.Items = event.SelectItem, e.Items[:1]
		}
	}
	for i := range e.Items {
		if tr.n%2 == 0 {
			e.Items[i].Index, e.Items[i].ItemBrand = &place, fmt.Sprintf("brand%d", tr.n%4)
		}
	}
}

func (tr *traffic) next(n int) []*event.Event {
	events := make([]*event.Event, 0, n)
	types := []string{event.PageView, event.ViewItem, event.ViewItem, event.ViewItem, event.AddToCart, event.Purchase, event.ViewItemList}
	for len(events) < n {
		tr.now = tr.now.Add(time.Duration(tr.r.IntN(20_000)) * time.Millisecond)
		if len(tr.sent) > 0 && tr.r.IntN(12) == 0 { // the beacon sends again what it holds unacknowledged
			again := tr.sent[tr.r.IntN(len(tr.sent))]
			events = append(events, again)
			continue
		}
		tr.n++
		e := &event.Event{EventID: fmt.Sprintf("e%06d", tr.n), Site: "default", AnonymousID: fmt.Sprintf("b%d", tr.r.IntN(8)),
			OccurredAt: tr.now, ReceivedAt: tr.now.Add(time.Second), Type: types[tr.r.IntN(len(types))]}
		if tr.r.IntN(4) == 0 {
			e.Site = "other"
		}
		switch tr.r.IntN(20) {
		case 0:
			e.OccurredAt = tr.now.Add(-time.Duration(tr.r.IntN(100)) * time.Hour)
		case 1:
			e.IsBot = true
		case 2:
			refused := false
			e.AnonymousID, e.Consent = "", &event.Consent{Personalization: &refused}
		case 3:
			e.AnonymousID, e.UserID = "", fmt.Sprintf("u%d", tr.r.IntN(4))
		case 4:
			e.Type = event.Logout
		case 5, 6:
			e.UserID = fmt.Sprintf("u%d", tr.r.IntN(4))
		case 7:
			e.Source = event.SourceImport
		}
		if e.Type != event.PageView && e.Type != event.Logout {
			for range 1 + tr.r.IntN(3) {
				price := float64(tr.r.IntN(1000)) / 7
				e.Items = append(e.Items, event.Item{ItemID: fmt.Sprintf("i%d", tr.r.IntN(20)), ItemCategory: fmt.Sprintf("c%d", tr.r.IntN(5)), Price: &price})
			}
		}
		tr.detail(e)
		tr.sent = append(tr.sent, e)
		tr.ids[e.EventID] = true
		events = append(events, e)
	}
	return events
}
