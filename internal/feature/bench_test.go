package feature

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// BenchmarkProfileStep is what one event costs a full profile in the stream: decode, apply, encode.
func BenchmarkProfileStep(b *testing.B) {
	events := history(1, 1500)
	stored := profileOf(events).Encode(nil)
	b.SetBytes(int64(len(stored)))
	b.ReportAllocs()
	var buf []byte
	i := 0
	for b.Loop() {
		p, err := DecodeProfile(stored)
		if err != nil {
			b.Fatal(err)
		}
		p.Apply(events[1000+i%500])
		buf = p.Encode(buf[:0])
		i++
	}
}

// BenchmarkProfileDecode reads a full profile: into memory of its own, and into that of another, as the change feed does.
func BenchmarkProfileDecode(b *testing.B) {
	stored := profileOf(history(1, 1500)).Encode(nil)
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeProfile(stored); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		var p Profile
		b.ReportAllocs()
		for b.Loop() {
			if err := p.Decode(stored); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkProfileApply(b *testing.B) {
	events := history(1, 1500)
	p := profileOf(events)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p.Apply(events[i%1500])
		i++
	}
}

// counted is everything that one visitor's event changes, in the steady state: lists are full, maps are not needed.
type counted struct {
	profile Profile
	items   map[string]*ItemAggregate
	site    SiteAggregate
}

func (c *counted) apply(e *event.Event) {
	c.site.Apply(e)
	c.profile.Apply(e)
	at := e.OccurredAt.UnixMilli()
	for _, m := range c.profile.Met() {
		c.items[m.Item].Meet(m.Other, at)
		c.items[m.Other].Meet(m.Item, at)
	}
	for i := range e.Items {
		c.items[e.Items[i].ItemID].Apply(e, &e.Items[i])
	}
}

// steadyVisit is a long visit among 100 items, one event every two seconds, and counters that have seen it.
func steadyVisit() (*counted, []*event.Event) {
	c := &counted{items: map[string]*ItemAggregate{}}
	types := []string{event.ViewItem, event.ViewItem, event.SelectItem, event.AddToCart, event.ViewItemList, event.PageView, event.Engage}
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	events := make([]*event.Event, 2000)
	for i := range events {
		at = at.Add(2 * time.Second)
		id, price := fmt.Sprintf("i%d", i*i%101), float64(1+i%50)
		e := &event.Event{EventID: fmt.Sprintf("e%d", i), AnonymousID: fmt.Sprintf("b%d", i%700), SessionID: "s", OccurredAt: at, ReceivedAt: at,
			Type: types[i%len(types)], Rec: &event.Rec{Placement: "home"}, Engagement: &event.Engagement{VisibleMs: 900}}
		if e.Type != event.PageView {
			e.Items = []event.Item{{ItemID: id, ItemCategory: fmt.Sprintf("c%d", i%20), ItemBrand: "Fell", Price: &price}}
		}
		events[i] = e
		if c.items[id] == nil {
			c.items[id] = &ItemAggregate{}
		}
	}
	for range 3 {
		for _, e := range events {
			c.apply(e)
		}
	}
	return c, events
}

// TestCountersDoNotAllocate would fail with a counter that makes garbage for every event.
func TestCountersDoNotAllocate(t *testing.T) {
	c, events := steadyVisit()
	i := 0
	if n := testing.AllocsPerRun(5000, func() { c.apply(events[i%len(events)]); i++ }); n != 0 {
		t.Errorf("%v allocations per event", n)
	}
}

// BenchmarkCounters is one event in the counters of its visitor, its item and its site.
func BenchmarkCounters(b *testing.B) {
	c, events := steadyVisit()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c.apply(events[i%len(events)])
		i++
	}
}

// BenchmarkItemStep is what one event costs an item's row: decode, apply, encode.
func BenchmarkItemStep(b *testing.B) {
	c, events := steadyVisit()
	stored := c.items["i1"].Encode(nil)
	b.SetBytes(int64(len(stored)))
	b.ReportAllocs()
	var buf []byte
	i := 0
	for b.Loop() {
		a, err := DecodeItemAggregate(stored)
		if err != nil {
			b.Fatal(err)
		}
		if e := events[i%len(events)]; len(e.Items) > 0 {
			a.Apply(e, &e.Items[0])
		}
		buf = a.Encode(buf[:0])
		i++
	}
}

// TestProfileBytes bounds what an ordinary profile needs: 50 interactions over 20 categories, a brand and a price each. A
// million of them are rows on disk; what a batch holds of them is in memory.
func TestProfileBytes(t *testing.T) {
	var p Profile
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for i := range 50 {
		at = at.Add(7 * time.Minute)
		price := 10 + float64(i)
		p.Apply(&event.Event{EventID: fmt.Sprintf("e%d", i), Type: event.ViewItem, OccurredAt: at, ReceivedAt: at, AnonymousID: "b",
			Items: []event.Item{{ItemID: fmt.Sprintf("item-%05d", i), ItemCategory: fmt.Sprintf("category-%d", i%20), ItemBrand: fmt.Sprintf("brand-%d", i%10), Price: &price}}})
	}
	if n := len(p.Encode(nil)); n > 6<<10 {
		t.Errorf("a profile with 50 interactions and 20 categories takes %d bytes, want at most 6 KiB", n)
	} else {
		t.Logf("a profile with 50 interactions and 20 categories takes %d bytes", n)
	}
}
