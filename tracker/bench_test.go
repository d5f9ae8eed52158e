package tracker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/kafka"
)

// fixedKey and instant take key store and Kafka out of the measurement: what is left is the collector's own work.
type fixedKey struct{}

func (fixedKey) Authenticate(context.Context, string) (control.Key, error) {
	return control.Key{Site: "shop", Kind: control.KeyWrite}, nil
}

type instant struct{}

func (instant) Produce(context.Context, []kafka.Record) error { return nil }

// benchBody is ten events as the beacon sends them.
func benchBody() string {
	events := make([]string, 10)
	for i := range events {
		events[i] = fmt.Sprintf(`{"event_id":"0190c0de-0000-7000-8000-%012d","type":"view_item","occurred_at":1772366398250,`+
			`"page_view_id":"0190c0de-0000-7000-8000-0000000000cc","page":{"url":"https://shop.example/p/%d"},`+
			`"items":[{"item_id":"sku-%d","price":19.9,"item_category":"light"}],"anonymous_id":"0190c0de-0000-7000-8000-0000000000aa",`+
			`"session_id":"0190c0de-0000-7000-8000-0000000000bb","tab_id":"f3k2j9","seq":%d}`, i, i, i, i)
	}
	return `{"sent_at":1772366398500,"events":[` + strings.Join(events, ",") + `]}`
}

// BenchmarkHandler posts batches of ten events; the limit beside it only reads the body.
func BenchmarkHandler(b *testing.B) {
	tr, err := New(Config{}, Deps{Keys: fixedKey{}, Producer: instant{}, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	router := chi.NewRouter()
	tr.Routes(api.New(router, slog.New(slog.DiscardHandler)))
	limit := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	})
	body := benchBody()
	for name, handler := range map[string]http.Handler{"events": router, "read-only": limit} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/v1/events?key=pk_x", strings.NewReader(body))
				r.Header.Set("User-Agent", chrome)
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if w.Code != http.StatusAccepted {
					b.Fatal(w.Body)
				}
			}
			b.ReportMetric(10*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
