package serving

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/basket"
	"github.com/millrace/millrace/internal/model/content"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testSite   = event.DefaultSite
	testOrigin = "https://shop.example"
)

// noon is the time of every request in these tests.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// rowOf is the first revision of an item.
func rowOf(it Item) *Row {
	return newRow(&event.CatalogueRow{Site: testSite, CatalogueItem: it, Revision: 1}, newSharedTexts())
}

// stock puts rows in force that no topic has.
func (c *Catalogue) stock(rows ...*Row) {
	c.force(rows, func(_, _ *Row) verdict { return changed })
}

// house is serving with real neighbours: a broker, a control store, an online store and a registry in temporary
// directories.
type house struct {
	tb        testing.TB
	serving   *Serving
	deps      Deps
	cfg       Config
	router    chi.Router
	site      string // whose items, events and models these are
	controlAt string // where the control store is
	control   *control.Store
	online    onlinestore.Store
	registry  *registry.Registry
	client    *kafka.Client
	metrics   *prometheus.Registry
	secret    string
	public    string

	newest   map[string]int64            // persons of a browser so far, by browser
	profiles map[string]*feature.Profile // by online key
	items    map[string]*feature.ItemAggregate
	offset   int64
	sessions [][]string
	orders   [][]string      // what was bought together, for the versions that train makes
	source   registry.Source // of the versions that train makes
}

// newHouse builds the neighbours and a Serving that does not run yet.
func newHouse(tb testing.TB) *house {
	dir := tb.TempDir()
	return newHouseOver(tb, dir, filepath.Join(dir, "control.db"), kafkatest.Client(tb, kafkatest.Broker(tb)))
}

// newHouseOver is newHouse over a given place of the control store and a given broker.
func newHouseOver(tb testing.TB, dir, place string, client *kafka.Client) *house {
	tb.Helper()
	h := &house{
		tb: tb, site: testSite, controlAt: place, client: client, metrics: prometheus.NewRegistry(),
		newest: map[string]int64{}, profiles: map[string]*feature.Profile{}, items: map[string]*feature.ItemAggregate{},
	}
	var err error
	h.control, err = control.Open(tb.Context(), place)
	h.must(err)
	tb.Cleanup(func() { h.must(h.control.Close()) })
	embedded, err := onlinestore.OpenEmbedded(onlinestore.EmbeddedConfig{Dir: filepath.Join(dir, "online")})
	h.must(err)
	tb.Cleanup(func() { h.must(embedded.Close()) })
	h.online = embedded
	h.registry, err = registry.Open(tb.Context(), objstore.Place{Dir: filepath.Join(dir, "models")})
	h.must(err)
	kafkatest.Topic(tb, h.client, event.TopicItems, 2)
	kafkatest.Topic(tb, h.client, event.TopicExposures, 2)
	kafkatest.Topic(tb, h.client, event.TopicSessions, 2)
	for _, topic := range []string{event.TopicItems, event.TopicEvents} {
		_, err = h.control.EnsureEpoch(tb.Context(), topic, 2, true)
		h.must(err)
		h.complete(topic)
	}
	_, h.secret, err = h.control.CreateKey(tb.Context(), control.NewKey{Site: testSite, Kind: control.KeySecret})
	h.must(err)
	_, h.public, err = h.control.CreateKey(tb.Context(), control.NewKey{Site: testSite, Kind: control.KeyWrite, Origins: []string{testOrigin}})
	h.must(err)
	h.must(h.control.PutPlacement(tb.Context(), control.Placement{
		Site: testSite, Name: "home", Kind: control.KindHome, Limit: 12, BrowserReadable: true,
	}))
	h.cfg = Config{Dir: dir}
	h.deps = Deps{
		Log: slog.New(slog.DiscardHandler), Metrics: h.metrics, Control: h.control, Online: h.online, Registry: h.registry,
		Producer: kafkatest.Producer(tb, h.client, kafka.ProducerConfig{}), Items: h.client, Now: func() time.Time { return noon },
	}
	return h
}

// marker is that of the online store.
func (h *house) marker() string {
	h.tb.Helper()
	marker, err := h.online.Marker(h.tb.Context())
	h.must(err)
	return marker
}

