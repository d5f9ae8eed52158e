package serving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/onlinestore"
)

// TestHotSwapUnderLoad: while versions are promoted one after the other, every request is answered whole by one version
// and by each site's newest in the end.
func TestHotSwapUnderLoad(t *testing.T) {
	h := newHouse(t).open()
	h.train([][]string{{"tent", "next0"}, {"tent", "next0"}})
	kafkatest.Run(t, h.serving.Run)
	version := func() string { return h.ask(`{"placement":"session","item_ids":["tent"],"dry_run":true}`).ModelVersion }
	waitFor(t, "the first model", func() bool { return h.serving.Ready() == nil && version() != "" })

	loading := context.Background()
	loading, stop := context.WithCancel(loading)
	var wg sync.WaitGroup
	var asked atomic.Int64
	for range 4 {
		wg.Go(func() {
			for loading.Err() == nil {
				w := h.do(http.MethodPost, "/v1/recommend", `{"placement":"session","item_ids":["tent"],"limit":1,"dry_run":true}`)
				a := decode[Answer](t, w.Body)
				if w.Code != 200 || a.Degraded != "none" || len(a.Items) != 1 || !strings.HasPrefix(a.Items[0].ItemID, "next") {
					t.Errorf("%d %+v", w.Code, a)
					return
				}
				asked.Add(1)
			}
		})
	}
	for i := 1; i <= 2; i++ {
		next := fmt.Sprintf("next%d", i)
		newest := h.train([][]string{{"tent", next}, {"tent", next}})
		waitFor(t, "version "+newest.Version, func() bool { return version() == newest.Version })
	}
	stop()
	wg.Wait()
	if asked.Load() == 0 {
		t.Error("no request ran beside the swaps")
	}
	if _, ok := metric(t, h.metrics, "millrace_model_age_seconds", testSite); !ok {
		t.Error("the model's age is not reported")
	}
}

// refusing is a Kafka that takes nothing.
type refusing struct{}

func (refusing) Produce(context.Context, []kafka.Record) error { return kafka.ErrBufferFull }

// TestExposuresNeverHoldAnswersUp: with nobody draining the queue answers go on, and what does not fit is counted.
func TestExposuresNeverHoldAnswersUp(t *testing.T) {
	h := newHouse(t)
	h.deps.Producer = refusing{}
	h.open()
	h.must(h.serving.loadCatalogue(t.Context()))
	for range maxExposureQueue {
		h.serving.exposures.record(listed{})
	}
	h.ask(`{"placement":"home"}`)
	if n, _ := metric(t, h.metrics, "millrace_exposures_dropped_total"); n != 1 {
		t.Errorf("%g dropped by a full queue", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.serving.exposures.run(ctx) // the drain finds Kafka refusing
	if n, _ := metric(t, h.metrics, "millrace_exposures_dropped_total"); n != maxExposureQueue+1 {
		t.Errorf("%g dropped in all", n)
	}
	// A catalogue write, unlike an exposure, must say that it failed.
	if w := h.do(http.MethodPut, "/v1/items/a", `{}`); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("write while Kafka refuses: %d %s", w.Code, w.Body)
	}
}

// unanswering is a Kafka that is away: whoever produces waits as long as his context lets him.
type unanswering struct{ asked chan struct{} }

func (u unanswering) Produce(ctx context.Context, _ []kafka.Record) error {
	u.asked <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

// TestExposuresStopInTime: stopping takes no longer than the drain although Kafka is away, a batch is under way and
// others wait, and every exposure is counted.
func TestExposuresStopInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dropped := prometheus.NewCounter(prometheus.CounterOpts{Name: "dropped"})
		away := unanswering{asked: make(chan struct{}, 10)}
		x := newExposures(away, dropped, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { x.run(ctx); close(ended) }()
		x.record(listed{})
		<-away.asked
		for range 3 * exposureBatch {
			x.record(listed{})
		}
		cancel()
		stopped := time.Now()
		<-ended
		if took := time.Since(stopped); took != exposureDrain {
			t.Errorf("stopped after %v, the drain is %v", took, exposureDrain)
		}
		registry := prometheus.NewRegistry()
		registry.MustRegister(dropped)
		if n, _ := metric(t, registry, "dropped"); n != 3*exposureBatch+1 {
			t.Errorf("%g dropped", n)
		}
	})
}

// away is an online store that does not answer.
type away struct{ OnlineStore }

var errAway = errors.New("the store is away")

