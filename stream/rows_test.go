package stream

import (
	"fmt"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/state"
)

// span is where the text of a record stands in memory.
type span struct{ from, to uintptr }

// TestRowsDoNotKeepRecords applies events that say everything an event can say, and looks for texts in memory that share
// it with a record: a profile of some bytes would keep 64 KiB of records alive.
func TestRowsDoNotKeepRecords(t *testing.T) {
	a := newTestApplier(t)
	var records []span
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for i := range 200 {
		at = at.Add(time.Minute)
		price, index := float64(i), int32(i%3)
		e := event.Event{EventID: fmt.Sprintf("event-%d", i), Site: "s", OccurredAt: at, ReceivedAt: at, AnonymousID: fmt.Sprintf("browser-%d", i%7),
			Type:  []string{event.ViewItem, event.Search, event.Logout, event.Engage, event.ViewItemList, event.Purchase, "own_type"}[i%7],
			Items: []event.Item{{ItemID: fmt.Sprintf("item-%d", i%11), ItemName: fmt.Sprintf("name %d", i), ItemCategory: "category", ItemBrand: "brand", Price: &price}},
			Rec:   &event.Rec{Placement: "place", Index: &index}, SearchTerm: fmt.Sprintf("term %d", i), Engagement: &event.Engagement{VisibleMs: 500, FocusedMs: 90}}
		if i%3 == 0 {
			e.UserID = fmt.Sprintf("user-%d", i%5)
		}
		if i%2 == 0 {
			e.SessionID = fmt.Sprintf("session-%d", i/9)
		}
		value, err := event.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		read, poison := decodeEvent(a.reader, &kafka.Record{Value: value})
		if poison != nil {
			t.Fatal(poison.detail)
		}
		start := uintptr(unsafe.Pointer(unsafe.StringData(read.EventID))) - uintptr(len(`{"event_id":"`))
		records = append(records, span{start, start + uintptr(len(value))})
		if _, err := a.apply(read, state.Position{Epoch: 1, Offset: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.commit(1); err != nil {
		t.Fatal(err)
	}
	looked := 0
	for name, table := range map[string]any{"profiles": a.work.profiles.young, "items": a.work.items.young, "sites": a.work.sites.young,
		"newest": a.work.newest.young, "links": a.work.links.young, "clocks": a.clocks} {
		walkTexts(reflect.ValueOf(table), name, func(path, text string) {
			looked++
			p := uintptr(unsafe.Pointer(unsafe.StringData(text)))
			for _, r := range records {
				if p >= r.from && p < r.to {
					t.Errorf("%s: %q shares the memory of its record", path, text)
				}
			}
		})
	}
	if looked < 1000 {
		t.Fatalf("%d texts in memory: the walk sees too little", looked)
	}
}

// walkTexts calls f with every text in a value that is not empty.
func walkTexts(v reflect.Value, path string, f func(path, text string)) {
	switch v.Kind() {
	case reflect.String:
		if v.Len() > 0 {
			f(path, v.String())
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			walkTexts(v.Elem(), path, f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			walkTexts(v.Field(i), path+"."+v.Type().Field(i).Name, f)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			walkTexts(v.Index(i), path+"[]", f)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			walkTexts(key, path+" key", f)
			walkTexts(v.MapIndex(key), path, f)
		}
	}
}
