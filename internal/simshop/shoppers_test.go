package simshop_test

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/simshop"
)

const seed = 7

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func TestCatalogue(t *testing.T) {
	items := simshop.Catalogue()
	shelf := make(map[string]int)
	known := make(map[string]simshop.Item)
	for _, it := range items {
		if _, twice := known[it.ID]; twice {
			t.Errorf("two articles are called %s", it.ID)
		}
		known[it.ID] = it
		shelf[it.Category]++
		if it.Name == "" || it.Brand == "" || it.Blurb == "" || it.Cents <= 0 {
			t.Errorf("article %+v is incomplete", it)
		}
	}
	if len(items) != 24 || len(simshop.Categories()) != 6 {
		t.Errorf("%d articles on %d shelves", len(items), len(simshop.Categories()))
	}
	for _, c := range simshop.Categories() {
		if shelf[c.Slug] != 4 {
			t.Errorf("shelf %s has %d articles", c.Slug, shelf[c.Slug])
		}
	}
	for _, it := range items {
		next, goes := known[it.Next], known[it.Goes]
		if next.Category != it.Category || next.ID == it.ID {
			t.Errorf("%s is followed by %q, want another one of its shelf", it.ID, it.Next)
		}
		if goes.ID == "" || goes.Category == it.Category {
			t.Errorf("%s goes with %q, want one of another shelf", it.ID, it.Goes)
		}
	}
}

