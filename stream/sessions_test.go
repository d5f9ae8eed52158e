package stream

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
)

// visits are the events of traffic that come from browsers without users, so that a browser is one profile.
func visits(tr *traffic, n int) []*event.Event {
	var out []*event.Event
	for _, e := range tr.next(n) {
		if e.AnonymousID == "" || e.UserID != "" || e.Type == event.Logout {
			continue
		}
		if number := e.EventID; number[len(number)-1] == '5' { // by the id, so that a repeat says the same
			e.SessionID = fmt.Sprintf("given-%s-%s", e.AnonymousID, number[:5])
		}
		out = append(out, e)
	}
	return out
}

// expectedSessions applies events plainly, one after the other, and returns what must have been closed by then, by profile
// and session id: as it was when another one began, or as it is where it is over on its site's clock in its partition.
func expectedSessions(events []*event.Event) map[string]*feature.Session {
	type place struct {
		site      string
		partition int32
	}
	clocks, seen := map[place]int64{}, map[string]bool{}
	profiles, where := map[string]*feature.Profile{}, map[string]place{}
	closed := map[string]*feature.Session{}
	for _, e := range events {
		at := place{e.Site, kafka.PartitionFor([]byte(e.Key()), testPartitions)}
		if seen[e.EventID] {
			continue
		}
		seen[e.EventID] = true
		clocks[at] = max(clocks[at], e.OccurredAt.UnixMilli())
		if e.IsBot {
			continue
		}
		id := e.Site + ":a:" + e.AnonymousID + ":0"
		if profiles[id] == nil {
			profiles[id], where[id] = &feature.Profile{}, at
		}
		before := profiles[id].Session
		profiles[id].Apply(e)
		if before.ID != "" && before.ID != profiles[id].Session.ID {
			closed[id+"|"+before.ID] = &before
		}
	}
	for id, p := range profiles {
		end := event.DefaultSessionRule().End(time.UnixMilli(p.Session.StartedAt), time.UnixMilli(p.Session.LastAt)).UnixMilli()
		if p.Session.ID != "" && end <= clocks[where[id]] {
			closed[id+"|"+p.Session.ID] = &p.Session
		}
	}
	return closed
}

// closedSessions reads the topic as a reader should: of each session the record with the largest place.
func (h *house) closedSessions() (sessions map[string]*event.ClosedSession, records int) {
	h.t.Helper()
	sessions = map[string]*event.ClosedSession{}
	for _, r := range h.readTopic(event.TopicSessions) {
		c, err := event.UnmarshalClosedSession(r.Value)
		if err != nil {
			h.t.Fatal(err)
		}
		if string(r.Key) != c.Key() || time.Since(r.Time) > time.Hour {
			h.t.Fatalf("record of session %s has the key %q and the time %s", c.SessionID, r.Key, r.Time)
		}
		id := c.ProfileID + "|" + c.SessionID
		if held := sessions[id]; held == nil || held.Epoch < c.Epoch || held.Epoch == c.Epoch && held.Offset <= c.Offset {
			sessions[id] = c
		}
		records++
	}
	return sessions, records
}

func (h *house) checkSessions(want map[string]*feature.Session) {
	h.t.Helper()
	got, _ := h.closedSessions()
	for id, s := range want {
		c := got[id]
		if c == nil {
			h.t.Errorf("session %s was not closed", id)
			continue
		}
		var items []event.SessionItem
		for _, item := range s.Items {
			items = append(items, event.SessionItem{ItemID: item.ItemID, OccurredAt: time.UnixMilli(item.At).UTC()})
		}
		if c.StartedAt.UnixMilli() != s.StartedAt || c.LastAt.UnixMilli() != s.LastAt || c.Events != s.Events || !slices.Equal(c.Items, items) {
			h.t.Errorf("session %s has %d events and the items %v, want %d and %v", id, c.Events, c.Items, s.Events, items)
		}
	}
	for id := range got {
		if want[id] == nil {
			h.t.Errorf("session %s was closed and is not over", id)
		}
	}
}

