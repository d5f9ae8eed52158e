package feature

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// plainJSON is what AppendView is compared with; ok is false for what encoding/json refuses.
func plainJSON(view any) (text string, ok bool) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(view)
	return strings.TrimSuffix(b.String(), "\n"), err == nil
}

func samePlainJSON(t *testing.T, what string, got []byte, view any) {
	t.Helper()
	if want, ok := plainJSON(view); !ok || string(got) != want {
		t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

func sameProfileJSON(t *testing.T, p *Profile, id string) {
	t.Helper()
	view := p.View(id)
	samePlainJSON(t, "profile", p.AppendView(nil, id, false), view)
	view.Trim()
	samePlainJSON(t, "trimmed profile", p.AppendView(nil, id, true), view)
}

// TestViewsAsJSON writes profiles and items of all sizes, among them the empty ones, whose absent fields are left out.
func TestViewsAsJSON(t *testing.T) {
	long := strings.Repeat("é", event.MaxIDBytes)
	for _, n := range []int{0, 1, 2, 9, 60, 400, 1500} {
		events := history(uint64(n), n)
		for i, e := range events {
			for j := range e.Items {
				if item := &e.Items[j]; i%5 == 0 {
					item.ItemCategory, item.ItemBrand = long+item.ItemCategory, long
				}
			}
		}
		p := profileOf(events)
		p.UserID, p.Skipped = strings.Repeat("u", n%2), int64(n/50)
		sameProfileJSON(t, p, "default:a:<b>:0")
		items := map[string]*ItemAggregate{"": {}}
		for _, e := range events {
			for i := range e.Items {
				item := &e.Items[i]
				if items[item.ItemID] == nil {
					items[item.ItemID] = &ItemAggregate{}
				}
				items[item.ItemID].Apply(e, item)
				items[item.ItemID].Meet(e.Items[0].ItemID, e.OccurredAt.UnixMilli())
			}
		}
		for id, a := range items {
			samePlainJSON(t, "item", a.AppendView(nil, id), a.View(id))
		}
	}
}

// TestClickLongAfterItsImpression divides by what two months leave of an impression: no number of JSON may be endless.
func TestClickLongAfterItsImpression(t *testing.T) {
	shown := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for days := range 60 {
		var a ItemAggregate
		for _, e := range []*event.Event{
			{Type: event.ViewItemList, OccurredAt: shown},
			{Type: event.SelectItem, OccurredAt: shown.AddDate(0, 0, days)},
		} {
			e.Rec, e.Items = &event.Rec{Placement: "home"}, []event.Item{{ItemID: "i"}}
			a.Apply(e, &e.Items[0])
		}
		samePlainJSON(t, "item", a.AppendView(nil, "i"), a.View("i"))
	}
}

// FuzzProfileAsJSON takes rows as they are stored.
func FuzzProfileAsJSON(f *testing.F) {
	f.Add((&Profile{}).Encode(nil), "p")
	f.Add(profileOf(history(5, 30)).Encode(nil), "\xff\u2028\x00\"\\\x7f\b\f\n\r\t")
	f.Fuzz(func(t *testing.T, stored []byte, id string) {
		p, err := DecodeProfile(stored)
		if err != nil {
			return
		}
		for _, counts := range [][]Count{p.Categories, p.Brands, p.PriceBands, p.EventTypes, p.Dwell.VisibleItems, p.Dwell.FocusedItems} {
			for i := 1; i < len(counts); i++ {
				if counts[i-1].Name >= counts[i].Name {
					return // no list of ours, which are in the order of an object's keys
				}
			}
		}
		if _, ok := plainJSON(p.View(id)); ok {
			sameProfileJSON(t, p, id)
		}
	})
}

// BenchmarkProfileAsJSON is what the change feed pays for a profile of some visits.
func BenchmarkProfileAsJSON(b *testing.B) {
	p := profileOf(history(1, 40))
	now := time.UnixMilli(p.LastAt)
	p.Apply(&event.Event{EventID: "last", Type: event.ViewItem, OccurredAt: now, ReceivedAt: now, Items: []event.Item{{ItemID: "last"}}})
	b.Run("append", func(b *testing.B) {
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			buf = p.AppendView(buf[:0], "default:a:b:0", false)
		}
		b.SetBytes(int64(len(buf)))
	})
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			text, _ := plainJSON(p.View("default:a:b:0"))
			b.SetBytes(int64(len(text)))
		}
	})
}

// BenchmarkItemAsJSON is the same for an item with every partner.
func BenchmarkItemAsJSON(b *testing.B) {
	c, _ := steadyVisit()
	a := c.items["i1"]
	b.Run("append", func(b *testing.B) {
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			buf = a.AppendView(buf[:0], "i1")
		}
		b.SetBytes(int64(len(buf)))
	})
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			text, _ := plainJSON(a.View("i1"))
			b.SetBytes(int64(len(text)))
		}
	})
}
