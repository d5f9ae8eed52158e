package beacon_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/browsertest"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/tracker"
)

// TestInBrowser runs test/*.test.mjs: a real Chromium on pages that load the built script and send to a real collector,
// whose records are read back from Kafka.
func TestInBrowser(t *testing.T) {
	files, err := filepath.Glob("test/*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("no browser tests: %v", err)
	}
	// One file at a time: outages and the list of records belong to the one server.
	cmd := browsertest.Command(t, append([]string{"--test", "--test-concurrency=1", "--test-reporter=spec"}, files...)...)
	cmd.Env = append(cmd.Env, "MILLRACE_TEST_URL="+newShop(t).URL)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("browser tests: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// newShop serves the pages of test/pages, the collector, and two doors for the tests: what is in Kafka, and outages.
func newShop(t *testing.T) *httptest.Server {
	t.Helper()
	b := kafkatest.Broker(t)
	client := kafkatest.Client(t, b)
	kafkatest.Topic(t, client, event.TopicEvents, 4)
	store, err := control.Open(t.Context(), filepath.Join(t.TempDir(), "control.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	_, key, err := store.CreateKey(t.Context(), control.NewKey{Site: event.DefaultSite, Kind: control.KeyWrite})
	if err != nil {
		t.Fatal(err)
	}
	collector, err := tracker.New(tracker.Config{}, tracker.Deps{
		Keys: store, Producer: kafkatest.Producer(t, client, kafka.ProducerConfig{}), Metrics: prometheus.NewRegistry(),
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	var out outage
	router := chi.NewRouter()
	router.Use(out.middleware)
	collector.Routes(api.New(router, slog.New(slog.DiscardHandler)))
	router.Get("/pages/{page}", func(w http.ResponseWriter, r *http.Request) { servePage(w, r, key) })
	router.Get("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	router.Get("/test/events", func(w http.ResponseWriter, r *http.Request) { serveRecords(w, r, client) })
	router.Post("/test/outage", out.set)
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	return server
}

// servePage fills in the key, under the strictest policy that a shop may have.
func servePage(w http.ResponseWriter, r *http.Request, key string) {
	name := filepath.Base(chi.URLParam(r, "page"))
	page, err := os.ReadFile(filepath.Join("test", "pages", name))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	if filepath.Ext(name) == ".css" {
		w.Header().Set("Content-Type", "text/css")
	} else {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; require-trusted-types-for 'script'")
	}
	page = bytes.ReplaceAll(page, []byte("{{key}}"), []byte(key))
	page = bytes.ReplaceAll(page, []byte("{{query}}"), []byte("?"+r.URL.RawQuery))
	_, _ = w.Write(page)
}

// serveRecords answers the values of all records as one array.
func serveRecords(w http.ResponseWriter, r *http.Request, client *kafka.Client) {
	values := []json.RawMessage{}
	ranges, err := client.Offsets(r.Context(), event.TopicEvents)
	for partition, span := range ranges {
		for at := span.Start; at < span.End && err == nil; {
			var res kafka.FetchResult
			res, err = client.Fetch(r.Context(), kafka.FetchRequest{Topic: event.TopicEvents, Partition: partition, Offset: at})
			for _, record := range res.Records {
				values = append(values, record.Value)
			}
			at = res.Next
		}
	}
	if err == nil {
		err = json.NewEncoder(w).Encode(values)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// outage makes the collector's address answer with a status instead of working.
type outage struct {
	status, met atomic.Int64
}

func (o *outage) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := o.status.Load(); status != 0 && r.URL.Path == "/v1/events" {
			o.met.Add(1)
			w.WriteHeader(int(status))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// set begins an outage, or ends it with status 0, and answers how many requests met the one before.
func (o *outage) set(w http.ResponseWriter, r *http.Request) {
	status, err := strconv.ParseInt(r.URL.Query().Get("status"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o.status.Store(status)
	_ = json.NewEncoder(w).Encode(o.met.Swap(0))
}
