package serving

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/onlinestore/redistest"
)

// redisHouse is a house whose online store is a real Redis without persistence.
func redisHouse(tb testing.TB) (*house, *redistest.Server) {
	tb.Helper()
	server := redistest.Start(tb)
	h := newHouse(tb)
	store, err := onlinestore.OpenRedis(onlinestore.RedisConfig{Addresses: []string{server.Addr}})
	h.must(err)
	tb.Cleanup(func() { h.must(store.Close()) })
	h.online, h.deps.Online = store, store
	h.complete(event.TopicItems)
	h.complete(event.TopicEvents)
	return h, server
}

// node opens another node over the same neighbours and runs all of it until the test ends.
func node(h *house, change func(*Deps)) *house {
	n := *h
	n.metrics = prometheus.NewRegistry()
	n.cfg.Dir = h.tb.TempDir()
	n.deps.Metrics = n.metrics
	if change != nil {
		change(&n.deps)
	}
	n.open()
	kafkatest.Run(h.tb, n.serving.Run)
	return &n
}

// republish writes every feature again, as the stream does when the store was lost.
func (h *house) republish() {
	h.tb.Helper()
	var rows []onlinestore.Row
	add := func(key string, value []byte) {
		rows = append(rows, onlinestore.Row{Key: key, Version: feature.Version, Epoch: 1, Offset: h.offset, Value: value})
	}
	for key, p := range h.profiles {
		add(key, p.Encode(nil))
	}
	for key, i := range h.items {
		add(key, i.Encode(nil))
	}
	h.must(h.online.Put(h.tb.Context(), rows))
	h.complete(event.TopicEvents)
}

const homeOfX = `{"placement":"home","anonymous_id":"x","limit":1,"dry_run":true}`

// TestTwoNodesOverALostRedis kills Redis under two nodes that are being asked: no request fails or gets an empty list,
// answers say that they are degraded, and with Redis and its rows back both nodes answer as before, catalogue included.
func TestTwoNodesOverALostRedis(t *testing.T) {
	h, server := redisHouse(t)
	for i := range 12 {
		h.happen(parseEvent(t, fmt.Sprintf("%dm a=x type=view_item items=item%d category=Hats", 20-i, i)))
		h.happen(parseEvent(t, fmt.Sprintf("%dm a=y type=view_item items=other%d category=Hats", 20-i, i)))
	}
	h.train([][]string{{"item11", "other0"}, {"item11", "other0"}})
	nodes := []*house{node(h, nil), node(h, nil)}
	for _, n := range nodes {
		waitFor(t, "the node to be ready, with trends", func() bool {
			return n.serving.Ready() == nil && len(n.serving.trends.of(testSite).popular) == 24
		})
	}
	nodes[0].put(`{"item_id":"other0","title":"kept in memory"}`)
	waitFor(t, "both nodes to have the row", func() bool { return nodes[1].serving.catalogue.row(testSite, "other0") != nil })
	for _, n := range nodes {
		waitFor(t, "an answer of the model", func() bool { return n.ask(homeOfX).Degraded == "none" })
	}

	loading, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for _, n := range nodes {
		load.Go(func() {
			for loading.Err() == nil {
				w := n.do(http.MethodPost, "/v1/recommend", homeOfX)
				if a := decode[Answer](t, w.Body); w.Code != http.StatusOK || len(a.Items) == 0 {
					t.Errorf("%d %+v", w.Code, a)
					return
				}
			}
		})
	}
	server.Kill()
	for _, n := range nodes {
		waitFor(t, "a degraded answer while Redis is away", func() bool { return n.ask(homeOfX).Degraded != "none" })
	}
	server.Start()
	waitFor(t, "a node to write the catalogue", func() bool {
		row, ok, err := h.online.Get(t.Context(), onlinestore.CatalogKey(testSite, "other0"))
		return err == nil && ok && row.Offset == 0
	})
	for _, n := range nodes { // Redis answers, but has nothing of x: a list as if x were new would be a lie
		waitFor(t, "the node to see that the store is another", func() bool { return !n.serving.base.whole.Load() })
		if a := n.ask(homeOfX); a.Degraded == "none" || len(a.Items) == 0 {
			t.Errorf("before the features are back: %+v", a)
		}
		if n.serving.Ready() != nil {
			t.Error("a node took itself out of service, as all others would")
		}
	}
	h.republish()
	for _, n := range nodes {
		waitFor(t, "an answer as before", func() bool { return n.ask(homeOfX).Degraded == "none" })
	}
	stop()
	load.Wait()
}

// TestTrendsStandWhileTheStoreIsFilledAgain would fail if a reading of an emptied store replaced a good one.
func TestTrendsStandWhileTheStoreIsFilledAgain(t *testing.T) {
	h, server := redisHouse(t)
	h.run()
	h.happen(parseEvent(t, "1m a=x type=view_item items=hat"))
	h.refresh()
	server.FlushAll()
	if _, err := h.serving.trends.refresh(t.Context(), testSite); err == nil {
		t.Error("a reading of the emptied store counts")
	}
	if kept := h.serving.trends.of(testSite).popular; len(kept) != 1 {
		t.Errorf("%d items in the trends", len(kept))
	}
	h.republish()
	h.refresh()
}

// shortLog is a log whose first record of each partition is gone.
type shortLog struct{ Log }

func (l shortLog) Offsets(ctx context.Context, topic string) (map[int32]kafka.OffsetRange, error) {
	ranges, err := l.Log.Offsets(ctx, topic)
	for p, r := range ranges {
		ranges[p] = kafka.OffsetRange{Start: min(1, r.End), End: r.End}
	}
	return ranges, err
}

// TestLateNodeIsCompleteBeforeItIsReady starts a node on a store that was just emptied, and a topic that no longer has the
// first items: it must get them from the node that runs, and the features from the stream, before it says ready.
func TestLateNodeIsCompleteBeforeItIsReady(t *testing.T) {
	h, server := redisHouse(t)
	h.happen(parseEvent(t, "1m a=x type=view_item items=hat"))
	first := node(h, nil)
	waitFor(t, "the first node", func() bool { return first.serving.Ready() == nil })
	const items = 8
	for i := range items {
		first.put(fmt.Sprintf(`{"item_id":"item%d"}`, i))
	}
	server.FlushAll()
	late := node(h, func(d *Deps) { d.Items = shortLog{h.client} })
	waitFor(t, "the late node to have the catalogue of the first", func() bool {
		return late.serving.catalogue.complete() && late.serving.catalogue.size(testSite) == items
	})
	if err := late.serving.Ready(); err == nil {
		t.Error("ready without a single feature")
	}
	h.must(h.online.Put(t.Context(), []onlinestore.Row{
		{Key: onlinestore.OffsetKey(event.TopicEvents, 0), Epoch: 1, Value: onlinestore.CompleteValue(h.marker())},
	}))
	if at, err := late.serving.base.look(t.Context()); err != nil || at.features || late.serving.Ready() == nil {
		t.Errorf("ready with one partition of two: %+v, %v", at, err)
	}
	h.republish()
	waitFor(t, "the late node to be ready", func() bool { return late.serving.Ready() == nil })
}
