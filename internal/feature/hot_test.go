package feature

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// burst applies n events a second for some seconds and returns how many were counted in each.
func burst(p *Profile, n, seconds int, step time.Duration, source string) []int {
	counted := make([]int, seconds)
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for s := range seconds {
		for i := range n {
			e := &event.Event{EventID: fmt.Sprintf("e%d-%d", s, i), Type: event.PageView, Source: source, AnonymousID: "b",
				OccurredAt: at.Add(time.Duration(s)*step + time.Duration(i)*time.Second/time.Duration(n))}
			if p.Apply(e) {
				counted[s]++
			}
		}
	}
	return counted
}

// TestHotProfileSkips is the bound on what one key may cost: at 5,000 events/s features count some 40, at 50 all.
func TestHotProfileSkips(t *testing.T) {
	var calm, hot Profile
	for s, n := range burst(&calm, HotEventsPerSecond, 5, time.Second, event.SourceCollector) {
		if n != HotEventsPerSecond {
			t.Errorf("second %d at the limit: %d counted", s, n)
		}
	}
	counts := burst(&hot, 5000, 5, time.Second, event.SourceCollector)
	// The pace is not known before it was seen: 50, then some 25 for each of seven doublings.
	if counts[0] > 6*HotEventsPerSecond {
		t.Errorf("%d counted in the first second", counts[0])
	}
	for s, n := range counts[1:] {
		if n > HotEventsPerSecond || n < HotEventsPerSecond/4 {
			t.Errorf("second %d: %d of 5,000 counted", s+1, n)
		}
	}
	if hot.Events != 25_000 || hot.Skipped == 0 || !hot.HasApplied("e4-4999") {
		t.Errorf("%d events applied, %d skipped; the last one known: %v", hot.Events, hot.Skipped, hot.HasApplied("e4-4999"))
	}
	// After a second of rest it is a profile like any other.
	if n := burst(&hot, 10, 1, 0, event.SourceCollector)[0]; n != 10 {
		t.Errorf("%d of 10 counted after a rest", n)
	}
}

// TestHistoryIsNotHot tells a history backwards, and one whose times are days: neither is a flood.
func TestHistoryIsNotHot(t *testing.T) {
	var backwards, days Profile
	burst(&backwards, 20, 100, -time.Second, event.SourceCollector)
	burst(&days, 5000, 2, 0, event.SourceImport)
	if backwards.Skipped != 0 || days.Skipped != 0 {
		t.Errorf("skipped %d events told backwards and %d of a day", backwards.Skipped, days.Skipped)
	}
}

// TestHotProfileRebuilds stores the profile after every event, as batches of one would: what is skipped does not depend on
// where batches end.
func TestHotProfileRebuilds(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	stored, whole := (&Profile{}).Encode(nil), &Profile{}
	for i := range 1000 {
		at = at.Add(time.Millisecond * time.Duration(1+i%5))
		e := &event.Event{EventID: fmt.Sprint(i), Type: event.ViewItem, AnonymousID: "b", OccurredAt: at, ReceivedAt: at,
			Items: []event.Item{{ItemID: fmt.Sprint(i % 90)}}}
		p, err := DecodeProfile(stored)
		if err != nil {
			t.Fatal(err)
		}
		if p.Apply(e) != whole.Apply(e) {
			t.Fatalf("event %d: a stored profile decides otherwise", i)
		}
		stored = p.Encode(nil)
	}
	if string(stored) != string(whole.Encode(nil)) || whole.Skipped == 0 {
		t.Fatalf("a stored profile and one in memory differ, or none was hot (%d skipped)", whole.Skipped)
	}
}
