package serving

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/blend"
	"github.com/millrace/millrace/internal/model/content"
	"github.com/millrace/millrace/internal/model/ials"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/model/synthetic"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
	"github.com/millrace/millrace/internal/registry"
)

const (
	// million is how many items the catalogue and the version have, and millionClicks what both were clicked.
	million       = 1_000_000
	millionClicks = 4_000_000
	// millionVisitors have a profile.
	millionVisitors = 20_000
	// millionLimit is what a process that serves all of it may have in memory, with what it uses of its mapped models, and so what may live
	// on its heap; millionPeak is the same until it is ready. docs/serving-speed.md says where it goes.
	millionLimit, millionPeak = 1536 << 20, 2560 << 20
	// millionLoads and millionCollects are the shares of garbage that the product collects at, until it is ready and with so much alive.
	millionLoads, millionCollects = 50, 90
)

// taken is what a process takes, in bytes.
type taken struct{ live, resident, mapped, peak float64 }

// weigh collects garbage, gives it back, and reads what is left.
func weigh(tb testing.TB) (w taken) {
	tb.Helper()
	runtime.GC()
	runtime.GC() // what the first one finalised
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Skip(err)
	}
	w.live = float64(m.HeapAlloc)
	for line := range strings.Lines(string(status)) {
		for name, to := range map[string]*float64{"VmRSS:": &w.resident, "RssFile:": &w.mapped, "VmHWM:": &w.peak} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				_, err = fmt.Sscan(rest, to)
				*to *= 1 << 10
			}
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

func (w taken) String() string {
	return fmt.Sprintf("live %.0f MiB, resident %.0f MiB, %.0f of it pages of files; at most so far %.0f", w.live/(1<<20), w.resident/(1<<20), w.mapped/(1<<20), w.peak/(1<<20))
}

// TestLongMillionItems would fail if a process that serves a million items, with a version that knows them all, took more memory than it may.
// It is stocked and fitted here, and then begins as a node does that starts.
func TestLongMillionItems(t *testing.T) {
	kafkatest.Long(t)
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	h := newHouse(t)
	sessions := millionSessions()
	h.stockMillion(sessions)
	before := weigh(t)
	t.Logf("before: %v", before)
	h.must(os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)) // what was the most so far is forgotten
	debug.SetGCPercent(millionLoads)
	began := time.Now()
	h.open()
	stop := kafkatest.Run(t, h.serving.Run)
	waitLong(t, "serving to be ready, with a model and trends", func() bool {
		return h.serving.Ready() == nil && h.serving.models.of(testSite) != nil && len(h.serving.trends.of(testSite).popular) > 0
	})
	t.Logf("ready after %v: %v", time.Since(began).Round(time.Millisecond), weigh(t))
	debug.SetGCPercent(millionCollects)
	if n := h.serving.catalogue.size(testSite); n != million {
		t.Errorf("%d items", n)
	}
	h.askMillion(sessions)
	after := weigh(t)
	t.Logf("after lists of every placement: %v", after)
	if path := os.Getenv("MILLRACE_TEST_HEAP"); path != "" {
		h.must(writeHeap(path))
	}
	if after.resident > millionLimit || after.peak > millionPeak {
		t.Errorf("more than %d MiB, or than %d at the most: %v", millionLimit>>20, millionPeak>>20, after)
	}
	stop()
	runtime.KeepAlive(h)
}

// waitLong is waitFor of what takes a minute or two.
func waitLong(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(4 * time.Minute); !reached(); <-time.After(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting for %s", what)
		}
	}
}

// askMillion asks for every kind of list, of some hundreds of visitors and items.
func (h *house) askMillion(sessions *model.Sessions) {
	h.tb.Helper()
	kinds := []string{control.KindHome, control.KindSession, control.KindItem, control.KindCart, control.KindPopular, control.KindTrending}
	slowest := time.Duration(0)
	for s := range 200 {
		clicked, _ := sessions.At(s)
		for _, kind := range kinds {
			began := time.Now()
			a := h.ask(fmt.Sprintf(`{"placement":%q,"anonymous_id":"session-%d","item_ids":[%q]}`, kind, s, millionID(clicked[0])))
			slowest = max(slowest, time.Since(began))
			ownRung := a.Degraded == "none" || kind == control.KindCart // nothing was ever ordered here
			if len(a.Items) == 0 || a.ModelVersion == "" || !ownRung {
				h.tb.Fatalf("%s of %d: %d items by %q, degraded %q", kind, s, len(a.Items), a.ModelVersion, a.Degraded)
			}
		}
	}
	h.tb.Logf("%d lists, the slowest after %v", 200*len(kinds), slowest.Round(time.Microsecond))
}

