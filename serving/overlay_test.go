package serving

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// closed writes closed sessions to their topic as the stream does.
func (h *house) closed(sessions ...*event.ClosedSession) {
	h.tb.Helper()
	records := make([]kafka.Record, len(sessions))
	for i, c := range sessions {
		value, err := event.MarshalClosedSession(c)
		h.must(err)
		records[i] = kafka.Record{Topic: event.TopicSessions, Partition: -1, Time: time.Now(), Key: []byte(c.Key()), Value: value}
	}
	h.must(h.deps.Producer.Produce(h.tb.Context(), records))
}

// until waits until a condition holds.
func (h *house) until(what string, holds func() bool) {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(h.tb.Context(), 20*time.Second)
	defer cancel()
	for !holds() {
		if pause(ctx, 5*time.Millisecond) != nil {
			h.tb.Fatalf("never: %s", what)
		}
	}
}

// shop trains a version in which nobody knows the item "new".
func (h *house) shop() {
	sessions := make([][]string, 40)
	for i := range sessions {
		sessions[i] = []string{"a", fmt.Sprintf("b%d", i%5), "c"}
	}
	h.source.Epoch, h.source.Fences = 1, map[string]int64{"0": 100, "1": 100}
	h.train(sessions)
	h.serving.models.poll(h.tb.Context(), testSite)
}

const afterA = `{"placement":"session","item_ids":["a"],"limit":10,"dry_run":true}`

func hasNew(a Answer) bool { return slices.Contains(ids(a), "new") }

// An item that no version knows is recommended where it was met, as soon as its first sessions have come, without training;
// not where it was not met, not once the catalogue takes it back; and a version that was trained on the sessions has them
// once.
func TestNewItemIsRecommendedOnceItsFirstSessionsAreClosed(t *testing.T) {
	h := start(t)
	h.shop()
	kafkatest.Run(t, func(ctx context.Context) error { h.serving.overlay.run(ctx); return nil })
	if a := h.ask(afterA); hasNew(a) {
		t.Fatalf("a list before the sessions has the item: %v", ids(a))
	}
	began := time.Now()
	h.put(`{"item_id":"new","title":"New"}`)
	h.closed(closedAt("s1", 0, 1, 100, "a", "new"), closedAt("s2", 1, 1, 120, "a", "new"), closedAt("landed", 0, 1, 99, "a", "trained on"))
	h.until("the new item is recommended", func() bool { return hasNew(h.ask(afterA)) })
	t.Logf("recommended %s after its sessions", time.Since(began))
	a := h.ask(afterA)
	if item := a.Items[slices.Index(ids(a), "new")]; len(item.Reasons) == 0 || slices.Contains(ids(a), "trained on") {
		t.Errorf("the list is %+v", a)
	}
	if loaded := h.serving.models.of(testSite); loaded.fresh != 2 {
		t.Errorf("%d sessions lie over the model, want 2", loaded.fresh)
	}
	h.put(`{"item_id":"new","title":"New","available":false}`)
	if a := h.ask(afterA); hasNew(a) {
		t.Errorf("an unavailable item is recommended: %v", ids(a))
	}
	h.put(`{"item_id":"new","title":"New","available":true}`)

	h.source.Fences = map[string]int64{"0": 110, "1": 110} // trained on s1, not on s2
	h.train([][]string{{"a", "new"}, {"a", "b0", "c"}, {"a", "b1", "c"}})
	h.serving.models.poll(t.Context(), testSite)
	loaded := h.serving.models.of(testSite)
	if loaded.fresh != 1 || !hasNew(h.ask(afterA)) {
		t.Errorf("%d sessions lie over the new version, want 1", loaded.fresh)
	}
}

// A node that starts late is not ready before what was closed is over its models, and one that cannot read the topic is.
func TestLateNodeHasEverySessionBeforeItIsReady(t *testing.T) {
	h := newHouse(t)
	for i := range 300 {
		h.closed(closedAt(fmt.Sprint(i), int32(i%2), 1, int64(100+i), "a", "new"))
	}
	h.run()
	h.shop()
	h.serving.base.reached.Store(true)
	h.serving.overlay.reached.Store(false)
	if h.serving.Ready() == nil {
		t.Fatal("ready before the sessions were read")
	}
	kafkatest.Run(t, func(ctx context.Context) error { h.serving.overlay.run(ctx); return nil })
	h.until("the node is ready", func() bool { return h.serving.overlay.reached.Load() })
	if loaded := h.serving.models.of(testSite); loaded.fresh != 300 {
		t.Errorf("ready with %d of 300 sessions", loaded.fresh)
	}
}

func TestNodeIsReadyWhileTheSessionsCannotBeRead(t *testing.T) {
	h := newHouse(t).open()
	h.serving.overlay.topic = deadLog{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { h.serving.overlay.run(ctx); close(done) }()
	h.until("the node is ready", func() bool { return h.serving.overlay.reached.Load() })
	cancel()
	<-done
}

// deadLog is a Kafka that is away.
type deadLog struct{ Log }

func (deadLog) Offsets(context.Context, string) (map[int32]kafka.OffsetRange, error) {
	return nil, context.DeadlineExceeded
}