func TestShoppers(t *testing.T) {
	shoppers := simshop.Shoppers(seed, 24)
	if !reflect.DeepEqual(shoppers, simshop.Shoppers(seed, 24)) {
		t.Error("the same seed makes other shoppers")
	}
	friends := make(map[string]int)
	for _, s := range shoppers {
		friends[s.Favourite]++
		var sum float64
		best := ""
		for _, it := range simshop.Catalogue() {
			a := s.TrueAffinity(it.ID)
			sum += a
			if best == "" || a > s.TrueAffinity(best) {
				best = it.ID
			}
			if it.Category == s.Favourite && math.Abs(a-0.15) > 1e-9 {
				t.Errorf("affinity for an article of the favourite shelf is %g, want 0.15", a)
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("affinities of %s sum to %g", s.AnonymousID, sum)
		}
	}
	for shelf, n := range friends {
		if n != 4 {
			t.Errorf("shelf %s has %d friends of 24", shelf, n)
		}
	}
	if a := shoppers[0].TrueAffinity("unheard-of"); a != 0 {
		t.Errorf("affinity for an unknown article is %g", a)
	}
}

// Every simulated event passes the collector's own checks, and a visit is in order and under one session.
func TestSessionIsAdmitted(t *testing.T) {
	ids := make(map[string]bool)
	for i, s := range simshop.Shoppers(seed, 12) {
		start := noon.Add(time.Duration(i) * time.Hour)
		visit := s.Session(seed, start)
		if !reflect.DeepEqual(visit, s.Session(seed, start)) {
			t.Fatal("the same visit played twice differs")
		}
		if visit[0].Type != event.PageView || visit[1].Type != event.ViewItem || !visit[0].OccurredAt.Equal(start) {
			t.Errorf("the visit begins with %s, %s at %v", visit[0].Type, visit[1].Type, visit[0].OccurredAt)
		}
		for n := range visit {
			e := visit[n]
			if p := e.Admit(event.AdmitInput{Site: simshop.Site, ReceivedAt: start.Add(24 * time.Hour)}); p != nil {
				t.Fatalf("event %+v: %v", e, p)
			}
			if !e.OccurredAt.Equal(visit[n].OccurredAt) {
				t.Errorf("time %v became %v", visit[n].OccurredAt, e.OccurredAt)
			}
			id, err := uuid.Parse(e.EventID)
			if err != nil || id.Version() != 7 || ids[e.EventID] {
				t.Errorf("event id %q, seen before %t, %v", e.EventID, ids[e.EventID], err)
			}
			ids[e.EventID] = true
			if sec, ns := id.Time().UnixTime(); !time.Unix(sec, ns).Equal(e.OccurredAt) {
				t.Errorf("id %s says %v, the event %v", e.EventID, time.Unix(sec, ns), e.OccurredAt)
			}
			if n > 0 && (!visit[n-1].OccurredAt.Before(e.OccurredAt) || visit[n-1].SessionID != e.SessionID || *e.Seq != int64(n)) {
				t.Errorf("event %d at %v in %s with seq %d", n, e.OccurredAt, e.SessionID, *e.Seq)
			}
		}
	}
}

// The oracles tell the truth about the visits: first views follow TrueAffinity, second views TrueNext.
func TestOracles(t *testing.T) {
	s := simshop.Shoppers(seed, 1)[0]
	const visits = 30_000
	first := make(map[string]int)
	second := make(map[[2]string]int)
	for i := range visits {
		var views []string
		for _, e := range s.Session(seed, noon.Add(time.Duration(i)*time.Minute)) {
			if e.Type == event.ViewItem {
				views = append(views, e.Items[0].ItemID)
			}
		}
		first[views[0]]++
		second[[2]string{views[0], views[1]}]++
	}
	for _, a := range simshop.Catalogue() {
		want := s.TrueAffinity(a.ID)
		got := float64(first[a.ID]) / visits
		if tolerance := 4 * math.Sqrt(want/visits); math.Abs(got-want) > tolerance {
			t.Errorf("%s opens %.4f of the visits, the oracle says %.4f", a.ID, got, want)
		}
		var sum float64
		for _, b := range simshop.Catalogue() {
			p := s.TrueNext(a.ID, b.ID)
			sum += p
			n := float64(first[a.ID])
			got := float64(second[[2]string{a.ID, b.ID}]) / n
			if tolerance := 5*math.Sqrt(p/n) + 1/n; math.Abs(got-p) > tolerance {
				t.Errorf("%s leads to %s in %.4f of %v visits, the oracle says %.4f", a.ID, b.ID, got, n, p)
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("what follows %s sums to %g", a.ID, sum)
		}
	}
}

func TestHistory(t *testing.T) {
	shoppers := simshop.Shoppers(seed, 48)
	past := simshop.History(seed, shoppers, 72, noon)
	if len(past) < 2500 || len(past) > 5000 {
		t.Errorf("a history of %d events, want some 3,500", len(past))
	}
	sessions := make(map[string]bool)
	at := make(map[string]time.Time)
	for i, e := range past {
		if e.OccurredAt.Before(noon.AddDate(0, 0, -simshop.HistoryDays)) || !e.OccurredAt.Before(noon) {
			t.Fatalf("event at %v", e.OccurredAt)
		}
		if i > 0 && e.OccurredAt.Before(past[i-1].OccurredAt) {
			t.Fatal("history is out of order")
		}
		if _, twice := at[e.EventID]; twice {
			t.Fatalf("event id %s appears twice", e.EventID)
		}
		at[e.EventID] = e.OccurredAt
		sessions[e.SessionID] = true
	}
	if len(sessions) < 400 {
		t.Errorf("%d sessions, want some 500", len(sessions))
	}
	// A restart an hour later sends the same events for the time that both cover, and no others.
	later := simshop.History(seed, shoppers, 72, noon.Add(time.Hour))
	var both, fresh int
	for _, e := range later {
		if when, ok := at[e.EventID]; ok {
			both++
			if !when.Equal(e.OccurredAt) {
				t.Errorf("event %s moved from %v to %v", e.EventID, when, e.OccurredAt)
			}
			continue
		}
		fresh++
		if e.OccurredAt.Before(noon.Add(-simshop.MaxVisit)) {
			t.Errorf("event at %v is new an hour later", e.OccurredAt)
		}
	}
	if both < len(past)*95/100 || fresh > len(past)/20 {
		t.Errorf("an hour later %d events are the same and %d new, of %d", both, fresh, len(past))
	}
	if none := simshop.History(seed, shoppers, -1, noon); len(none) != 0 {
		t.Errorf("%d events were asked not to be", len(none))
	}
}
