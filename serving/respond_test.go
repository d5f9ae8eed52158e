package serving

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
)

// TestRowsOfAnotherVersionCountAsAbsent asks while the stream still replaces the rows of another feature version: the
// visitor is somebody new, the items are unknown, and both are themselves again with their first row of this version.
func TestRowsOfAnotherVersionCountAsAbsent(t *testing.T) {
	h := start(t)
	h.put(`{"item_id":"kettle"}`, `{"item_id":"lamp"}`)
	seen := func() *event.Event {
		return &event.Event{Type: event.ViewItem, AnonymousID: "b1", OccurredAt: time.Now(), ReceivedAt: time.Now(), Items: []event.Item{{ItemID: "lamp"}}}
	}
	h.happen(seen())
	var old []onlinestore.Row
	for _, prefix := range []string{onlinestore.ProfilePrefix(testSite), onlinestore.ItemSitePrefix(testSite)} {
		h.must(h.online.Scan(t.Context(), prefix, func(row onlinestore.Row) error {
			row.Version, row.Value[0] = feature.Version+1, feature.Version+1
			old = append(old, row)
			return nil
		}))
	}
	h.must(h.online.Put(t.Context(), old))
	h.refresh()
	const recent = `{"placement":"recent","anonymous_id":"b1"}`
	if a := h.ask(recent); len(old) != 2 || len(a.Items) == 0 || a.Degraded == "none" {
		t.Fatalf("with %d rows of another version the answer is %+v, want the list of somebody new", len(old), a)
	}
	h.happen(seen())
	h.refresh()
	if a := h.ask(recent); ids(a)[0] != "lamp" || a.Degraded != "none" {
		t.Fatalf("after a row of this version the answer is %+v", a)
	}
}

// An item that its own views brought back must not be explained by itself.
func TestReasonOfAnItemSeenBefore(t *testing.T) {
	q := &query{}
	if got := q.reason("tent", contribution{family: "vstan", origin: "tent"}); got != "often viewed again" {
		t.Errorf("reason %q", got)
	}
	if got := q.reason("tent", contribution{family: "vstan"}); got != "" {
		t.Errorf("reason %q of nothing", got)
	}
}

// An answer that writes itself is what encoding/json would write, whatever its texts and fields are.
func TestAnswerIsTheJSONOfItsFields(t *testing.T) {
	h := start(t)
	h.put(`{"item_id":"a\"<1>","title":"Tent \u2028 & \\ mat","categories":["Camping","Zelte <2>"],"brand":"B","price":12.5,"currency":"EUR",
		"url":"https://s/a?b=1&c=2","image_url":"/i.png","labels":["new"],"published_at":"2026-01-02T03:04:05Z","expires_at":"2027-01-02T03:04:05Z",
		"item_group_id":"g","fields":{"size":7,"tags":["x","<y>"],"ok":true,"text":"a&b"}}`, `{"item_id":"plain"}`)
	h.happen(parseEvent(t, "1m a=x type=view_item items=said category=Pots name=Pot"))
	h.refresh()
	names := []string{"title", "title", "categories", "brand", "price", "currency", "url", "image_url", "labels", "published_at", "expires_at",
		"item_group_id", "item_id", "available", "size", "tags", "ok", "text", "absent"}
	for _, fields := range [][]string{nil, {}, names} {
		request := &Request{Placement: "popular", Fields: fields, DryRun: true}
		placement, p := h.serving.placement(t.Context(), testSite, "popular")
		if p != nil {
			t.Fatal(p)
		}
		for _, id := range []string{"a\"<1>", "plain", "said"} {
			q := &query{request: request, settings: &Settings{}, trends: h.serving.trends.of(testSite)}
			row := h.serving.catalogue.row(testSite, id)
			a := &Answer{RecID: "r", Placement: placement.Name, Items: []AnswerItem{{
				ItemID: id, Score: 0.1, Reasons: []string{"because <b>"}, view: itemView{names: q.fieldNames(), row: row, said: q.trends.items[id]},
			}}}
			got, err := json.Marshal(a)
			h.must(err)
			plain := *a
			plain.Items = []AnswerItem{{ItemID: id, Score: 0.1, Reasons: a.Items[0].Reasons, Fields: map[string]any{}}}
			for _, name := range q.fieldNames() {
				value, ok := q.trends.items[id].field(name)
				if row != nil {
					value, ok = row.field(name)
				}
				if ok {
					plain.Items[0].Fields[name] = value
				}
			}
			type wire Answer // without a method of its own
			want, err := json.Marshal((*wire)(&plain))
			h.must(err)
			if !reflect.DeepEqual(decode[any](t, bytes.NewReader(got)), decode[any](t, bytes.NewReader(want))) {
				t.Errorf("fields %v of %s:\n got %s\nwant %s", fields, id, got, want)
			}
		}
	}
}