// complete says in the online store, as its writers do, that it has everything of a topic's partitions.
func (h *house) complete(topic string) {
	h.tb.Helper()
	for p := range int32(2) {
		h.must(h.online.Put(h.tb.Context(), []onlinestore.Row{
			{Key: onlinestore.OffsetKey(topic, p), Epoch: 1, Offset: -1, Value: onlinestore.CompleteValue(h.marker())},
		}))
	}
}

// open makes the Serving.
func (h *house) open() *house {
	h.tb.Helper()
	var err error
	h.serving, err = New(h.cfg, h.deps)
	h.must(err)
	h.router = chi.NewRouter()
	h.serving.Routes(api.New(h.router, h.deps.Log))
	h.serving.AdminRoutes(h.router)
	return h
}

// start opens the Serving and lets it follow the catalogue and send exposures; models and trends move when a test says
// so, by train and refresh.
func start(tb testing.TB) *house { return newHouse(tb).run() }

func (h *house) run() *house {
	tb := h.open().tb
	h.must(h.serving.loadCatalogue(tb.Context()))
	kafkatest.Run(tb, func(ctx context.Context) error { return h.serving.catalogue.follow(ctx, h.serving.log) })
	kafkatest.Run(tb, func(ctx context.Context) error { h.serving.exposures.run(ctx); return nil })
	h.serving.modelsPolled.Store(true)
	h.serving.overlay.reached.Store(true)
	return h
}

func (h *house) must(err error) {
	h.tb.Helper()
	if err != nil {
		h.tb.Fatal(err)
	}
}

// do sends a request with the secret key unless headers say otherwise.
func (h *house) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	h.tb.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+h.secret)
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.router.ServeHTTP(w, r)
	return w
}

// ask asks for a list and expects to get one.
func (h *house) ask(request string) Answer {
	h.tb.Helper()
	w := h.do(http.MethodPost, "/v1/recommend", request)
	if w.Code != http.StatusOK {
		h.tb.Fatalf("recommend %s: %d %s", request, w.Code, w.Body)
	}
	return decode[Answer](h.tb, w.Body)
}

func decode[T any](tb testing.TB, r io.Reader) (v T) {
	tb.Helper()
	if err := json.NewDecoder(r).Decode(&v); err != nil {
		tb.Fatal(err)
	}
	return v
}

func ids(a Answer) []string {
	list := make([]string, len(a.Items))
	for i, item := range a.Items {
		list[i] = item.ItemID
	}
	return list
}

// put upserts catalogue rows.
func (h *house) put(rows ...string) UpsertReport {
	h.tb.Helper()
	raw := make([]json.RawMessage, len(rows))
	for i, row := range rows {
		raw[i] = json.RawMessage(row)
	}
	report, err := h.serving.catalogue.Upsert(h.tb.Context(), h.site, raw)
	h.must(err)
	return report
}

// happen applies an event to the online store as the stream does.
func (h *house) happen(e *event.Event) {
	h.tb.Helper()
	e.Site = h.site
	if e.EventID == "" {
		e.EventID = event.NewID(e.OccurredAt)
	}
	h.offset++
	var rows []onlinestore.Row
	put := func(key string, value []byte) {
		rows = append(rows, onlinestore.Row{Key: key, Version: feature.Version, Epoch: 1, Offset: h.offset, Value: value})
	}
	partial := onlinestore.Partial{Site: h.site, Kind: onlinestore.KindBrowser, ID: e.AnonymousID, N: h.newest[e.AnonymousID]}
	switch {
	case e.AnonymousID == "":
		partial.Kind, partial.ID = onlinestore.KindUser, e.UserID
	case e.UserID != "":
		link := onlinestore.Link{Site: h.site, User: e.UserID, Browser: e.AnonymousID, N: partial.N}
		put(onlinestore.LinkKey(link), onlinestore.LinkValue(e.OccurredAt.UnixMilli()))
	case e.Type == event.Logout:
		h.newest[e.AnonymousID]++
		put(onlinestore.NewestKey(h.site, e.AnonymousID), onlinestore.NewestValue(h.newest[e.AnonymousID]))
	}
	key := onlinestore.ProfileKey(partial)
	if h.profiles[key] == nil {
		h.profiles[key] = &feature.Profile{}
	}
	h.profiles[key].Apply(e)
	put(key, h.profiles[key].Encode(nil))
	for i := range e.Items {
		key := onlinestore.ItemKey(onlinestore.ItemShare{Site: h.site, Item: e.Items[i].ItemID})
		if h.items[key] == nil {
			h.items[key] = &feature.ItemAggregate{}
		}
		h.items[key].Apply(e, &e.Items[i])
		put(key, h.items[key].Encode(nil))
	}
	h.must(h.online.Put(h.tb.Context(), rows))
}

