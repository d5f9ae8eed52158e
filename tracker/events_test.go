package tracker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
)

const chrome = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"

func TestAcceptedEventIsInKafka(t *testing.T) {
	d := newDoor(t)
	body := `{"sent_at":"2026-03-01T11:59:59Z","events":[{"event_id":"e-1","type":"view_item","occurred_at":"2026-03-01T11:59:50Z",` +
		`"anonymous_id":"b-1","item_id":"sku-1","page":{"url":"https://u:p@shop.example/p?a=1&Token=x&b=2#access_token=y","referrer":"https://x.example/?email=a@b"}}]}`
	got := d.send(t, d.open, []byte(body), "Content-Type", "text/plain", "User-Agent", chrome, "Origin", "https://anywhere.example").answer(t)
	if got.Accepted != 1 || got.Duplicates != 0 || got.Rejected == nil || len(got.Rejected) != 0 {
		t.Errorf("answer %+v", got)
	}
	records, events := d.landed(t)
	if len(records) != 1 {
		t.Fatalf("%d records", len(records))
	}
	r, e := records[0], events[0]
	if string(r.Key) != "shop:a:b-1" || !r.Time.Equal(d.now) {
		t.Errorf("key %s, time %v", r.Key, r.Time)
	}
	if len(r.Headers) != 1 || r.Headers[0].Key != event.HeaderSchema || string(r.Headers[0].Value) != event.Schema {
		t.Errorf("headers %q", r.Headers)
	}
	if e.Site != "shop" || e.EventID != "e-1" || !e.OccurredAt.Equal(d.now.Add(-9*time.Second)) || !e.ReceivedAt.Equal(d.now) {
		t.Errorf("event %+v", e)
	}
	if e.UserAgentFamily != "Chrome" || e.Device != "mobile" || e.IsBot || e.NetworkPrefix != "127.0.0.0/24" {
		t.Errorf("family %q, device %q, bot %v, network %q", e.UserAgentFamily, e.Device, e.IsBot, e.NetworkPrefix)
	}
	if e.Page.URL != "https://shop.example/p?a=1&b=2" || e.Page.Referrer != "https://x.example/" {
		t.Errorf("page %+v", *e.Page)
	}
}

