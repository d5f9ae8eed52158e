package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// overtaken is a producer before whose first records another writer's record of the same item gets into the log.
type overtaken struct {
	Producer
	first *stagedWrite
}

func (o *overtaken) Produce(ctx context.Context, records []kafka.Record) error {
	if first := o.first; first != nil {
		o.first = nil
		if err := o.Producer.Produce(ctx, []kafka.Record{first.record("another node/0")}); err != nil {
			return err
		}
	}
	return o.Producer.Produce(ctx, records)
}

// TestOvertakenBulkKeepsItsOrder: of several changes of one item in one bulk the last one stands, and another writer's
// row that came between is merged into, not overwritten.
func TestOvertakenBulkKeepsItsOrder(t *testing.T) {
	h := newHouse(t)
	other := &event.CatalogueRow{Site: testSite, CatalogueItem: Item{ItemID: "x", Brand: "other", Available: true}, Revision: 1, UpdatedAt: noon}
	value, err := encodeRow(other)
	h.must(err)
	h.deps.Producer = &overtaken{Producer: h.deps.Producer, first: &stagedWrite{row: other, value: value}}
	h = h.run()
	const changes = 30
	rows := make([]string, changes)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"item_id":"x","title":"title %d"}`, i)
	}
	if report := h.put(rows...); report.Accepted != changes || report.Unchanged != 0 {
		t.Fatalf("%+v", report)
	}
	row := h.serving.catalogue.row(testSite, "x")
	if row.Title() != fmt.Sprintf("title %d", changes-1) || row.Brand != "other" || row.Revision != 2 {
		t.Errorf("in force: %+v", row)
	}
}

// bigFields is the JSON of n own fields of 8,000 bytes each, full of markup.
func bigFields(first, n int) string {
	fields := make([]string, n)
	for i := range fields {
		fields[i] = fmt.Sprintf(`"f%d":%q`, first+i, strings.Repeat("<p>a&b</p>", 800))
	}
	return "{" + strings.Join(fields, ",") + "}"
}

// TestRowOutgrowsItsLimit: the change that would make a row too large is refused with a reason, alone.
func TestRowOutgrowsItsLimit(t *testing.T) {
	h := start(t)
	for i := range 4 {
		if report := h.put(fmt.Sprintf(`{"item_id":"x","fields":%s}`, bigFields(8*i, 8))); report.Accepted != 1 {
			t.Fatalf("%d fields of 8,000 bytes: %+v", 8*(i+1), report.Rejected)
		}
	}
	report := h.put(`{"item_id":"y"}`, fmt.Sprintf(`{"item_id":"x","fields":%s}`, bigFields(32, 8)), `{"item_id":"z"}`)
	if report.Accepted != 2 || len(report.Rejected) != 1 || report.Rejected[0].Index != 1 || report.Rejected[0].Code != CodeTooLarge {
		t.Errorf("%+v", report)
	}
	if w := h.do(http.MethodPatch, "/v1/items/x", `{"fields":`+bigFields(32, 4)+`}`); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), CodeTooLarge) {
		t.Errorf("PATCH: %d %s", w.Code, w.Body)
	}
	if w := h.do(http.MethodPatch, "/v1/items/x", `{"fields":{"f0":null}}`); w.Code != http.StatusOK {
		t.Errorf("making it smaller: %d", w.Code)
	}
}

// TestLargeBulkGoesInRounds: what one round trip carries is bounded, whatever the rows have grown to, and no change is
// left out or moved before another.
func TestLargeBulkGoesInRounds(t *testing.T) {
	c := &Catalogue{sites: map[string]*siteItems{}, shared: newSharedTexts(), now: func() time.Time { return noon }}
	var fields map[string]any
	if err := json.Unmarshal([]byte(bigFields(0, 30)), &fields); err != nil {
		t.Fatal(err)
	}
	const rows = 100
	changes := make([]change, rows)
	for i := range changes {
		id := fmt.Sprint(i)
		c.stock(rowOf(Item{ItemID: id, Fields: fields, Available: true}))
		changes[i] = change{index: i, id: id, patch: map[string]json.RawMessage{"price": json.RawMessage("1")}}
	}
	var report UpsertReport
	next := 0
	for rounds := 0; len(changes) > 0; rounds++ {
		staged, rest, err := c.stage(testSite, changes, &report)
		if err != nil || len(staged) == 0 || rounds > rows {
			t.Fatalf("round %d: %d staged, %v", rounds, len(staged), err)
		}
		size := 0
		for _, s := range staged {
			if size += len(s.value); len(s.changes) != 1 || s.changes[0].index != next {
				t.Fatalf("changes %+v instead of %d", s.changes, next)
			}
			next++
		}
		if size > maxRoundBytes+MaxRowBytes {
			t.Errorf("a round of %d bytes", size)
		}
		changes = rest
	}
	if next != rows || len(report.Rejected) > 0 {
		t.Errorf("%d of %d changes, %+v", next, rows, report)
	}
}

// TestNumbersStayAsWritten: an own number that float64 cannot hold comes back digit by digit, from memory, from the
// online store and in a list; what no reader could hold is refused.
func TestNumbersStayAsWritten(t *testing.T) {
	h := start(t)
	const fields = `{"big":9007199254740993,"list":[12345678901234567890,1.10]}`
	h.put(`{"item_id":"x","fields":` + fields + `}`)
	w := h.do(http.MethodGet, "/v1/items/x", "")
	if !strings.Contains(w.Body.String(), fields) {
		t.Errorf("GET: %s", w.Body)
	}
	if report := h.put(`{"item_id":"x","fields":` + fields + `}`); report.Unchanged != 1 {
		t.Errorf("the same row again: %+v", report)
	}
	fresh := &Catalogue{sites: map[string]*siteItems{}, shared: newSharedTexts(), online: h.online}
	waitFor(t, "the row in the online store", func() bool {
		h.must(fresh.loadBase(t.Context(), h.marker()))
		return fresh.row(testSite, "x") != nil
	})
	if back := fresh.row(testSite, "x"); !reflect.DeepEqual(back.whole(), h.serving.catalogue.row(testSite, "x").whole()) {
		t.Errorf("from the online store: %+v", back)
	}
	h.put(`{"item_id":"y","title":"to be listed"}`)
	h.happen(parseEvent(t, "1m a=b type=view_item items=x"))
	h.refresh()
	w = h.do(http.MethodPost, "/v1/recommend", `{"placement":"popular","fields":["big","list"]}`)
	if !bytes.Contains(w.Body.Bytes(), []byte(fields)) {
		t.Errorf("recommend: %s", w.Body)
	}
	report := h.put(`{"item_id":"x","fields":{"big":1e999}}`)
	if !slices.ContainsFunc(report.Rejected, func(r Rejection) bool { return r.Code == "invalid_number" && r.Pointer == "/fields/big" }) {
		t.Errorf("1e999: %+v", report)
	}
}
