package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
)

// plainChange is what a change must be: the JSON of a Change as encoding/json writes it without the escapes of HTML.
func plainChange(t *testing.T, c *change) string {
	t.Helper()
	whole := Change{FeatureVersion: c.row.Version, Epoch: c.row.Epoch, Offset: c.row.Offset}
	if !c.isItem {
		view := c.profile.View(c.key)
		whole.Profile = &view
	} else {
		view := c.item.View(c.itemID)
		whole.Item = &view
	}
	encode := func() string {
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(whole); err != nil {
			t.Fatal(err)
		}
		return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	}
	text := encode()
	if len(text) > feedChangeBytes {
		whole.Profile.Trim()
		whole.Trimmed = true
		text = encode()
	}
	return text
}

// TestChangesAsJSON writes rows of profiles and items, one of them larger than a change may be.
func TestChangesAsJSON(t *testing.T) {
	var profile feature.Profile
	var rows []onlinestore.Row
	add := func(key string, encode func([]byte) []byte) {
		rows = append(rows, onlinestore.Row{Key: key, Version: feature.Version, Epoch: 1, Offset: int64(len(rows)), Value: encode(nil)})
	}
	item := func(e *event.Event, i int) {
		var a feature.ItemAggregate
		a.Apply(e, &e.Items[i])
		a.Meet("<other>", e.OccurredAt.UnixMilli())
		add(onlinestore.ItemKey(onlinestore.ItemShare{Site: e.Site, Item: e.Items[i].ItemID, Partition: 3}), a.Encode)
	}
	for i, e := range append([]*event.Event{view("first", "b:1", "a/\u00e9")}, bulky()...) {
		profile.Apply(e)
		add(onlinestore.ProfileKey(onlinestore.Partial{Site: e.Site, Kind: onlinestore.KindBrowser, ID: "b:1", N: int64(i)}), profile.Encode)
		item(e, 0)
	}
	add(onlinestore.NewestKey("default", "b:1"), func([]byte) []byte { return onlinestore.NewestValue(1) })
	var c change
	scratch, trimmed, written := []byte("x"), 0, 0
	for _, row := range rows {
		ok, err := c.read(row)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			continue
		}
		written++
		scratch = c.append(scratch[:1])
		if want := plainChange(t, &c); string(scratch[1:]) != want {
			t.Errorf("%s:\n%.300s\nwant\n%.300s", row.Key, scratch[1:], want)
		}
		if bytes.Contains(scratch, []byte(`"trimmed":true`)) {
			trimmed++
		}
	}
	if written != len(rows)-1 || trimmed == 0 {
		t.Errorf("%d of %d rows are features, %d of them trimmed", written, len(rows), trimmed)
	}
}

// BenchmarkChange is one row of the change feed, from the stored row to the JSON of a record.
func BenchmarkChange(b *testing.B) {
	var profile feature.Profile
	var item feature.ItemAggregate
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for i := range 30 {
		at, price := at.Add(time.Duration(i)*time.Minute), 12.5
		e := &event.Event{EventID: event.NewID(at), Site: "default", Type: event.ViewItem, OccurredAt: at, ReceivedAt: at, AnonymousID: "b",
			Items: []event.Item{{ItemID: fmt.Sprintf("item-%d", i), ItemCategory: fmt.Sprintf("c%d", i%9), Price: &price}}}
		profile.Apply(e)
		item.Apply(e, &e.Items[0])
		item.Meet(fmt.Sprintf("other-%d", i), at.UnixMilli())
	}
	for _, row := range []onlinestore.Row{
		{Key: onlinestore.ProfileKey(onlinestore.Partial{Site: "default", Kind: onlinestore.KindBrowser, ID: "b"}), Value: profile.Encode(nil)},
		{Key: onlinestore.ItemKey(onlinestore.ItemShare{Site: "default", Item: "item-1"}), Value: item.Encode(nil)},
	} {
		b.Run(row.Key[:1], func(b *testing.B) {
			var c change
			var scratch []byte
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.read(row); err != nil {
					b.Fatal(err)
				}
				scratch = c.append(scratch[:0])
			}
			b.SetBytes(int64(len(scratch)))
		})
	}
}
