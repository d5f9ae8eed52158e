package serving

import (
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
