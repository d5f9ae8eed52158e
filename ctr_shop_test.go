package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/registry"
	"github.com/millrace/millrace/internal/simshop/crowd"
	"github.com/millrace/millrace/lake"
	"github.com/millrace/millrace/serving"
	"github.com/millrace/millrace/trainer"
)

// ctrShop is a shop that has lived with a crowd: its history is in a lake, a version was trained on it, its features are in an online
// store, and serving answers at the time of the crowd.
type ctrShop struct {
	t      *testing.T
	crowd  *crowd.Crowd
	dir    string
	secret string
	router chi.Router
	events map[string]int // by shopper
	later  atomic.Int64   // nanoseconds since the crowd's time
}

func newCTRShop(t *testing.T, truth crowd.Truth) *ctrShop {
	t.Helper()
	s := &ctrShop{
		t: t, crowd: crowd.New(truth, time.Date(2026, 3, 29, 18, 0, 0, 0, time.UTC)), dir: t.TempDir(), events: map[string]int{},
	}
	store, err := control.Open(t.Context(), s.dir+"/control.db")
	s.must(err)
	t.Cleanup(func() { s.must(store.Close()) })
	_, s.secret, err = store.CreateKey(t.Context(), control.NewKey{Site: event.DefaultSite, Kind: control.KeySecret})
	s.must(err)
	online, err := onlinestore.OpenEmbedded(onlinestore.EmbeddedConfig{Dir: s.dir + "/online"})
	s.must(err)
	t.Cleanup(func() { s.must(online.Close()) })
	models, err := registry.Open(t.Context(), objstore.Place{Dir: s.dir + "/models"})
	s.must(err)
	s.train(models)
	s.publish(online)
	s.serve(store, online, models)
	return s
}

