package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// loadAgainst runs an order against a handler.
func loadAgainst(t *testing.T, order loadOrder, handle http.HandlerFunc) loadReport {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	order.Address, order.Path = strings.TrimPrefix(server.URL, "http://"), "/list"
	order.Bodies = filepath.Join(t.TempDir(), "bodies")
	if err := os.WriteFile(order.Bodies, []byte("{\"n\":1}\n{\"n\":2}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := order.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestLoadCountsWhatWasAnswered(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	report := loadAgainst(t, loadOrder{Connections: 2, Seconds: 0.1, Key: "sk_1"}, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked++
		n := asked
		mu.Unlock()
		switch {
		case r.Header.Get("Authorization") != "Bearer sk_1" || r.ContentLength != int64(len("{\"n\":1}\n")):
			t.Errorf("asked with %v and %d bytes", r.Header, r.ContentLength)
		case n%5 == 0:
			http.Error(w, "broken", http.StatusInternalServerError)
		case n%5 == 1:
			w.Header().Set("Connection", "close")
			fmt.Fprint(w, `{"items":[{}]}`)
		case n%5 == 2:
			fmt.Fprint(w, `{"items":[]}`)
		default:
			fmt.Fprint(w, `{"items":[{}]}`)
		}
	})
	// What the server was asked and what the generator counts are the same requests, whichever way each went.
	if asked < 10 || report.Answers+report.Failed != asked || report.Failed != asked/5 || report.Empty != (asked+3)/5 {
		t.Errorf("asked %d times, reported %+v", asked, report)
	}
	if !strings.Contains(report.Trouble, "broken") {
		t.Errorf("the trouble is %q", report.Trouble)
	}
}

// A server that stands still for a while is as slow for those who would have come meanwhile: their times count from when they were
// due, not from when a connection was free.
func TestLoadCountsTheWaitingOfThoseWhoCouldNotBeSent(t *testing.T) {
	const still = 200 * time.Millisecond
	var once sync.Once
	report := loadAgainst(t, loadOrder{Connections: 1, Seconds: 0.4, Rate: 500}, func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() { <-time.After(still) })
		fmt.Fprint(w, `{"items":[{}]}`)
	})
	if report.Failed > 0 || report.Answers < 195 || report.Answers > 201 {
		t.Fatalf("at 500/s for 0.4 s: %+v", report)
	}
	if report.P50 < 1 || report.Slowest < float64(still.Milliseconds()) {
		t.Errorf("half of the requests were due while the server stood still, and half waited less than %g ms: %+v", report.P50, report)
	}
}