// A producer whose buffer is full refuses at once, and so does the collector.
func TestBufferFull(t *testing.T) {
	tr, err := New(Config{}, Deps{Keys: fixedKey{}, Producer: full{}, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	router := chi.NewRouter()
	tr.Routes(api.New(router, slog.New(slog.DiscardHandler)))
	server := httptest.NewServer(router)
	defer server.Close()
	d := &door{url: server.URL}
	got := d.send(t, "pk_x", []byte(`{"type":"page_view","anonymous_id":"b"}`))
	got.problem(t, http.StatusServiceUnavailable, "events-not-stored")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	// Nothing to store needs no Kafka: the verdict comes all the same.
	if a := d.send(t, "pk_x", []byte(`{"type":"page_view"}`)).answer(t); len(a.Rejected) != 1 {
		t.Errorf("answer %+v", a)
	}
}

// A key store that does not answer is an outage, not a wrong key: the client must keep its events.
func TestKeyStoreAway(t *testing.T) {
	var logged bytes.Buffer
	tr, err := New(Config{}, Deps{Keys: noKeys{}, Producer: instant{}, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	router := chi.NewRouter()
	tr.Routes(api.New(router, slog.New(slog.DiscardHandler)))
	server := httptest.NewServer(router)
	defer server.Close()
	got := (&door{url: server.URL}).send(t, "pk_x", []byte(`{"type":"page_view","anonymous_id":"b"}`), "Origin", shopOrigin)
	got.problem(t, http.StatusServiceUnavailable, "events-not-stored")
	if got.header.Get("Retry-After") == "" || got.header.Get("Access-Control-Allow-Origin") != shopOrigin {
		t.Errorf("headers %v", got.header)
	}
	if !strings.Contains(logged.String(), "database is locked") || strings.Contains(string(got.body), "database is locked") {
		t.Errorf("the cause belongs into the log and not to the client: %s, %s", logged.String(), got.body)
	}
}

type noKeys struct{}

func (noKeys) Authenticate(context.Context, string) (control.Key, error) {
	return control.Key{}, errors.New("database is locked")
}

type full struct{}

func (full) Produce(context.Context, []kafka.Record) error { return kafka.ErrBufferFull }

func TestOneBadEventCostsNoOther(t *testing.T) {
	d := newDoor(t)
	for name, body := range map[string]string{
		"array": `[{"type":"page_view","anonymous_id":"b"},{"type":"view_item","anonymous_id":"b","items":[{"item_id":"a","price":"9"}]},{"type":"page_view","anonymous_id":"b"}]`,
		"lines": "{\"type\":\"page_view\",\"anonymous_id\":\"b\"}\n{\"type\":\"view_item\",\"anonymous_id\":\"b\",\"items\":[{\"item_id\":\"a\",\"price\":\"9\"}]}\n{\"type\":\"page_view\",\"anonymous_id\":\"b\"}",
	} {
		before, _ := d.landed(t)
		got := d.send(t, d.open, []byte(body)).answer(t)
		if got.Accepted != 2 || len(got.Rejected) != 1 {
			t.Fatalf("%s: answer %+v", name, got)
		}
		if v := got.Rejected[0]; v.Index != 1 || v.Code != event.CodeWrongType || v.Pointer != "/items/0/price" || v.Detail == "" {
			t.Errorf("%s: verdict %+v", name, v)
		}
		if after, _ := d.landed(t); len(after)-len(before) != 2 {
			t.Errorf("%s: %d records landed, want 2", name, len(after)-len(before))
		}
	}
	if got := d.counter(t, "millrace_events_accepted_total"); got != 4 {
		t.Errorf("millrace_events_accepted_total = %v", got)
	}
	if got := d.counter(t, "millrace_events_rejected_total", "wrong_type"); got != 2 {
		t.Errorf("millrace_events_rejected_total = %v", got)
	}
}

func TestDuplicatesAreCounted(t *testing.T) {
	d := newDoor(t)
	event := func(id string) string {
		return fmt.Sprintf(`{"event_id":%q,"type":"page_view","anonymous_id":"b"}`, id)
	}
	if got := d.send(t, d.open, []byte("["+event("1")+","+event("1")+","+event("2")+"]")).answer(t); got.Accepted != 3 || got.Duplicates != 1 {
		t.Errorf("first: %+v", got)
	}
	if got := d.send(t, d.open, []byte("["+event("2")+","+event("3")+"]")).answer(t); got.Accepted != 2 || got.Duplicates != 1 {
		t.Errorf("again: %+v", got)
	}
	// Two events without ids are two events.
	if got := d.send(t, d.open, []byte(`[{"type":"page_view","anonymous_id":"b"},{"type":"page_view","anonymous_id":"b"}]`)).answer(t); got.Duplicates != 0 {
		t.Errorf("without ids: %+v", got)
	}
}

func TestConsent(t *testing.T) {
	d := newDoor(t)
	got := d.send(t, d.open, []byte(`[{"type":"page_view","anonymous_id":"b","consent":{"analytics":false}},`+
		`{"event_id":"kept","type":"view_item","anonymous_id":"b","user_id":"u","session_id":"s","item_id":"a","consent":{"personalization":false}}]`)).answer(t)
	if got.Accepted != 1 || got.Dropped != 1 || len(got.Rejected) != 0 {
		t.Errorf("answer %+v", got)
	}
	records, events := d.landed(t)
	if len(records) != 1 {
		t.Fatalf("%d records, want the measured one", len(records))
	}
	if string(records[0].Key) != "shop:e:kept" {
		t.Errorf("key %s", records[0].Key)
	}
	if e := events[0]; e.AnonymousID+e.UserID+e.SessionID+e.NetworkPrefix != "" || e.Items[0].ItemID != "a" {
		t.Errorf("landed with ids: %+v", e)
	}
}

func TestServerSendsWithSecretKey(t *testing.T) {
	d := newDoor(t)
	body := []byte(`{"type":"purchase","user_id":"u","item_id":"a"}`)
	got := d.do(t, http.MethodPost, "/v1/events", body, httpserver.HeaderKey, d.secret, "User-Agent", "Go-http-client/1.1").answer(t)
	if got.Accepted != 1 {
		t.Fatalf("answer %+v", got)
	}
	records, events := d.landed(t)
	if string(records[0].Key) != "shop:u:u" {
		t.Errorf("key %s", records[0].Key)
	}
	// What the server's own connection says is nothing about the visitor.
	if e := events[0]; e.UserAgentFamily != "" || e.IsBot || e.NetworkPrefix != "" {
		t.Errorf("described by the server's connection: %+v", e)
	}
	d.do(t, http.MethodPost, "/v1/events", body, httpserver.HeaderKey, d.secret, "Origin", shopOrigin).problem(t, http.StatusForbidden, "secret-key-in-browser")
}

// TestSecretKeyInURL: a secret key that stands in the address is refused, whatever else the request carries, and the
// page that sent it may read why.
func TestSecretKeyInURL(t *testing.T) {
	d := newDoor(t)
	body := []byte(`{"type":"purchase","user_id":"u","item_id":"a"}`)
	d.send(t, d.secret, body).problem(t, http.StatusUnauthorized, httpserver.ProblemSecretInURL)
	d.send(t, d.secret, body, httpserver.HeaderKey, d.secret).problem(t, http.StatusUnauthorized, httpserver.ProblemSecretInURL)
	refused := d.send(t, d.secret, body, "Origin", shopOrigin)
	refused.problem(t, http.StatusUnauthorized, httpserver.ProblemSecretInURL)
	if refused.header.Get("Access-Control-Allow-Origin") != shopOrigin {
		t.Error("the page cannot read the refusal, and would take it for a broken network")
	}
	if records, _ := d.landed(t); len(records) != 0 {
		t.Errorf("%d events were taken", len(records))
	}
	got := d.do(t, http.MethodPost, "/v1/events", body, "Authorization", "Bearer "+d.secret).answer(t)
	if got.Accepted != 1 {
		t.Errorf("as a bearer: %+v", got)
	}
}

func TestClockSkewOfADay(t *testing.T) {
	d := newDoor(t)
	for _, off := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		clock := d.now.Add(off)
		body := fmt.Sprintf(`{"sent_at":%d,"events":[{"event_id":"%v","type":"page_view","anonymous_id":"b","occurred_at":%d}]}`,
			clock.UnixMilli(), off, clock.Add(-3*time.Second).UnixMilli())
		d.send(t, d.open, []byte(body)).answer(t)
	}
	_, events := d.landed(t)
	for _, e := range events {
		if want := d.now.Add(-3 * time.Second); !e.OccurredAt.Equal(want) {
			t.Errorf("clock off by %s: occurred at %v, want %v", e.EventID, e.OccurredAt, want)
		}
		if e.ClientOccurredAt.Sub(e.OccurredAt).Abs() != 24*time.Hour {
			t.Errorf("clock off by %s: original %v", e.EventID, e.ClientOccurredAt)
		}
	}
	if len(events) != 2 {
		t.Errorf("%d events", len(events))
	}
}

func TestWrongKey(t *testing.T) {
	d := newDoor(t)
	body := []byte(`{"type":"page_view","anonymous_id":"b"}`)
	p := d.send(t, "pk_wrong", body, "Origin", shopOrigin)
	if got := p.problem(t, http.StatusUnauthorized, "unknown-key"); !strings.Contains(got.Hint, "millrace keys") {
		t.Errorf("hint %q", got.Hint)
	}
	// A page must be able to see that it is refused, or its beacon would take it for a network failure and retry.
	if p.header.Get("Access-Control-Allow-Origin") != shopOrigin {
		t.Error("the page cannot read the refusal")
	}
	d.do(t, http.MethodPost, "/v1/events", body).problem(t, http.StatusUnauthorized, "missing-key")
	if records, _ := d.landed(t); len(records) != 0 {
		t.Errorf("%d records landed", len(records))
	}
}

func TestBadJSON(t *testing.T) {
	d := newDoor(t)
	p := d.send(t, d.open, []byte(`{"type":"page_view",`)).problem(t, http.StatusBadRequest, "invalid-json")
	if !strings.Contains(p.Detail, "byte 20") {
		t.Errorf("detail %q does not say where", p.Detail)
	}
	d.send(t, d.open, nil).problem(t, http.StatusBadRequest, "empty-body")
	d.send(t, d.open, []byte(`{"sent_at":"noon","events":[]}`)).problem(t, http.StatusBadRequest, "invalid-time")
}

func TestOversizeBody(t *testing.T) {
	d := newDoor(t)
	d.send(t, d.open, bytes.Repeat([]byte(" "), event.MaxBodyBytes+1)).problem(t, http.StatusRequestEntityTooLarge, "body-too-large")
	events := strings.Repeat(`{"type":"page_view","anonymous_id":"b"},`, event.MaxBatchEvents)
	d.send(t, d.open, []byte("["+events+"{}]")).problem(t, http.StatusRequestEntityTooLarge, "batch-too-large")
	if got := d.send(t, d.open, []byte("["+strings.TrimSuffix(events, ",")+"]")).answer(t); got.Accepted != event.MaxBatchEvents {
		t.Errorf("a full batch: %+v", got)
	}
}

func TestCompressedBodies(t *testing.T) {
	d := newDoor(t)
	good := []byte(`{"type":"page_view","anonymous_id":"b"}`)
	// 64 MiB of spaces are 64 KiB of gzip: the limit must hold for what comes out.
	bomb := bytes.Repeat([]byte(" "), 64<<20)
	for name, pack := range map[string]func([]byte) []byte{"gzip": gzipped, "zstd": zstded} {
		// Twice, so that the second one meets a reader that another request has used.
		for range 2 {
			if got := d.send(t, d.open, pack(good), "Content-Encoding", name).answer(t); got.Accepted != 1 {
				t.Errorf("%s: %+v", name, got)
			}
			if packed := pack(bomb); len(packed) > event.MaxBodyBytes {
				t.Fatalf("the %s bomb has %d bytes", name, len(packed))
			} else {
				d.send(t, d.open, packed, "Content-Encoding", name).problem(t, http.StatusRequestEntityTooLarge, "body-too-large")
			}
			d.send(t, d.open, good, "Content-Encoding", name).problem(t, http.StatusBadRequest, "unreadable-body")
			cut := pack(good)
			d.send(t, d.open, cut[:len(cut)-5], "Content-Encoding", name).problem(t, http.StatusBadRequest, "unreadable-body")
		}
	}
	d.send(t, d.open, good, "Content-Encoding", "br").problem(t, http.StatusUnsupportedMediaType, "unsupported-content-encoding")
}

func TestCORS(t *testing.T) {
	d := newDoor(t)
	body := []byte(`{"type":"page_view","anonymous_id":"b"}`)

	refused := d.send(t, d.bound, body, "Origin", "https://evil.example")
	refused.problem(t, http.StatusForbidden, "origin-not-allowed")
	if got := refused.header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("a refused origin may read the answer: %q", got)
	}
	allowed := d.send(t, d.bound, body, "Origin", shopOrigin)
	allowed.answer(t)
	if got := allowed.header.Get("Access-Control-Allow-Origin"); got != shopOrigin {
		t.Errorf("Access-Control-Allow-Origin = %q", got)
	}
	if allowed.header.Get("Vary") != "Origin" {
		t.Error("a cache could mix up origins")
	}
	if records, _ := d.landed(t); len(records) != 1 {
		t.Errorf("%d records, want the allowed one", len(records))
	}

	for _, c := range []struct {
		name, path, origin string
		allowed            bool
	}{
		{"key of this origin", "?key=" + d.bound, shopOrigin, true},
		{"key of another origin", "?key=" + d.bound, "https://evil.example", false},
		{"wrong key", "?key=pk_wrong", shopOrigin, false},
		{"secret key", "?key=" + d.secret, shopOrigin, false},
		{"key in a header, decided by the request", "", "https://evil.example", true},
	} {
		got := d.do(t, http.MethodOptions, "/v1/events"+c.path, nil, "Origin", c.origin, "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", "x-millrace-key")
		if got.status != http.StatusNoContent {
			t.Errorf("%s: status %d", c.name, got.status)
		}
		if allow := got.header.Get("Access-Control-Allow-Origin"); (allow == c.origin) != c.allowed {
			t.Errorf("%s: Access-Control-Allow-Origin = %q", c.name, allow)
		}
		if c.allowed && !strings.Contains(got.header.Get("Access-Control-Allow-Headers"), httpserver.HeaderKey) {
			t.Errorf("%s: allowed headers %q", c.name, got.header.Get("Access-Control-Allow-Headers"))
		}
	}
}

// While Kafka takes nothing, nothing is acknowledged and the client is told when to come back; then it goes on.
func TestKafkaRefuses(t *testing.T) {
	d := newDoor(t)
	body := []byte(`{"event_id":"e","type":"page_view","anonymous_id":"b"}`)
	const notEnoughReplicas = 19
	remove, err := d.broker.Inject(broker.Fault{API: "Produce", Code: notEnoughReplicas, Count: -1})
	if err != nil {
		t.Fatal(err)
	}
	got := d.send(t, d.open, body, "Origin", shopOrigin)
	got.problem(t, http.StatusServiceUnavailable, "events-not-stored")
	if got.header.Get("Retry-After") != "5" || !strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "Retry-After") {
		t.Errorf("headers %v", got.header)
	}
	if records, _ := d.landed(t); len(records) != 0 || remove() == 0 {
		t.Fatalf("the fault did not hit: %d records", len(records))
	}
	if again := d.send(t, d.open, body).answer(t); again.Accepted != 1 || again.Duplicates != 0 {
		t.Errorf("after the outage: %+v", again)
	}
	if records, _ := d.landed(t); len(records) == 0 {
		t.Error("acknowledged, but not in Kafka")
	}
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

func zstded(b []byte) []byte {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		return nil
	}
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}