func (s *ctrShop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// train lands the catalogue and the visits that are over in a lake and trains on it, as every night.
func (s *ctrShop) train(models *registry.Registry) {
	l, err := lake.Open(s.t.Context(), lake.Config{Dir: s.dir + "/lake"})
	s.must(err)
	defer func() { s.must(l.Close()) }()
	at := func(topic string, offset int) lake.Position {
		return lake.Position{Topic: topic, Epoch: 1, Offset: int64(offset)}
	}
	var landing lake.Landing
	for i := range s.crowd.History {
		landing.Events = append(landing.Events, lake.EventRow{Event: &s.crowd.History[i], At: at(event.TopicEvents, i)})
	}
	for i, item := range s.items() {
		row := &event.CatalogueRow{Site: event.DefaultSite, CatalogueItem: item, Revision: 1, UpdatedAt: s.crowd.History[0].OccurredAt}
		landing.Items = append(landing.Items, lake.ItemRow{Item: row, At: at(event.TopicItems, i)})
	}
	landing.Fences = []lake.Fence{
		{Topic: event.TopicEvents, Epoch: 1, Next: int64(len(landing.Events)), Hash: 1},
		{Topic: event.TopicItems, Epoch: 1, Next: int64(len(landing.Items)), Hash: 1},
	}
	s.must(l.Commit(s.t.Context(), landing))
	result, err := trainer.Run(s.t.Context(), trainer.Config{Site: event.DefaultSite, Seed: 1}, trainer.Deps{
		Source: trainer.LakeSource{Lake: l}, Registry: models, Now: func() time.Time { return s.crowd.Now },
	})
	s.must(err)
	s.t.Logf("%d events; trained in %.1f s: %s", len(s.crowd.History), result.Seconds, result.Reason)
	if !result.Promoted {
		s.t.Fatal("the version was not promoted")
	}
}

// items is the catalogue when lists are asked for.
func (s *ctrShop) items() []event.CatalogueItem {
	out := make([]event.CatalogueItem, len(s.crowd.Items))
	for i := range s.crowd.Items {
		it := &s.crowd.Items[i]
		out[i] = event.CatalogueItem{
			ItemID: it.ID, ItemGroupID: it.Group, Title: it.Title, Categories: []string{crowd.CategoryName(it.Category)},
			Brand: crowd.BrandName(it.Brand), Price: &it.Price, Available: it.Available,
		}
	}
	return out
}

// publish makes features of all events, the running visits included, as the stream does, and puts them into the online store.
func (s *ctrShop) publish(online onlinestore.Store) {
	profiles, items := map[string]*feature.Profile{}, map[string]*feature.ItemAggregate{}
	item := func(id string) *feature.ItemAggregate {
		if items[id] == nil {
			items[id] = &feature.ItemAggregate{}
		}
		return items[id]
	}
	for _, e := range slices.Concat(s.crowd.History, s.crowd.Running) {
		p := profiles[e.AnonymousID]
		if p == nil {
			p = &feature.Profile{}
			profiles[e.AnonymousID] = p
		}
		s.events[e.AnonymousID]++
		if !p.Apply(&e) {
			continue
		}
		for _, m := range p.Met() {
			item(m.Item).Meet(m.Other, e.OccurredAt.UnixMilli())
			item(m.Other).Meet(m.Item, e.OccurredAt.UnixMilli())
		}
		for i := range e.Items {
			item(e.Items[i].ItemID).Apply(&e, &e.Items[i])
		}
	}
	var rows []onlinestore.Row
	add := func(key string, value []byte) {
		rows = append(rows, onlinestore.Row{Key: key, Version: feature.Version, Epoch: 1, Offset: -1, Value: value})
	}
	for id, p := range profiles {
		add(onlinestore.ProfileKey(onlinestore.Partial{Site: event.DefaultSite, Kind: onlinestore.KindBrowser, ID: id}), p.Encode(nil))
	}
	for id, a := range items {
		add(onlinestore.ItemKey(onlinestore.ItemShare{Site: event.DefaultSite, Item: id}), a.Encode(nil))
	}
	marker, err := online.Marker(s.t.Context())
	s.must(err)
	for _, topic := range []string{event.TopicItems, event.TopicEvents} {
		add(onlinestore.OffsetKey(topic, 0), onlinestore.CompleteValue(marker))
	}
	s.must(online.Put(s.t.Context(), rows))
}

// serve runs serving over it all until the test ends, with the catalogue written to it.
func (s *ctrShop) serve(store *control.Store, online onlinestore.Store, models *registry.Registry) {
	client := kafkatest.Client(s.t, kafkatest.Broker(s.t))
	for _, topic := range []string{event.TopicItems, event.TopicExposures, event.TopicSessions} {
		kafkatest.Topic(s.t, client, topic, 1)
	}
	for _, topic := range []string{event.TopicItems, event.TopicEvents} {
		_, err := store.EnsureEpoch(s.t.Context(), topic, 1, true)
		s.must(err)
	}
	role, err := serving.New(serving.Config{Dir: s.dir + "/serving", Exploration: serving.DefaultExploration}, serving.Deps{
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Control: store, Online: online, Registry: models,
		Producer: kafkatest.Producer(s.t, client, kafka.ProducerConfig{}), Items: client, Now: func() time.Time { return s.crowd.Now.Add(time.Duration(s.later.Load())) },
	})
	s.must(err)
	s.router = chi.NewRouter()
	role.Routes(api.New(s.router, slog.New(slog.DiscardHandler)))
	kafkatest.Run(s.t, role.Run)
	s.await("serving to be ready", func() bool { return role.Ready() == nil })
	for some := range slices.Chunk(s.items(), 500) {
		body, err := json.Marshal(map[string]any{"items": some})
		s.must(err)
		if w := s.do("/v1/items:bulk", body); w.Code != http.StatusOK {
			s.t.Fatalf("bulk: %d %s", w.Code, w.Body)
		}
	}
	s.await("a model in force", func() bool { return s.ask("popular", "").ModelVersion != "" })
}

// await waits for what takes a second or two.
func (s *ctrShop) await(what string, reached func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(startLimit); !reached(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("gave up waiting for %s", what)
		}
	}
}

func (s *ctrShop) do(path string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+s.secret)
	w := httptest.NewRecorder()
	s.router.ServeHTTP(w, r)
	return w
}

// ask asks for a list of a placement, for a shopper or, where the id is empty, for nobody.
func (s *ctrShop) ask(placement, shopper string) serving.Answer {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"placement": placement, "anonymous_id": shopper, "limit": s.crowd.Truth.Clicks.ListLength})
	s.must(err)
	w := s.do("/v1/recommend", body)
	if w.Code != http.StatusOK {
		s.t.Fatalf("%s for %q: %d %s", placement, shopper, w.Code, w.Body)
	}
	var answer serving.Answer
	s.must(json.NewDecoder(strings.NewReader(w.Body.String())).Decode(&answer))
	return answer
}