// closeAll has every partition look for sessions that are over, after all that was produced is applied.
func (r *running) closeAll() {
	r.t.Helper()
	r.drain()
	for n := range int32(testPartitions) {
		r.mu.Lock()
		owner := r.open[n]
		r.mu.Unlock()
		err := owner.ask(r.t.Context(), func(ctx context.Context) error {
			owner.closer.looked = time.Time{}
			return owner.closer.ifDue(ctx, owner)
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// wallClock is a wall clock that moves only when a test says so.
type wallClock struct {
	mu sync.Mutex
	at time.Time
}

func (w *wallClock) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *wallClock) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

// A stream is killed at every moment of closing sessions, goes on, and is rebuilt: what readers make of the topic is what a
// plain replay of the events says, no session missing and none early.
func TestEverySessionIsClosedAsItsProfileSaysWhateverCrashes(t *testing.T) {
	h := newHouse(t)
	tr := newTraffic(3)
	wall := &wallClock{at: tr.now}
	sent := visits(tr, 300)
	h.produce(sent...)
	for round, at := range []string{stepSessionsDue, stepSessionsWritten, stepSessionsForgotten} {
		reaper := &reaper{at: step(at), left: 1 + round}
		ctx, kill := context.WithCancel(t.Context())
		reaper.kill = kill
		mortal := h.stream()
		mortal.now, mortal.closeEvery = wall.now, 0
		mortal.hook = func(s string) error { return reaper.pass(step(s)) }
		_ = mortal.Run(ctx)
		mortal.Close()
		if !reaper.dead {
			t.Fatalf("the process never came to %q", at)
		}
		more := visits(tr, 200)
		h.produce(more...)
		sent = append(sent, more...)
	}
	s := h.stream()
	s.now, s.closeEvery = wall.now, 0
	r := h.run(s)
	r.closeAll()
	want := expectedSessions(sent)
	if len(want) < 20 {
		t.Fatalf("only %d sessions are over: the traffic proves little", len(want))
	}
	h.checkSessions(want)
	verify(t, s)

	_, before := h.closedSessions()
	r.closeAll()
	if _, after := h.closedSessions(); after != before {
		t.Errorf("looking again wrote %d records", after-before)
	}
	h.requestRebuild()
	more := visits(tr, 200)
	h.produce(more...)
	r.closeAll()
	h.checkSessions(expectedSessions(append(sent, more...)))
}

// On a quiet partition the wall clock closes a session once. No feature depends on it, and a visitor who comes back in event time
// goes on in the same session, which is then written again, larger.
func TestWallClockClosesQuietSessionsAsAnOutputOnly(t *testing.T) {
	h := newHouse(t)
	wall := &wallClock{at: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	view := func(id, item string, at time.Time) *event.Event {
		return &event.Event{EventID: id, Site: "default", AnonymousID: "b", Type: event.ViewItem, OccurredAt: at, ReceivedAt: at,
			Items: []event.Item{{ItemID: item}}}
	}
	s := h.stream()
	s.now, s.closeEvery = wall.now, time.Hour // only closeAll looks
	r := h.run(s)
	h.produce(view("e1", "one", start), view("e2", "two", start.Add(time.Minute)))
	r.closeAll()
	expect := func(records int, items ...string) {
		t.Helper()
		got, n := h.closedSessions()
		if n != records {
			t.Fatalf("%d records, want %d: %v", n, records, got)
		}
		if records == 0 {
			return
		}
		var names []string
		for _, item := range got["default:a:b:0|auto:e1"].Items {
			names = append(names, item.ItemID)
		}
		if !slices.Equal(names, items) {
			t.Fatalf("the session has the items %v, want %v", names, items)
		}
	}
	wall.pass(29 * time.Minute)
	r.closeAll()
	expect(0)
	wall.pass(time.Minute)
	r.closeAll()
	expect(1, "one", "two")
	wall.pass(time.Hour)
	r.closeAll()
	expect(1, "one", "two")
	verify(t, s)

	h.produce(view("e3", "three", start.Add(20*time.Minute)))
	r.closeAll()
	wall.pass(31 * time.Minute)
	r.closeAll()
	expect(2, "one", "two", "three")
	// The site's clock comes by: everything is written already. Then somebody begins anew.
	h.produce(&event.Event{EventID: "e4", Site: "default", AnonymousID: "b", Type: event.PageView, OccurredAt: start.Add(2 * time.Hour), ReceivedAt: start})
	r.closeAll()
	got, _ := h.closedSessions()
	if c := got["default:a:b:0|auto:e1"]; len(got) != 1 || len(c.Items) != 3 || c.Events != 3 {
		t.Fatalf("sessions %+v", got)
	}
	verify(t, s)
}

// A refusal and a robot leave no session.
func TestNoSessionWithoutConsentOrOfRobots(t *testing.T) {
	h := newHouse(t)
	refused, start := false, time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	r := h.start()
	h.produce(
		&event.Event{EventID: "e1", Site: "default", Type: event.ViewItem, OccurredAt: start, ReceivedAt: start,
			Consent: &event.Consent{Personalization: &refused}, Items: []event.Item{{ItemID: "one"}}},
		&event.Event{EventID: "e2", Site: "default", AnonymousID: "robot", IsBot: true, Type: event.ViewItem, OccurredAt: start, ReceivedAt: start,
			Items: []event.Item{{ItemID: "one"}}},
	)
	for i := range 20 { // in every partition the clock goes on
		h.produce(&event.Event{EventID: fmt.Sprintf("late%d", i), Site: "default", AnonymousID: fmt.Sprintf("b%d", i), Type: event.PageView,
			OccurredAt: start.Add(48 * time.Hour), ReceivedAt: start})
	}
	r.closeAll()
	if got, n := h.closedSessions(); n != 0 {
		t.Fatalf("%d records: %v", n, got)
	}
}
