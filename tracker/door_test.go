package tracker

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

const shopOrigin = "https://shop.example"

// door is a collector on a real broker and a real control store, behind a real HTTP server.
type door struct {
	url      string
	open     string // a write key for any origin
	bound    string // a write key for shopOrigin only
	secret   string // a secret key
	broker   *broker.Broker
	client   *kafka.Client
	registry *prometheus.Registry
	now      time.Time
}

func newDoor(t testing.TB) *door {
	t.Helper()
	d := &door{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), registry: prometheus.NewRegistry()}
	d.broker = kafkatest.Broker(t)
	d.client = kafkatest.Client(t, d.broker)
	kafkatest.Topic(t, d.client, event.TopicEvents, 4)

	store, err := control.Open(t.Context(), filepath.Join(t.TempDir(), "control.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	key := func(n control.NewKey) string {
		n.Site = "shop"
		_, secret, err := store.CreateKey(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	d.open = key(control.NewKey{Kind: control.KeyWrite})
	d.bound = key(control.NewKey{Kind: control.KeyWrite, Origins: []string{shopOrigin}})
	d.secret = key(control.NewKey{Kind: control.KeySecret})

	tr, err := New(Config{ProduceTimeout: 2 * time.Second}, Deps{
		Keys: store, Producer: kafkatest.Producer(t, d.client, kafka.ProducerConfig{}), Metrics: d.registry,
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return d.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	router := chi.NewRouter()
	tr.Routes(api.New(router, slog.New(slog.DiscardHandler)))
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

// reply is what a client gets.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) answer(t testing.TB) eventsAnswer {
	t.Helper()
	if r.status != http.StatusAccepted {
		t.Fatalf("status %d, want 202: %s", r.status, r.body)
	}
	var a eventsAnswer
	if err := json.Unmarshal(r.body, &a); err != nil {
		t.Fatalf("answer %s: %v", r.body, err)
	}
	return a
}

// send posts a body with ?key= and headers given as name, value pairs.
func (d *door) send(t testing.TB, key string, body []byte, headers ...string) reply {
	t.Helper()
	return d.do(t, http.MethodPost, "/v1/events?key="+key, body, headers...)
}

func (d *door) do(t testing.TB, method, path string, body []byte, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, d.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	// The transport itself: no redirects, no transparent decompression.
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, b}
}

// landed reads everything that is in Kafka, partition by partition.
func (d *door) landed(t testing.TB) (records []kafka.Record, events []event.Event) {
	t.Helper()
	ranges, err := d.client.Offsets(t.Context(), event.TopicEvents)
	if err != nil {
		t.Fatal(err)
	}
	for partition, span := range ranges {
		for at := span.Start; at < span.End; {
			res, err := d.client.Fetch(context.Background(), kafka.FetchRequest{Topic: event.TopicEvents, Partition: partition, Offset: at})
			if err != nil {
				t.Fatal(err)
			}
			at = res.Next
			for _, r := range res.Records {
				var e event.Event
				if err := event.Unmarshal(r.Value, &e); err != nil {
					t.Fatal(err)
				}
				records, events = append(records, r), append(events, e)
			}
		}
	}
	return records, events
}

// counter reads one counter: of the metric that carries these label values.
func (d *door) counter(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	families, err := d.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			var values []string
			for _, l := range m.Label {
				values = append(values, l.GetValue())
			}
			if f.GetName() == name && slices.Equal(values, labels) {
				return m.Counter.GetValue()
			}
		}
	}
	return 0
}

// problem is what clients read of a refusal.
type problem struct {
	Type, Title, Detail, Hint, Pointer string
	Status                             int
}

func (r reply) problem(t testing.TB, status int, kind string) problem {
	t.Helper()
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("status %d, content type %q: %s", r.status, got, r.body)
	}
	var p problem
	if err := json.Unmarshal(r.body, &p); err != nil {
		t.Fatal(err)
	}
	if r.status != status || p.Status != status || p.Type != "urn:millrace:problem:"+kind {
		t.Fatalf("status %d, problem %s, want %d %s", r.status, r.body, status, kind)
	}
	if p.Detail == "" || p.Hint == "" {
		t.Errorf("the problem does not say what is wrong and what to do: %s", r.body)
	}
	return p
}

func decode(t testing.TB, body []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
}
