package beacon_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
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
	"github.com/millrace/millrace/tracker/beacon"
)

// goalEnv names one goal whose scenarios are to run alone; `make test-beacon GOAL=3` sets it.
const goalEnv = "MILLRACE_TEST_GOAL"

// TestInBrowser runs the scenarios of test: a real Chromium on pages that load the built script and send to a real
// collector, whose records are read back from Kafka.
func TestInBrowser(t *testing.T) {
	runScenarios(t)
}

// TestLongOutages runs those of a minute in full.
func TestLongOutages(t *testing.T) {
	if os.Getenv("MILLRACE_TEST_LONG") == "" {
		t.Skip("takes minutes; `make test-long` runs it")
	}
	runScenarios(t, "MILLRACE_TEST_LONG=1", goalEnv+"=4")
}

func runScenarios(t *testing.T, env ...string) {
	t.Helper()
	cmd := browsertest.Command(t, "--test", "--test-reporter=spec", "--test-timeout=150000", "test/run.test.mjs")
	cmd.Env = append(append(cmd.Env, "MILLRACE_TEST_LONG=", "MILLRACE_TEST_URL="+newShop(t).URL), env...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Run(); err != nil {
		t.Fatalf("browser tests: %v", err)
	}
}

// newShop serves the pages of test/pages and the collector at lanes of their own, and for the tests what is in Kafka.
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
	router := chi.NewRouter()
	collector.Routes(api.New(router, slog.New(slog.DiscardHandler)))
	router.Get("/pages/{page}", func(w http.ResponseWriter, r *http.Request) { servePage(w, r, key) })
	router.Get("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	router.Post("/test/csp", func(w http.ResponseWriter, r *http.Request) {
		report, _ := io.ReadAll(r.Body)
		t.Errorf("the browser reports a breach of the page's policy: %s", report)
		w.WriteHeader(http.StatusNoContent)
	})
	router.Handle("/package/*", http.StripPrefix("/package/", http.FileServer(http.Dir("dist"))))
	l := &lanes{t: t, shop: router, byURL: map[string]*lane{}}
	doors := chi.NewRouter()
	doors.Post("/lanes", l.open)
	doors.Get("/lane", l.control)
	doors.Post("/lane", l.control)
	records := &records{client: client, next: map[int32]int64{}}
	doors.Get("/events", records.serve)
	server := httptest.NewServer(doors)
	t.Cleanup(server.Close)
	return server
}

// policy is the strictest that a shop may have; the package's pages also import a module.
const policy = "default-src 'self'; img-src 'self' data:; require-trusted-types-for 'script'; report-uri /test/csp"

// servePage fills in the key, the stub and the query. Query parameters of the page become more attributes of its script
// element: ?attr=data-hash.
func servePage(w http.ResponseWriter, r *http.Request, key string) {
	name := filepath.Base(chi.URLParam(r, "page"))
	page, err := os.ReadFile(filepath.Join("test", "pages", name))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	switch filepath.Ext(name) {
	case ".css":
		w.Header().Set("Content-Type", "text/css")
	case ".mjs":
		w.Header().Set("Content-Type", "text/javascript")
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", policy)
	}
	stub := beacon.Stub()
	if bytes.Contains(page, []byte("{{stub}}")) {
		sum := sha256.Sum256([]byte(stub))
		w.Header().Set("Content-Security-Policy", policy+"; script-src 'self' 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	for name, value := range map[string]string{
		"{{key}}": key, "{{stub}}": stub, "{{query}}": "?" + r.URL.RawQuery, "{{attr}}": r.URL.Query().Get("attr"),
	} {
		page = bytes.ReplaceAll(page, []byte(name), []byte(value))
	}
	_, _ = w.Write(page)
}

// records reads the topic of events once, however often it is asked.
type records struct {
	client *kafka.Client

	mu     sync.Mutex
	next   map[int32]int64
	values []json.RawMessage
}

// serve answers the values of the records of one lane as an array.
func (s *records) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	lane := []byte(r.URL.Query().Get("lane") + "/")
	of := []json.RawMessage{}
	for _, value := range s.values {
		if bytes.Contains(value, lane) {
			of = append(of, value)
		}
	}
	_ = json.NewEncoder(w).Encode(of)
}

func (s *records) read(ctx context.Context) error {
	ranges, err := s.client.Offsets(ctx, event.TopicEvents)
	if err != nil {
		return err
	}
	for partition, span := range ranges {
		for at := max(span.Start, s.next[partition]); at < span.End; {
			res, err := s.client.Fetch(ctx, kafka.FetchRequest{Topic: event.TopicEvents, Partition: partition, Offset: at})
			if err != nil {
				return err
			}
			for _, record := range res.Records {
				s.values = append(s.values, record.Value)
			}
			at = res.Next
			s.next[partition] = at
		}
	}
	return nil
}
