package feature

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// history makes n events of one browser with seeded chance: bursts, silences, late events, several types, categories
// and users' own sessions.
func history(seed uint64, n int) []*event.Event {
	r := rand.New(rand.NewPCG(seed, 7))
	types := []string{event.PageView, event.ViewItem, event.ViewItem, event.SelectItem, event.AddToCart, event.RemoveFromCart,
		event.Purchase, event.ViewItemList, "played_video", event.Search, event.Engage}
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	events := make([]*event.Event, n)
	for i := range events {
		at = at.Add(time.Duration(r.IntN(600)) * time.Second)
		if r.IntN(20) == 0 {
			at = at.Add(time.Duration(r.IntN(48)) * time.Hour)
		}
		e := &event.Event{EventID: fmt.Sprintf("e%d", i), Site: "s", AnonymousID: "b", OccurredAt: at, ReceivedAt: at.Add(time.Second),
			Type: types[r.IntN(len(types))]}
		if r.IntN(10) == 0 {
			e.OccurredAt = at.Add(-time.Duration(r.IntN(72)) * time.Hour)
		}
		if r.IntN(3) == 0 {
			e.SessionID = fmt.Sprintf("s%d", i/7)
		}
		switch e.Type {
		case event.Search:
			e.SearchTerm = fmt.Sprintf("term %d", r.IntN(30))
		case event.Engage:
			e.Engagement = &event.Engagement{VisibleMs: r.Int64N(60_000), FocusedMs: r.Int64N(30_000)}
		case event.ViewItemList, event.SelectItem:
			e.Rec = &event.Rec{Placement: fmt.Sprintf("p%d", r.IntN(5))}
		}
		if e.Type != event.PageView && e.Type != event.Search {
			for range 1 + r.IntN(3) {
				item := event.Item{ItemID: fmt.Sprintf("i%d", r.IntN(900)), ItemCategory: fmt.Sprintf("c%d", r.IntN(80))}
				if r.IntN(2) == 0 {
					price := float64(r.IntN(10_000)) / 100
					item.Price, item.ItemBrand, item.ItemName = &price, "Brand", "Name of "+item.ItemID
				}
				e.Items = append(e.Items, item)
			}
		}
		events[i] = e
	}
	return events
}

func profileOf(events []*event.Event) *Profile {
	p := &Profile{}
	for _, e := range events {
		p.Apply(e)
	}
	return p
}

// TestStoredProfileGoesOn is what the stream does: decode, apply, encode, event after event. It must end where a profile
// that was never stored ends, and stay within its bounds.
func TestStoredProfileGoesOn(t *testing.T) {
	for seed := range uint64(2) {
		events := history(seed, 1500)
		var stored []byte
		stored = (&Profile{}).Encode(stored)
		for _, e := range events {
			p, err := DecodeProfile(stored)
			if err != nil {
				t.Fatal(err)
			}
			p.Apply(e)
			stored = p.Encode(nil)
		}
		want := profileOf(events)
		if hex.EncodeToString(stored) != hex.EncodeToString(want.Encode(nil)) {
			t.Fatalf("seed %d: a stored profile and one in memory differ", seed)
		}
		for name, n := range map[string][2]int{
			"interactions": {len(want.Interactions), MaxInteractions}, "seen": {len(want.Seen), MaxSeen},
			"categories": {len(want.Categories), MaxCategories}, "event ids": {len(want.EventIDs), MaxEventIDs},
		} {
			if n[0] != n[1] {
				t.Errorf("seed %d: %d %s, want the bound %d to be reached", seed, n[0], name, n[1])
			}
		}
		if last := events[len(events)-1].EventID; !want.HasApplied(last) || want.HasApplied("never") || want.HasApplied("e0") {
			t.Errorf("seed %d: HasApplied does not tell the last event from others", seed)
		}
	}
}

