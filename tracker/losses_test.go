package tracker

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/httpserver"
)

func newTestLosses() (*losses, *Tally, time.Time) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	told := new(Tally)
	return newLosses(now, func(_, _ string, c Tally) { told.add(c) }), told, now
}

func sightings(tab string, page string, numbers ...int64) (seen []sighting) {
	for _, n := range numbers {
		seen = append(seen, sighting{tab: tabHash("shop", tab), seq: n, family: "Firefox", page: page})
	}
	return seen
}

// TestLosses: what is passed over, comes late, comes again or never.
func TestLosses(t *testing.T) {
	for _, c := range []struct {
		name    string
		numbers []int64
		want    Tally
	}{
		{"all", []int64{1, 2, 3, 4}, Tally{Events: 4}},
		{"two lost", []int64{1, 2, 5}, Tally{Events: 3, Missing: 2}},
		{"one of them late", []int64{1, 2, 5, 3}, Tally{Events: 4, Missing: 1, Recovered: 1}},
		{"the middle of a gap", []int64{1, 7, 4, 6, 2}, Tally{Events: 5, Missing: 2, Recovered: 3}},
		{"again", []int64{1, 2, 2, 1, 3}, Tally{Events: 5, Replays: 2}},
		{"late and again", []int64{1, 3, 2, 2}, Tally{Events: 4, Recovered: 1, Replays: 1}},
		{"known from its middle on", []int64{100, 101, 103}, Tally{Events: 3, Missing: 1}},
		{"older ones after that", []int64{100, 97}, Tally{Events: 2, Missing: 2, Recovered: 1}},
		{"another count", []int64{1, 3, 1 << 40, 1<<40 + 1}, Tally{Events: 4, Lost: 1}},
	} {
		l, told, now := newTestLosses()
		for _, n := range c.numbers { // a request each
			l.see("shop", sightings("tab", "/", n), now)
		}
		if got := l.site("shop").total; got != c.want || *told != c.want {
			t.Errorf("%s: %+v, told %+v, want %+v", c.name, got, *told, c.want)
		}
		// When the tab is silent for long, what has not come is lost.
		for range 2 {
			now = now.Add(tabIdle)
			l.see("shop", sightings("another", "/", 1), now)
		}
		got := l.site("shop").total
		if got.Missing != 0 || got.Lost != c.want.Lost+c.want.Missing {
			t.Errorf("%s: in the end %+v", c.name, got)
		}
	}
}

// TestLossesOfAnything loses, shuffles and repeats at random, and compares with plain counting.
func TestLossesOfAnything(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	for round := range 300 {
		l, _, now := newTestLosses()
		n := 1 + rng.Int64N(60)
		var arrive []int64
		come := map[int64]bool{}
		for seq := int64(1); seq <= n; seq++ {
			if rng.IntN(5) > 0 {
				arrive = append(arrive, seq)
				come[seq] = true
				for rng.IntN(6) == 0 {
					arrive = append(arrive, seq)
				}
			}
		}
		for i := range arrive { // late by some places
			j := min(len(arrive)-1, i+rng.IntN(6))
			arrive[i], arrive[j] = arrive[j], arrive[i]
		}
		low, high := int64(1<<40), int64(0)
		for _, seq := range arrive {
			l.see("shop", sightings("tab", "/", seq), now)
			low, high = min(low, seq), max(high, seq)
		}
		want := Tally{Events: int64(len(arrive)), Replays: int64(len(arrive) - len(come))}
		for seq := low; seq <= high; seq++ {
			if !come[seq] {
				want.Missing++
			}
		}
		got := l.site("shop").total
		got.Recovered = 0
		if got != want {
			t.Fatalf("round %d: %v counted as %+v, want %+v", round, arrive, got, want)
		}
	}
}