func (away) Get(context.Context, string) (onlinestore.Row, bool, error) {
	return onlinestore.Row{}, false, errAway
}
func (away) Scan(context.Context, string, func(onlinestore.Row) error) error { return errAway }

// TestStoreAway: without the online store and without a model the last list on disk answers; with a model and the
// request's own session, the session rung does.
func TestStoreAway(t *testing.T) {
	first := start(t)
	first.happen(parseEvent(t, "2m a=x type=view_item items=pan"))
	first.happen(parseEvent(t, "1m a=x type=view_item items=pan,pot"))
	first.refresh()
	first.serving.static.save(testSite, first.serving.trends.of(testSite), noon)

	h := *first
	h.metrics = prometheus.NewRegistry()
	h.deps.Online, h.deps.Metrics = away{}, h.metrics
	h.open()
	a := h.ask(`{"placement":"home","anonymous_id":"x"}`)
	if a.Degraded != "static" || a.ServedBy != "static" || !slices.Equal(ids(a), []string{"pan", "pot"}) {
		t.Errorf("list on disk: %+v", a)
	}
	h.train([][]string{{"tent", "mat"}, {"tent", "mat"}})
	h.serving.models.poll(t.Context(), testSite)
	a = h.ask(`{"placement":"home","anonymous_id":"x","item_ids":["tent"],"after_event":"e"}`)
	if a.Degraded != "session" || a.Items[0].ItemID != "mat" || !a.Stale {
		t.Errorf("session rung: %+v", a)
	}
	a = h.ask(`{"placement":"home","anonymous_id":"x"}`)
	if a.Degraded != "trending" {
		t.Errorf("trending rung of the model: %+v", a)
	}
	if n, _ := metric(t, h.metrics, "millrace_recommend_degraded_total", "session"); n != 1 {
		t.Errorf("session rung counted %g times", n)
	}
}

// TestAfterEventSeesTheClick: a request that comes before its event waits for it.
func TestAfterEventSeesTheClick(t *testing.T) {
	h := start(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		waitFor(t, "the request to wait for its event", func() bool { return len(h.serving.visitors.waiting) == 1 })
		h.happen(parseEvent(t, "1s a=b type=view_item items=hat id=the-click"))
	})
	a := h.ask(`{"placement":"recent","anonymous_id":"b","after_event":"the-click"}`)
	wg.Wait()
	if a.Stale || !slices.Equal(ids(a), []string{"hat"}) {
		t.Errorf("%+v", a)
	}
}

// TestFeatures: what a shop reads of a visitor is what requests use, of a browser or of all browsers of a user.
func TestFeatures(t *testing.T) {
	h := start(t)
	h.happen(parseEvent(t, "3m a=phone type=view_item items=hat category=Hats"))
	h.happen(parseEvent(t, "2m a=phone u=ada type=view_item items=cap category=Hats"))
	h.happen(parseEvent(t, "1m a=laptop u=ada type=purchase items=scarf category=Scarves"))
	h.happen(parseEvent(t, "1m a=other u=bob type=view_item items=bag"))
	type features struct {
		ProfileID    string `json:"profile_id"`
		Interactions []struct {
			ItemID string `json:"item_id"`
		}
		Seen, Bought []string
		Affinities   map[string]map[string]float64
	}
	get := func(id string) features {
		t.Helper()
		w := h.do(http.MethodGet, "/v1/users/"+id+"/features", "")
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", id, w.Code, w.Body)
		}
		return decode[features](t, w.Body)
	}
	ada := get("ada")
	if ada.ProfileID != "default:u:ada" || !slices.Equal(ada.Seen, []string{"scarf", "cap", "hat"}) || !slices.Equal(ada.Bought, []string{"scarf"}) ||
		len(ada.Interactions) != 3 || ada.Affinities["Hats"]["14d"] < 1.9 {
		t.Errorf("%+v", ada)
	}
	if phone := get("anonymous:phone"); phone.ProfileID != "default:a:phone:0" || !slices.Equal(phone.Seen, []string{"cap", "hat"}) {
		t.Errorf("%+v", phone)
	}
}

// metric reads one metric whose label values are these, as a scrape does.
func metric(tb testing.TB, reg *prometheus.Registry, name string, labels ...string) (value float64, ok bool) {
	tb.Helper()
	families, err := reg.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var values []string
			for _, label := range m.GetLabel() {
				values = append(values, label.GetValue())
			}
			if family.GetName() == name && slices.Equal(values, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue(), true
			}
		}
	}
	return 0, false
}
