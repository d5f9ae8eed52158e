package serving

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/artifact"
	"github.com/millrace/millrace/internal/model/transitions"
)

// closed writes closed sessions to their topic as the stream does.
func (h *house) closed(sessions ...*event.ClosedSession) {
	h.tb.Helper()
	records := make([]kafka.Record, len(sessions))
	for i, c := range sessions {
		records[i] = kafka.Record{Topic: event.TopicSessions, Partition: -1, Time: time.Now(), Key: []byte(c.Key()),
			Value: event.AppendClosedSession(nil, c)}
	}
	h.must(h.deps.Producer.Produce(h.tb.Context(), records))
}

// happened puts closed sessions over the model in force, as if they had been read.
func (h *house) happened(sessions ...*event.ClosedSession) {
	h.serving.overlay.sites[testSite] = newFresh(sessions...)
	h.serving.overlay.renew(h.tb.Context(), testSite, h.serving.models.of(testSite))
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

// shopSessions are those of a shop in which nobody knows the item "new".
func shopSessions() [][]string {
	sessions := make([][]string, 40)
	for i := range sessions {
		sessions[i] = []string{"a", fmt.Sprintf("b%d", i%5), "c"}
	}
	return sessions
}

// shop trains a version on shopSessions.
func (h *house) shop() {
	h.source.Epoch, h.source.Fences = 1, map[string]int64{"0": 100, "1": 100}
	h.train(shopSessions())
	h.serving.models.poll(h.tb.Context(), testSite)
}

const (
	afterA = `{"placement":"session","item_ids":["a"],"limit":10,"dry_run":true}`
	// withA asks what is chosen together with a, as far as it is new: of the transitions first.
	withA = `{"placement":"cart","item_ids":["a"],"exclude_ids":["b0","b1","b2","b3","b4","c"],"limit":10,"dry_run":true}`
)

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
	if a := h.ask(withA); !slices.Equal(ids(a), []string{"new"}) || a.ServedBy != transitions.Name ||
		!slices.Equal(a.Items[0].Reasons, []string{"often chosen together with a"}) {
		t.Errorf("with a goes %+v", a)
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

// Closed sessions count once: what follows an item while they lie over a version is to the score what follows it in the next
// version, which is trained on them and has nothing over it.
func TestTransitionsOverAVersionAreThoseOfTheNext(t *testing.T) {
	h := start(t)
	h.shop()
	closed := []*event.ClosedSession{
		closedAt("s1", 0, 1, 100, "a", "new", "c"), closedAt("s2", 1, 1, 120, "new", "b1"), closedAt("s3", 1, 1, 130, "a", "c", "newer"),
	}
	h.happened(closed...)
	over := h.serving.models.of(testSite)
	vocabulary, data := timed(shopSessions())
	for _, c := range closed {
		var items []int32
		var times []int64
		for _, item := range c.Items {
			items, times = append(items, vocabulary.Add(item.ItemID)), append(times, item.OccurredAt.UnixMilli())
		}
		data.Append(items, times)
	}
	h.source.Fences = map[string]int64{"0": 131, "1": 131}
	h.fit(vocabulary, data)
	h.serving.models.poll(t.Context(), testSite)
	next := h.serving.models.of(testSite)
	if _, plain := next.transitions.(*transitions.Model); over.fresh != len(closed) || next.fresh != 0 || !plain {
		t.Fatalf("%d sessions lie over the first version, and %d over the next, whose transitions are a %T", over.fresh, next.fresh, next.transitions)
	}
	got, want := follows(over), follows(next)
	if len(want["new"]) < 3 {
		t.Fatalf("the new item is followed by %v", want["new"])
	}
	for item := range want {
		if len(got[item]) != len(want[item]) {
			t.Errorf("%s is followed by %v over the version, and by %v in the next", item, got[item], want[item])
		}
		for other, score := range want[item] {
			if math.Abs(got[item][other]-score) > 1e-5*score {
				t.Errorf("%s after %s has %g over the version, and %g in the next", other, item, got[item][other], score)
			}
		}
	}
}

// follows is what the transitions of a model say of each item, by id.
func follows(m *loadedModel) map[string]map[string]float64 {
	out := map[string]map[string]float64{}
	for i := range int32(m.Vocabulary.Len()) {
		scores := map[string]float64{}
		for _, s := range m.transitions.Score(nil, model.Query{Items: []int32{i}, Set: true}, m.Vocabulary.Len()) {
			scores[m.Vocabulary.ID(s.Item)] = float64(s.Score)
		}
		out[m.Vocabulary.ID(i)] = scores
	}
	return out
}

// A version of an earlier program, whose transitions nothing can be laid over, is served: its session model with the closed
// sessions over it, its transitions as they were trained, and the log says so once.
func TestVersionWithoutDegreesIsServedAsItWasTrained(t *testing.T) {
	h := start(t)
	var log bytes.Buffer
	h.serving.overlay.log = slog.New(slog.NewJSONHandler(&log, nil))
	h.shop()
	text, err := os.ReadFile("../internal/model/transitions/testdata/golden_v1.hex")
	h.must(err)
	file, err := hex.DecodeString(strings.TrimSpace(string(text)))
	h.must(err)
	old, err := transitions.Decode(artifact.File{Bytes: file}, 3)
	h.must(err)
	trained := *h.serving.models.of(testSite).whole()
	trained.transitions = old
	h.happened(closedAt("s1", 0, 1, 100, "a", "new"))
	for range 2 {
		m := h.serving.overlay.over(t.Context(), testSite, &trained)
		if m.fresh != 1 || m.session == trained.session || m.transitions != model.Scorer(old) {
			t.Errorf("%d sessions lie over %T and %T", m.fresh, m.session, m.transitions)
		}
	}
	if n := strings.Count(log.String(), "layout version 1"); n != 1 {
		t.Errorf("said %d times: %s", n, &log)
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