// TestDecodeOverwrites reads profiles and items into the memory of others: nothing of those may be left.
func TestDecodeOverwrites(t *testing.T) {
	var profile Profile
	var item ItemAggregate
	for i, n := range []int{600, 0, 3, 1500, 40, 1, 0, 900} {
		events := history(uint64(i), n)
		want := profileOf(events).Encode(nil)
		if err := profile.Decode(want); err != nil || string(profile.Encode(nil)) != string(want) {
			t.Errorf("a profile of %d events is another in the memory of one before (%v)", n, err)
		}
		var a ItemAggregate
		for j, e := range events {
			e.AnonymousID = fmt.Sprintf("b%d", j)
			for k := range e.Items {
				a.Apply(e, &e.Items[k])
				a.Meet(e.Items[k].ItemID, e.OccurredAt.UnixMilli())
			}
		}
		want = a.Encode(nil)
		if err := item.Decode(want); err != nil || string(item.Encode(nil)) != string(want) {
			t.Errorf("an item of %d events is another in the memory of one before (%v)", n, err)
		}
	}
}

// TestMergeOfPartials splits a history over three browsers: merged in any order they give one answer, and exact counts.
func TestMergeOfPartials(t *testing.T) {
	events := history(3, 120)
	parts := make([]*Profile, 3)
	for i := range parts {
		parts[i] = &Profile{}
	}
	for i, e := range events {
		parts[i%3].Apply(e)
	}
	whole := profileOf(events)
	merge := func(order ...int) *Profile {
		p := &Profile{}
		for _, i := range order {
			p.Merge(parts[i])
		}
		return p
	}
	a, b := merge(0, 1, 2), merge(2, 0, 1)
	for name, pair := range map[string][2]any{
		"seen": {a.Seen, b.Seen}, "bought": {a.Bought, b.Bought}, "session": {a.Session, b.Session},
		"seen and whole": {a.Seen, whole.Seen}, "bought and whole": {a.Bought, whole.Bought},
		"events": {a.Events, whole.Events}, "first": {a.FirstAt, whole.FirstAt}, "last": {a.LastAt, whole.LastAt},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s differ: %v and %v", name, pair[0], pair[1])
		}
	}
	if len(a.Brands) == 0 || len(a.PriceBands) == 0 || len(a.Searches) == 0 || a.Dwell.Focused.IsZero() || len(a.Dwell.VisibleItems) == 0 {
		t.Error("the history has too little in it")
	}
	sameView(t, "merged in another order", a.View("p"), b.View("p"))
	now := whole.LastAt + day
	for _, kind := range []string{event.ViewItem, event.Purchase} {
		for h := range halfLives {
			if !near(a.EventType(kind, h, now), whole.EventType(kind, h, now)) || a.EventType(kind, h, now) == 0 {
				t.Errorf("%s at %s: merged %v, whole %v", kind, h, a.EventType(kind, h, now), whole.EventType(kind, h, now))
			}
		}
	}
}

func TestItemSharesMerge(t *testing.T) {
	whole, shares := &ItemAggregate{}, [2]ItemAggregate{}
	for i, e := range history(9, 400) {
		for j := range e.Items {
			item := e.Items[j]
			item.ItemID = "one"
			whole.Apply(e, &item)
			shares[i%2].Apply(e, &item)
		}
	}
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		var sum ItemAggregate
		sum.Merge(&shares[order[0]])
		sum.Merge(&shares[order[1]])
		if sum.Name != whole.Name || sum.Category != whole.Category || sum.Price != whole.Price || sum.Events != whole.Events {
			t.Fatalf("shares %v merge to %+v, whole is %+v", order, sum, whole)
		}
		if !near(sum.Trend(whole.LastAt), whole.Trend(whole.LastAt)) || !near(sum.Views.Value(Day, whole.LastAt), whole.Views.Value(Day, whole.LastAt)) {
			t.Fatalf("shares %v count differently", order)
		}
	}
}