// refresh reads the item aggregates now, and what they say of items.
func (h *house) refresh() {
	h.tb.Helper()
	read, err := h.serving.trends.refresh(h.tb.Context(), h.site)
	h.must(err)
	h.serving.similar.learn(h.tb.Context(), h.site, read)
}

// train fits every kind of model on sessions of item ids, one minute a step, and promotes the version.
func (h *house) train(sessions [][]string) registry.Manifest {
	h.tb.Helper()
	return h.fit(timed(sessions))
}

// timed numbers the items of sessions and gives them times, one minute a step.
func timed(sessions [][]string) (*model.Vocabulary, *model.Sessions) {
	vocabulary, data := model.NewVocabulary(), &model.Sessions{}
	at := noon.Add(-24 * time.Hour).UnixMilli()
	for _, session := range sessions {
		var items []int32
		var times []int64
		for _, id := range session {
			at += 60_000
			items, times = append(items, vocabulary.Add(id)), append(times, at)
		}
		data.Append(items, times)
	}
	return vocabulary, data
}

// fit fits every kind of model and promotes the version.
func (h *house) fit(vocabulary *model.Vocabulary, data *model.Sessions) registry.Manifest {
	h.tb.Helper()
	items, baskets := h.catalogueItems(vocabulary), h.baskets(vocabulary)
	pop, err := popularity.Fit(popularity.Default(), data, vocabulary.Len(), nil)
	h.must(err)
	trans, err := transitions.Fit(transitions.Default(), data, vocabulary.Len())
	h.must(err)
	knn, err := vmisknn.Fit(vmisknn.Default(vmisknn.VSTAN), data, vocabulary.Len())
	h.must(err)
	together, err := basket.Fit(h.tb.Context(), basket.Default(), baskets, vocabulary.Len())
	h.must(err)
	alike, err := content.Fit(h.tb.Context(), content.Default(), items)
	h.must(err)
	m, err := h.registry.Publish(h.tb.Context(), registry.Manifest{Site: h.site, CreatedAt: time.Now(), Source: h.source}, []registry.Artifact{
		{Name: "vocabulary", Model: vocabulary}, {Name: popularity.Name, Model: pop}, {Name: transitions.Name, Model: trans}, {Name: "vstan", Model: knn},
		{Name: basket.Name, Model: together}, {Name: content.Name, Model: alike},
	})
	h.must(err)
	h.must(h.registry.Promote(h.tb.Context(), h.site, m.Version))
	return m
}

// catalogueItems gives the rows of the catalogue a place in the vocabulary; the items without one are nil.
func (h *house) catalogueItems(vocabulary *model.Vocabulary) []*Item {
	var rows []*Row
	if h.serving != nil {
		rows, _ = h.serving.catalogue.page(h.site, "", 1_000, nil)
	}
	for _, row := range rows {
		vocabulary.Add(row.ItemID)
	}
	for _, order := range h.orders {
		for _, id := range order {
			vocabulary.Add(id)
		}
	}
	items := make([]*Item, vocabulary.Len())
	for _, row := range rows {
		items[vocabulary.Add(row.ItemID)] = row.Item()
	}
	return items
}

// baskets are the orders of the training data.
func (h *house) baskets(vocabulary *model.Vocabulary) *model.Sessions {
	baskets := &model.Sessions{}
	for _, order := range h.orders {
		items := vocabulary.Indices(nil, order)
		baskets.Append(items, slices.Repeat([]int64{noon.UnixMilli()}, len(items)))
	}
	return baskets
}
