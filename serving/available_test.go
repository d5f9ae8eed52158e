package serving

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

const (
	// marketWrites is how often each writer takes an item away or brings it back.
	marketWrites = 24
	// marketKept is how many items of a market no writer touches: no list may be empty that they fit.
	marketKept = 2
	// browseEvery leaves writers some of a small machine.
	browseEvery = time.Millisecond
	// neighbourLimit is far beyond the second within which other nodes have a change: the test measures that, and fails only here, so
	// that a machine that stands still for a second fails nothing.
	neighbourLimit = 10 * time.Second
)

// TestWhatBecameUnavailableIsNotShown: writers take items away and bring them back, on two nodes and in every way that the API has,
// while both are asked for lists of every kind. A node does not show an item in an answer to a request that began after the node had
// the item's removal, which for the node that was written to is its acknowledgement, and that ended before anybody began to bring it
// back.
func TestWhatBecameUnavailableIsNotShown(t *testing.T) {
	for range 2 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed_%d", seed), func(t *testing.T) {
			m := newMarket(t, rand.New(rand.NewPCG(seed, 0)))
			m.judge(m.open(seed))
		})
	}
}

// market is a shop on two nodes whose items come and go.
type market struct {
	t          *testing.T
	nodes      [2]*house
	placements []string
	wares      []*ware
	clock      atomic.Int64 // tells in which order things happen

	mu   sync.Mutex
	lags []time.Duration // from the answer to a write until the other node has it
}

// ware is one item. Only its writer changes it while the market is open.
type ware struct {
	id, row string
	item    *Item // what the row says, nil for an item that begins as one of events
	kept    bool  // it stays available
	deleted bool
	hidden  bool
	gone    []absence
}

// absence is a time in which an item must not be shown, on the clock of the market.
type absence struct {
	since [2]int64 // by node
	until int64    // a write that brings it back began; 0 for never
}

// covers reports whether it lasted from before a visit began until after it ended.
func (a absence) covers(v *visit) bool {
	return a.since[v.node] < v.began && (a.until == 0 || v.ended < a.until)
}

func newMarket(t *testing.T, rng *rand.Rand) *market {
	h := start(t)
	m := &market{t: t, placements: control.Kinds()}
	for name, settings := range map[string]string{
		"fresh": `home {"sources":{"unmet":1,"popularity":0.5,"trending":1,"category":1},"exploration":1}`,
		"short": `home {"strict":true,"max_per_category":2}`, "mixed": `popular {"diversity":0.5}`,
	} {
		h.place(name + " " + settings)
		m.placements = append(m.placements, name)
	}
	for i := range marketKept + 4 + rng.IntN(24) {
		m.wares = append(m.wares, newWare(h, rng, i))
	}
	liveRandomly(h, rng, len(m.wares))
	second, follow := neighbour(t, h)
	follow()
	kafkatest.Run(t, func(ctx context.Context) error { second.serving.exposures.run(ctx); return nil })
	second.serving.modelsPolled.Store(true)
	second.serving.overlay.reached.Store(true)
	second.serving.models.poll(t.Context(), testSite)
	second.refresh()
	m.nodes = [2]*house{h, second}
	return m
}

// newWare stocks an item: with a row, or as one that only events know.
func newWare(h *house, rng *rand.Rand, i int) *ware {
	row := map[string]any{"item_id": itemName(i), "categories": []string{fmt.Sprintf("c%d", rng.IntN(3))}, "price": rng.IntN(60), "available": true}
	w := &ware{id: itemName(i), kept: i < marketKept}
	ofEvents := !w.kept && rng.IntN(5) == 0
	if !ofEvents && rng.IntN(3) == 0 {
		row["item_group_id"] = fmt.Sprintf("g%d", rng.IntN(4))
	}
	raw, err := json.Marshal(row)
	h.must(err)
	w.row = string(raw)
	if ofEvents {
		h.happen(parseEvent(h.tb, "90m a=b1 type=view_item items="+w.id+" category=c1"))
		return w
	}
	h.put(w.row)
	w.item = h.serving.catalogue.row(testSite, w.id).Item()
	return w
}

// open lets writers and visitors at the market until the writers are done, and returns what the visitors were shown.
func (m *market) open(seed uint64) []*visit {
	var writers, others sync.WaitGroup
	ctx, closing := context.WithCancel(m.t.Context())
	defer closing()
	const hands = 2
	for hand := range hands {
		writers.Go(func() { m.trade(rand.New(rand.NewPCG(seed, uint64(100+hand))), hand, hands) })
	}
	visitors := make([]marketVisitor, 2*len(m.nodes))
	for i := range visitors {
		visitors[i] = marketVisitor{market: m, rng: rand.New(rand.NewPCG(seed, uint64(200+i))), node: i % len(m.nodes)}
		others.Go(func() { visitors[i].browse(ctx) })
	}
	others.Go(func() { m.keepUp(ctx) })
	writers.Wait()
	closing()
	others.Wait()
	var visits []*visit
	for i := range visitors {
		visits = append(visits, visitors[i].visits...)
	}
	return visits
}

