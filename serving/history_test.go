package serving

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// pastOf asks for a page of a history.
func (h *house) pastOf(path string) historyPage {
	h.tb.Helper()
	w := h.do(http.MethodGet, path, "")
	if w.Code != http.StatusOK {
		h.tb.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return decode[historyPage](h.tb, w.Body)
}

func (v itemVersion) String() string {
	text := fmt.Sprintf("%d:", v.Revision)
	for _, c := range v.Changes {
		text += fmt.Sprintf(" %s %s>%s", c.Field, c.Before, c.After)
	}
	if v.Deleted {
		text += " deleted"
	}
	if !v.BaseKnown {
		text += " ?"
	}
	return text
}

func (h *house) wantPast(path string, complete bool, want ...string) historyPage {
	h.tb.Helper()
	page := h.pastOf(path)
	var got []string
	for _, v := range page.Versions {
		got = append(got, v.String())
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || page.Complete != complete {
		h.tb.Errorf("%s: complete %t\n%s\nwant\n%s", path, page.Complete, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return page
}

// TestItemHistory changes an item in every way and reads what was changed, from the log alone, from the lake alone and from both.
func TestItemHistory(t *testing.T) {
	h := start(t)
	h.put(`{"item_id":"tent","title":"Tent","price":10,"fields":{"persons":2}}`)
	h.put(`{"item_id":"tent","price":12.50,"fields":{"persons":null,"colour":"<red>"}}`, `{"item_id":"mat","title":"Mat"}`)
	h.put(`{"item_id":"tent","available":false}`)
	if w := h.do(http.MethodDelete, "/v1/items/tent", ""); w.Code != 204 {
		t.Fatal(w.Code, w.Body)
	}
	h.put(`{"item_id":"tent","title":"Tent again"}`)
	all := []string{
		`5: available >true title >"Tent again"`,
		`4: available false> fields.colour "<red>"> price 12.5> title "Tent"> deleted`,
		`3: available true>false`,
		`2: fields.colour >"<red>" fields.persons 2> price 10>12.5`,
		`1: available >true fields.persons >2 price >10 title >"Tent"`,
	}
	h.wantPast("/v1/items/tent/history", false, all...) // no lake: nobody knows what is older than an hour
	logged, err := h.serving.loggedVersions(t.Context(), &history{}, testSite, "tent")
	h.must(err)
	lake := fakeLake{rows: map[string][]*event.CatalogueRow{}, landed: map[int32]int64{}}
	land := func(n int) {
		lake.rows[testSite+":tent"] = nil
		for _, row := range logged[:n] {
			lake.rows[testSite+":tent"] = append([]*event.CatalogueRow{row}, lake.rows[testSite+":tent"]...)
		}
		h.serving.lists = lake
	}
	land(0)
	h.wantPast("/v1/items/tent/history", true, all...)
	land(3)
	h.wantPast("/v1/items/tent/history", true, all...)
	first := h.wantPast("/v1/items/tent/history?limit=2", true, all[:2]...)
	second := h.wantPast("/v1/items/tent/history?limit=2&page_token="+first.NextPageToken, true, all[2:4]...)
	third := h.wantPast("/v1/items/tent/history?limit=2&page_token="+second.NextPageToken, true, all[4:]...)
	if third.NextPageToken != "" {
		t.Errorf("there is a page behind the last: %+v", third)
	}
	ranges, err := h.client.Offsets(t.Context(), event.TopicItems)
	h.must(err)
	for p, r := range ranges {
		lake.landed[p] = r.End
	}
	land(5)
	h.wantPast("/v1/items/tent/history", true, all...)
	lake.rows[testSite+":tent"] = lake.rows[testSite+":tent"][:2] // older ones were dropped by retention
	h.wantPast("/v1/items/tent/history", true, all[0], `4: deleted ?`)
	lake.rows[testSite+":tent"] = nil // what is in force is known anyway
	h.wantPast("/v1/items/tent/history", true, `5: available >true title >"Tent again" ?`)
}

// TestItemHistoryOfOvertaken: of two records with one revision the first was in force.
func TestItemHistoryOfOvertaken(t *testing.T) {
	h := start(t)
	h.put(`{"item_id":"tent","title":"Tent"}`)
	late := stagedWrite{row: &event.CatalogueRow{Site: testSite, Revision: 1, UpdatedAt: noon, CatalogueItem: Item{ItemID: "tent", Title: "late"}}}
	var err error
	late.value, err = encodeRow(late.row)
	h.must(err)
	record := []kafka.Record{late.record("w")}
	h.must(h.deps.Producer.Produce(t.Context(), record))
	h.put(`{"item_id":"tent","title":"Tent 2"}`)
	h.serving.lists = fakeLake{}
	h.wantPast("/v1/items/tent/history", true, `2: title "Tent">"Tent 2"`, `1: available >true title >"Tent"`)
}

// TestItemHistoryOfOthers: what nobody knows is a problem, what events know has no versions, and what is away says so.
func TestItemHistoryOfOthers(t *testing.T) {
	h := start(t)
	h.serving.lists = fakeLake{}
	h.happen(parseEvent(t, "1m a=b1 type=view_item items=seen"))
	h.wantPast("/v1/items/seen/history", true)
	for path, want := range map[string]int{
		"/v1/items/nobody/history": 404, "/v1/items/seen/history?page_token=x": 400, "/v1/items/seen/history?limit=101": 400,
	} {
		if w := h.do(http.MethodGet, path, ""); w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	h.serving.lists = fakeLake{err: errors.New("no disk")}
	if w := h.do(http.MethodGet, "/v1/items/seen/history", ""); w.Code != 503 {
		t.Errorf("without a lake: %d %s", w.Code, w.Body)
	}
}