// TestLossesAreBounded: neither tabs nor names that clients invent take memory without end, and no event goes uncounted.
func TestLossesAreBounded(t *testing.T) {
	l, _, now := newTestLosses()
	l.limit = 2_000
	const tabs = 3_000
	for i := range tabs {
		name := fmt.Sprint(i)
		seen := []sighting{{tab: tabHash("shop", name), seq: 1, family: name, page: name}}
		l.see("shop", seen, now)
	}
	if n := len(l.now) + len(l.old); n > l.limit {
		t.Errorf("%d tabs are followed", n)
	}
	s := l.site("shop")
	if len(s.families) > maxFamilies+1 || len(s.pages) > maxPages+1 {
		t.Errorf("%d families and %d pages", len(s.families), len(s.pages))
	}
	if s.total.Events != tabs || s.families[otherName].Events != tabs-maxFamilies {
		t.Errorf("%+v, others %+v", s.total, s.families[otherName])
	}
}

// TestTracking injects losses at a collector and reads them where an operator does; orders are those of page and server.
func TestTracking(t *testing.T) {
	d := newDoor(t)
	event := func(tab string, seq int, page string) string {
		return fmt.Sprintf(`{"type":"page_view","anonymous_id":"b","tab_id":%q,"seq":%d,"page":{"url":"https://shop.example%s?x=%d"}}`, tab, seq, page, seq)
	}
	const firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0"
	send := func(agent string, events ...string) {
		for _, e := range events {
			d.send(t, d.open, []byte(e), "User-Agent", agent).answer(t)
		}
	}
	send(firefox, event("a", 1, "/"), event("a", 2, "/cart"), event("a", 6, "/thanks"), event("a", 6, "/thanks"))
	send("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", event("bot", 1, "/"), event("bot", 9, "/"))
	order := func(id string) []byte {
		return []byte(fmt.Sprintf(`{"type":"purchase","anonymous_id":"b","item_id":"i","transaction_id":%q}`, id))
	}
	d.send(t, d.open, order("o1"), "User-Agent", firefox).answer(t)
	d.send(t, d.open, order("o2"), "User-Agent", firefox).answer(t)
	d.send(t, d.open, order("o2"), "User-Agent", firefox).answer(t)
	for _, id := range []string{"o1", "o3"} {
		d.do(t, http.MethodPost, "/v1/events", order(id), httpserver.HeaderKey, d.secret).answer(t)
	}
	read := func() (got tracking) {
		t.Helper()
		r := d.do(t, http.MethodGet, "/v1/tracking", nil, "Authorization", "Bearer "+d.secret)
		if r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
		decode(t, r.body, &got)
		return got
	}
	got := read()
	if got.Total != (Tally{Events: 4, Missing: 3, Replays: 1}) || got.Tabs != 1 || got.Orders != (orderCounts{Matched: 1, Waiting: 2}) {
		t.Errorf("%+v", got)
	}
	if f := got.Family[0]; f.Name != "Firefox" || f.Missing != 3 || f.Events != 4 {
		t.Errorf("families %+v", got.Family)
	}
	if p := got.Pages[0]; p.Name != "shop.example/cart" || p.Missing != 3 || p.Events != 1 {
		t.Errorf("pages %+v", got.Pages)
	}
	for range 2 {
		d.now = d.now.Add(orderPatience)
		read()
	}
	got = read()
	if got.Total != (Tally{Events: 4, Lost: 3, Replays: 1}) || got.Tabs != 0 || got.Orders != (orderCounts{Matched: 1, PageOnly: 1, ServerOnly: 1}) {
		t.Errorf("two hours later: %+v", got)
	}
	if n := d.counter(t, "millrace_tracking_lost_total", "Firefox", "shop"); n != 3 {
		t.Errorf("millrace_tracking_lost_total = %v", n)
	}
	d.do(t, http.MethodGet, "/v1/tracking", nil, httpserver.HeaderKey, d.open).problem(t, http.StatusForbidden, "scope-needed")
	d.do(t, http.MethodGet, "/v1/tracking", nil).problem(t, http.StatusUnauthorized, "missing-key")
}