// millionSessions are clicks on all items by their popularity, over thirty days until noon.
func millionSessions() *model.Sessions {
	sessions := synthetic.Sessions(synthetic.Clicks{Clicks: millionClicks, Items: million, Seed: 1})
	const span = 30 * 24 * time.Hour
	last := sessions.Times[len(sessions.Times)-1] + 1
	for i, at := range sessions.Times {
		sessions.Times[i] = noon.Add(-span).UnixMilli() + int64(float64(at)/float64(last)*float64(span.Milliseconds()))
	}
	sessions.Users = make([]int32, sessions.Len())
	for s := range sessions.Users {
		sessions.Users[s] = int32(s % (sessions.Len()/4 + 1))
	}
	return sessions
}

// stockMillion makes the shop: rows, what events said, and a version in force.
func (h *house) stockMillion(sessions *model.Sessions) {
	h.tb.Helper()
	began := time.Now()
	items := make([]*Item, million)
	vocabulary := model.NewVocabulary()
	h.stockCatalogue(million, func(i int, it *Item) {
		items[i] = it
		vocabulary.Add(it.ItemID)
	})
	h.tb.Logf("rows stocked after %v", time.Since(began).Round(time.Second))
	h.stockAggregates(items, sessions, millionVisitors)
	h.tb.Logf("aggregates stocked after %v", time.Since(began).Round(time.Second))
	artifacts, err := fitMillion(h, vocabulary, items, sessions)
	h.must(err)
	m, err := h.registry.Publish(h.tb.Context(), registry.Manifest{Site: testSite, CreatedAt: noon}, artifacts)
	h.must(err)
	h.must(h.registry.Promote(h.tb.Context(), testSite, m.Version))
	h.tb.Logf("version published after %v", time.Since(began).Round(time.Second))
}

// fitMillion fits what a large shop is served from: popularity, transitions, session kNN, iALS in 64 dimensions, content, and a blend of
// the first four.
func fitMillion(h *house, vocabulary *model.Vocabulary, items []*Item, sessions *model.Sessions) ([]registry.Artifact, error) {
	ctx := h.tb.Context()
	categories := make([][]string, len(items))
	for i, it := range items {
		categories[i] = it.Categories
	}
	alike, err := content.Fit(ctx, content.Default(), items)
	pop, popErr := popularity.Fit(popularity.Default(), sessions, len(items), categories)
	trans, transErr := transitions.Fit(transitions.Default(), sessions, len(items))
	knn, knnErr := vmisknn.Fit(vmisknn.Default(vmisknn.VSTAN), sessions, len(items))
	met, metErr := model.NewInteractions(sessions, len(items))
	if err := errors.Join(err, popErr, transErr, knnErr, metErr); err != nil {
		return nil, err
	}
	cfg := ials.Default(len(items))
	cfg.Dimensions, cfg.Iterations = 64, 1 // which says little of tastes, and takes the memory that they take
	factors, err := ials.Fit(ctx, cfg, met)
	if err != nil {
		return nil, err
	}
	members := map[string]model.Scorer{knn.Name(): knn, trans.Name(): trans, factors.Name(): factors, pop.Name(): pop}
	joined, err := blend.New(blend.Config{
		Members: []string{knn.Name(), trans.Name(), factors.Name(), pop.Name()}, Depth: 100, Scale: blend.ScaleTop,
		Contexts: []blend.Context{{Weights: []float32{1, 0.5, 0.6, 0.1}}},
	}, members)
	if err != nil {
		return nil, err
	}
	return []registry.Artifact{
		{Name: "vocabulary", Model: vocabulary}, {Name: popularity.Name, Model: pop}, {Name: transitions.Name, Model: trans}, {Name: knn.Name(), Model: knn},
		{Name: ials.Name, Model: factors}, {Name: content.Name, Model: alike}, {Name: blend.Name, Model: joined},
	}, nil
}

// writeHeap writes what lives on the heap, for `go tool pprof`.
func writeHeap(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close())
}