// trade takes away and brings back the items of one of several writers.
func (m *market) trade(rng *rand.Rand, hand, hands int) {
	var mine []*ware
	for i, w := range m.wares {
		if !w.kept && i%hands == hand {
			mine = append(mine, w)
		}
	}
	for range marketWrites {
		if len(mine) == 0 {
			return
		}
		w, node := mine[rng.IntN(len(mine))], rng.IntN(len(m.nodes))
		if !w.hidden {
			m.takeAway(rng, node, w)
		} else {
			m.bringBack(rng, node, w)
		}
		if m.t.Failed() {
			return
		}
	}
}

func (m *market) takeAway(rng *rand.Rand, node int, w *ware) {
	none := `{"item_id":"` + w.id + `","available":false}`
	past, err := json.Marshal(map[string]any{"item_id": w.id, "expires_at": noon.Add(-time.Duration(rng.IntN(2)) * time.Hour)})
	m.nodes[node].must(err)
	ways := []write{
		{"PATCH", w.id, none}, {"PATCH", w.id, string(past)}, {"PUT", w.id, none}, {"DELETE", w.id, ""},
		{"POST", "", none + "\n" + m.wares[0].row}, {"POST", "", "[" + string(past) + "]"},
	}
	way := ways[rng.IntN(len(ways))]
	m.write(node, way)
	var a absence
	a.since[node] = m.clock.Add(1)
	m.reach(1-node, node, w)
	a.since[1-node] = m.clock.Add(1)
	w.hidden, w.deleted, w.gone = true, way.method == http.MethodDelete, append(w.gone, a)
}

func (m *market) bringBack(rng *rand.Rand, node int, w *ware) {
	again := w.row[:len(w.row)-1] + `,"expires_at":null}`
	ways := []write{{"PUT", w.id, w.row}, {"POST", "", again + "\n" + m.wares[0].row}, {"POST", "", "[" + again + "]"}, {"PATCH", w.id, again}}
	if w.deleted {
		ways = ways[:3] // there is nothing to patch
	}
	w.gone[len(w.gone)-1].until = m.clock.Add(1)
	m.write(node, ways[rng.IntN(len(ways))])
	m.reach(1-node, node, w)
	w.hidden, w.deleted = false, false
}

// write is a catalogue write: of one item, or without id a bulk.
type write struct{ method, id, body string }

func (m *market) write(node int, w write) {
	path := "/v1/items/" + w.id
	if w.id == "" {
		path = "/v1/items:bulk"
	}
	r := m.nodes[node].do(w.method, path, w.body)
	if r.Code/100 != 2 {
		m.t.Errorf("%s %s %s: %d %s", w.method, path, w.body, r.Code, r.Body)
		return
	}
	if w.id == "" {
		if report := decode[UpsertReport](m.t, r.Body); len(report.Rejected) > 0 {
			m.t.Errorf("%s: %+v", w.body, report)
		}
	}
}

// reach waits until one node has the row that another has.
func (m *market) reach(node, from int, w *ware) {
	written := m.nodes[from].serving.catalogue.row(testSite, w.id)
	if written == nil {
		m.t.Errorf("%s was written and answered, and is not in force", w.id)
		return
	}
	began := time.Now()
	for {
		row := m.nodes[node].serving.catalogue.row(testSite, w.id)
		took := time.Since(began)
		if row != nil && row.Revision >= written.Revision {
			m.mu.Lock()
			m.lags = append(m.lags, took)
			m.mu.Unlock()
			return
		}
		if took > neighbourLimit {
			m.t.Errorf("%v after the answer the other node has %s as %+v, not in revision %d", took, w.id, row, written.Revision)
			return
		}
		if pause(m.t.Context(), time.Millisecond) != nil {
			return
		}
	}
}

// keepUp reads trends on both nodes until ctx ends, which names items that are gone meanwhile.
func (m *market) keepUp(ctx context.Context) {
	for pause(ctx, 20*time.Millisecond) == nil {
		for _, h := range m.nodes {
			read, err := h.serving.trends.refresh(m.t.Context(), testSite)
			if err != nil {
				m.t.Error(err)
				return
			}
			h.serving.similar.learn(m.t.Context(), testSite, read)
		}
	}
}
