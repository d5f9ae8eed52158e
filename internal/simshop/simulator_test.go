package simshop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/simshop"
)

// door is a collector in the client's own process: it reads requests with the product's parser and checks every event.
type door struct {
	t        *testing.T
	events   []event.Event
	requests int
	answers  []func() (int, http.Header, string) // of the first requests; then everything is accepted
}

func (d *door) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if r.URL.String() != "http://collector/v1/events" || r.Method != http.MethodPost || r.Header.Get("X-Millrace-Key") != "pk_demo" {
		d.t.Errorf("%s %s with key %q", r.Method, r.URL, r.Header.Get("X-Millrace-Key"))
	}
	d.requests++
	if len(d.answers) > 0 {
		status, header, text := d.answers[0]()
		d.answers = d.answers[1:]
		if status == 0 {
			return nil, errors.New("connection refused")
		}
		return response(r, status, header, text), nil
	}
	req, err := event.Parse(body, r.Header.Get("Content-Type"))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, raw := range req.Raw {
		e, p := event.Decode(raw)
		if p == nil {
			p = e.Admit(event.AdmitInput{Site: simshop.Site, SentAt: req.SentAt, ReceivedAt: time.Now()})
		}
		if p != nil {
			d.t.Fatalf("event %s: %v", raw, p)
		}
		d.events = append(d.events, *e)
	}
	answer, err := json.Marshal(map[string]any{"accepted": len(req.Raw), "duplicates": 0, "rejected": []int{}})
	if err != nil {
		return nil, err
	}
	return response(r, http.StatusAccepted, nil, string(answer)), nil
}

func response(r *http.Request, status int, header http.Header, text string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: r,
	}
}

func simulator(t *testing.T, cfg simshop.Config, d *door, log *slog.Logger) *simshop.Simulator {
	t.Helper()
	cfg.URL, cfg.WriteKey = "http://collector/", "pk_demo"
	s, err := simshop.New(cfg, simshop.Deps{Client: &http.Client{Transport: d}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A fresh demo gets its history at once, then lives on at its rate, at the time of the clock.
func TestSimulatorRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &door{t: t}
		s := simulator(t, simshop.Config{Seed: seed}, d, nil)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		var past, live int
		ids := make(map[string]bool)
		for _, e := range d.events {
			if ids[e.EventID] {
				t.Fatalf("event %s was sent twice", e.EventID)
			}
			ids[e.EventID] = true
			if e.OccurredAt.Before(begin) {
				past++
				continue
			}
			live++
			if e.OccurredAt.After(e.ReceivedAt) || e.ReceivedAt.Sub(e.OccurredAt) > time.Second {
				t.Errorf("live event at %v received at %v", e.OccurredAt, e.ReceivedAt)
			}
		}
		want := len(simshop.History(seed, simshop.Shoppers(seed, simshop.DefaultShoppers), simshop.DefaultSessionsPerDay, begin))
		if past != want {
			t.Errorf("%d events of history, want %d", past, want)
		}
		if live < 1000 || live > 1400 { // ten minutes at 2 a second, +-6 standard deviations
			t.Errorf("%d live events in ten minutes, want some 1,200", live)
		}
	})
}

// A collector that is down or busy is waited for, in growing steps, and gets every event once.
func TestSimulatorWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := func() (int, http.Header, string) {
			return http.StatusServiceUnavailable, http.Header{"Retry-After": {"3"}}, ""
		}
		down := func() (int, http.Header, string) { return 0, nil, "" }
		d := &door{t: t, answers: []func() (int, http.Header, string){down, down, busy, down}}
		s := simulator(t, simshop.Config{Seed: seed, SessionsPerDay: -1, EventsPerSecond: 1000}, d, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		begin := time.Now()
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if len(d.events) == 0 {
			t.Fatal("nothing arrived")
		}
		// 250 ms, 500 ms, what Retry-After asks for, 2 s; all from about the first millisecond on.
		if first := d.events[0].ReceivedAt.Sub(begin); first < 5750*time.Millisecond || first > 5800*time.Millisecond {
			t.Errorf("the first event arrived after %v", first)
		}
		if at := d.events[0].OccurredAt.Sub(begin); at > 50*time.Millisecond {
			t.Errorf("it happened after %v", at)
		}
	})
}

// A refusal ends the visits, once and for all and with one word in the log, but not Run: the shop beside it goes on.
func TestSimulatorGivesUp(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		text, want string
	}{
		"wrong key": {http.StatusUnauthorized, `{"title":"Unknown key"}`, `Unauthorized: {"title":"Unknown key"}`},
		"rejected":  {http.StatusAccepted, `{"accepted":1,"rejected":[{"index":3,"code":"invalid_id","detail":"too long"}]}`, "rejected 1 of 200 events, first 3: invalid_id: too long"},
		"nonsense":  {http.StatusAccepted, `<html>`, "read answer"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &door{t: t, answers: []func() (int, http.Header, string){func() (int, http.Header, string) { return c.status, nil, c.text }}}
				var log bytes.Buffer
				s := simulator(t, simshop.Config{Seed: seed}, d, slog.New(slog.NewJSONHandler(&log, nil)))
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begin := time.Now()
				if err := s.Run(ctx); err != nil || time.Since(begin) < time.Hour {
					t.Errorf("ended after %v with %v", time.Since(begin), err)
				}
				var line struct{ Level, Error string }
				if err := json.Unmarshal(log.Bytes(), &line); err != nil { // more than one line is no JSON
					t.Fatalf("log %q: %v", log.String(), err)
				}
				if line.Level != "WARN" || !strings.Contains(line.Error, c.want) || d.requests != 1 {
					t.Errorf("logged %+v after %d requests, want %s", line, d.requests, c.want)
				}
			})
		})
	}
}

func TestSimulatorRefuses(t *testing.T) {
	good := simshop.Config{URL: "http://x", WriteKey: "pk_x"}
	for want, change := range map[string]func(*simshop.Config){
		"write key":           func(c *simshop.Config) { c.WriteKey = "" },
		"http address":        func(c *simshop.Config) { c.URL = "x:80" },
		"at least one":        func(c *simshop.Config) { c.Shoppers = -1 },
		"0 to 1000 events":    func(c *simshop.Config) { c.EventsPerSecond = 5000 },
		"rate -1: want 0 to ": func(c *simshop.Config) { c.EventsPerSecond = -1 },
	} {
		cfg := good
		change(&cfg)
		if _, err := simshop.New(cfg, simshop.Deps{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