// TestEqualTimesSayTheSame would fail if what is known of an item depended on the order of two events of one millisecond.
func TestEqualTimesSayTheSame(t *testing.T) {
	at := time.UnixMilli(1000)
	low, high := 1.0, 2.0
	a, b := event.Item{ItemName: "A", Price: &high}, event.Item{ItemName: "B", Price: &low}
	e := &event.Event{Type: event.ViewItem, OccurredAt: at}
	var x, y ItemAggregate
	x.Apply(e, &a)
	x.Apply(e, &b)
	y.Apply(e, &b)
	y.Apply(e, &a)
	if x.Name != y.Name || x.Price != y.Price {
		t.Fatalf("order decides: %+v and %+v", x, y)
	}
}

var writeGolden = flag.Bool("golden", false, "write golden bytes of the current Version")

// TestGoldenBytes fails when the encoding changes without a new Version: stored rows would be read wrongly. After raising
// Version, run with -golden and keep the old file for readers that still meet it.
func TestGoldenBytes(t *testing.T) {
	item := &ItemAggregate{}
	for _, e := range history(1, 60) {
		for j := range e.Items {
			item.Apply(e, &e.Items[j])
			item.Meet(e.Items[j].ItemID, e.OccurredAt.UnixMilli())
		}
	}
	site := siteOf(history(1, 60))
	var got string
	for _, v := range []interface{ Encode([]byte) []byte }{profileOf(history(1, 60)), item, site} {
		got += hex.EncodeToString(v.Encode(nil)) + "\n"
	}
	file := fmt.Sprintf("testdata/golden_v%d.hex", Version)
	if *writeGolden {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatal("encoded bytes changed: raise Version, so that stored features are computed again")
	}
	lines := strings.Split(string(want), "\n")
	for i, decode := range []func([]byte) error{
		func(b []byte) error { _, err := DecodeProfile(b); return err },
		func(b []byte) error { _, err := DecodeItemAggregate(b); return err },
		func(b []byte) error { _, err := DecodeSiteAggregate(b); return err },
	} {
		b, err := hex.DecodeString(lines[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := decode(b); err != nil {
			t.Fatal(err)
		}
		for n := range b {
			if decode(b[:n]) == nil {
				t.Fatalf("value %d cut to %d of %d bytes was decoded", i, n, len(b))
			}
		}
		b[0]++
		if err := decode(b); !errors.Is(err, ErrVersion) {
			t.Fatalf("value %d of another version: %v, want ErrVersion", i, err)
		}
	}
}

func FuzzDecodeProfile(f *testing.F) {
	f.Add(profileOf(history(1, 60)).Encode(nil))
	f.Add((&Profile{}).Encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodeProfile(b)
		if err != nil {
			return
		}
		again, err := DecodeProfile(p.Encode(nil))
		if err != nil {
			t.Fatal(err)
		}
		if string(again.Encode(nil)) != string(p.Encode(nil)) {
			t.Fatal("a decoded profile does not survive the codec")
		}
	})
}

func FuzzDecodeItemAggregate(f *testing.F) {
	var a ItemAggregate
	for _, e := range history(1, 30) {
		for j := range e.Items {
			a.Apply(e, &e.Items[j])
			a.Meet(e.Items[j].ItemID, e.OccurredAt.UnixMilli())
		}
	}
	f.Add(a.Encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := DecodeItemAggregate(b)
		if err != nil {
			return
		}
		again, err := DecodeItemAggregate(v.Encode(nil))
		if err != nil || string(again.Encode(nil)) != string(v.Encode(nil)) {
			t.Fatalf("a decoded aggregate does not survive the codec: %v", err)
		}
	})
}

func FuzzDecodeSiteAggregate(f *testing.F) {
	f.Add(siteOf(history(1, 60)).Encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := DecodeSiteAggregate(b)
		if err != nil {
			return
		}
		again, err := DecodeSiteAggregate(v.Encode(nil))
		if err != nil || string(again.Encode(nil)) != string(v.Encode(nil)) {
			t.Fatalf("a decoded aggregate does not survive the codec: %v", err)
		}
	})
}
