package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/onlinestore"
)

func TestItemsOverHTTP(t *testing.T) {
	h := start(t)
	type step struct {
		method, path, body string
		status             int
		want               string // of the body, in its JSON
	}
	for i, s := range []step{
		{"PUT", "/v1/items/a%2Fb", `{"title":"Tent","price":12.5,"categories":["Camping","Sale"],"fields":{"colour":"red"}}`, 201, `"revision":1`},
		{"GET", "/v1/items/a%2Fb", "", 200, `{"item_id":"a/b","title":"Tent","categories":["Camping","Sale"],"price":12.5,"available":true,"fields":{"colour":"red"},"revision":1,"updated_at":"2026-03-02T12:00:00Z","source":"catalogue"}`},
		{"PATCH", "/v1/items/a%2Fb", `{"price":null,"available":false,"fields":{"size":3}}`, 200, `{"item_id":"a/b","title":"Tent","categories":["Camping","Sale"],"available":false,"fields":{"colour":"red","size":3},"revision":2,"updated_at":"2026-03-02T12:00:00Z","source":"catalogue"}`},
		{"PATCH", "/v1/items/a%2Fb", `{"available":false}`, 200, `"revision":2`}, // nothing changes, so nothing is written
		{"PUT", "/v1/items/a%2Fb", `{"title":"Other"}`, 200, `{"item_id":"a/b","title":"Other","available":true,"revision":3,"updated_at":"2026-03-02T12:00:00Z","source":"catalogue"}`},
		{"DELETE", "/v1/items/a%2Fb", "", 204, ""},
		{"GET", "/v1/items/a%2Fb", "", 404, ProblemUnknownItem},
		{"PATCH", "/v1/items/a%2Fb", `{"title":"x"}`, 404, ProblemUnknownItem},
		{"DELETE", "/v1/items/a%2Fb", "", 204, ""},
		{"PUT", "/v1/items/a%2Fb", `{"item_id":"a/b","revision":99,"source":"catalogue"}`, 201, `{"item_id":"a/b","available":true,"revision":5`},
	} {
		w := h.do(s.method, s.path, s.body)
		if w.Code != s.status || !strings.Contains(w.Body.String(), s.want) {
			t.Fatalf("step %d, %s %s: %d %s", i, s.method, s.path, w.Code, w.Body)
		}
	}
}

// TestItemOfEvents: an item that only events know exists with what they said, can be changed, and deleting it hides it
// for good.
func TestItemOfEvents(t *testing.T) {
	h := start(t)
	h.happen(parseEvent(t, "1m a=b type=view_item items=mug category=Kitchen name=Mug"))
	w := h.do(http.MethodGet, "/v1/items/mug", "")
	item := decode[itemAnswer](t, bytes.NewReader(w.Body.Bytes()))
	if w.Code != 200 || item.Title != "Mug" || !slices.Equal(item.Categories, []string{"Kitchen"}) || !item.Available || item.Source != "events" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	h.refresh()
	if got := ids(h.ask(`{"placement":"popular"}`)); !slices.Equal(got, []string{"mug"}) {
		t.Errorf("popular %v", got)
	}
	// A change makes its row, over what events said; from then on the catalogue decides.
	w = h.do(http.MethodPatch, "/v1/items/mug", `{"available":false}`)
	item = decode[itemAnswer](t, bytes.NewReader(w.Body.Bytes()))
	if w.Code != 200 || item.Title != "Mug" || item.Available || item.Source != "catalogue" {
		t.Fatalf("patch %d %s", w.Code, w.Body)
	}
	if got := ids(h.ask(`{"placement":"popular"}`)); len(got) != 0 {
		t.Errorf("an item that was made unavailable is shown: %v", got)
	}
	if w := h.do(http.MethodDelete, "/v1/items/mug", ""); w.Code != 204 {
		t.Fatalf("delete %d %s", w.Code, w.Body)
	}
	h.happen(parseEvent(t, "1s a=b type=view_item items=mug"))
	h.refresh()
	if got := ids(h.ask(`{"placement":"popular"}`)); len(got) != 0 {
		t.Errorf("a deleted item is shown again: %v", got)
	}
}

func TestBulkVerdicts(t *testing.T) {
	h := start(t)
	body := strings.Join([]string{
		`{"item_id":"a","title":"A"}`,
		`{"title":"nobody"}`,
		`{"item_id":7}`,
		`{"item_id":"b","price":-1}`,
		`{oops`,
		`[1]`,
		`{"item_id":"a","brand":"B"}`,
		`{"item_id":"c","labels":["x","x",""],"published_at":1767225600000}`,
		`{"item_id":"d","fields":{"deep":{"er":1}}}`,
	}, "\n")
	w := h.do(http.MethodPost, "/v1/items:bulk", body)
	got := decode[UpsertReport](t, bytes.NewReader(w.Body.Bytes()))
	if w.Code != 200 || got.Accepted != 3 || got.Unchanged != 0 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	slices.SortFunc(got.Rejected, func(a, b Rejection) int { return a.Index - b.Index })
	want := []string{
		"1 missing_item_id /item_id", "2 wrong_type /item_id", "3 invalid_number /price", "4 invalid_json ", "5 not_an_object ",
		"8 wrong_type /fields/deep",
	}
	var verdicts []string
	for _, r := range got.Rejected {
		verdicts = append(verdicts, fmt.Sprintf("%d %s %s", r.Index, r.Code, r.Pointer))
	}
	if !slices.Equal(verdicts, want) {
		t.Errorf("verdicts\n%s\nwant\n%s", strings.Join(verdicts, "\n"), strings.Join(want, "\n"))
	}
	if row := h.serving.catalogue.row(testSite, "a"); row.Title() != "A" || row.Brand != "B" || row.Revision != 1 {
		t.Errorf("two rows of one item in one request: %+v", row)
	}
	if row := h.serving.catalogue.row(testSite, "c"); !slices.Equal(row.Labels(), []string{"x"}) || row.PublishedAt().Year() != 2026 {
		t.Errorf("row c: %+v", row)
	}
	again := decode[UpsertReport](t, h.do(http.MethodPost, "/v1/items:bulk", `[{"item_id":"a","title":"A"}]`).Body)
	if again.Accepted != 1 || again.Unchanged != 1 {
		t.Errorf("the same row again: %+v", again)
	}
}

func TestPages(t *testing.T) {
	h := start(t)
	var rows []string
	for i := range 25 {
		rows = append(rows, fmt.Sprintf(`{"item_id":"i%02d"}`, i))
	}
	h.put(rows...)
	h.do(http.MethodDelete, "/v1/items/i07", "")
	var seen []string
	token := ""
	for page := 0; page < 10; page++ {
		answer := decode[struct {
			Items         []itemAnswer `json:"items"`
			NextPageToken string       `json:"next_page_token"`
		}](t, h.do(http.MethodGet, "/v1/items?limit=8&page_token="+token, "").Body)
		for _, it := range answer.Items {
			seen = append(seen, it.ItemID)
		}
		if token = answer.NextPageToken; token == "" {
			break
		}
		if page == 0 {
			h.put(`{"item_id":"i00a"}`) // behind the page: not seen, and nothing is shown twice or skipped
		}
	}
	if len(seen) != 24 || !slices.IsSorted(seen) || slices.Contains(seen, "i07") {
		t.Errorf("pages showed %v", seen)
	}
}

// neighbour is a second node on the same topic and online store. It has read its base; follow makes it follow.
func neighbour(tb testing.TB, h *house) (n *house, follow func()) {
	second := *h
	second.deps.Metrics = prometheus.NewRegistry()
	second.open()
	second.must(second.serving.loadCatalogue(tb.Context()))
	return &second, func() {
		kafkatest.Run(tb, func(ctx context.Context) error { return second.serving.catalogue.follow(ctx, second.serving.log) })
	}
}

// TestWritersOnTwoNodes: each of 2 x 20 concurrent writes of one item counts, because the loser merges again.
func TestWritersOnTwoNodes(t *testing.T) {
	const writes = 20 // by each node; each adds one field, so that fields and revision grow together
	a := start(t)
	b, follow := neighbour(t, a)
	follow()
	var wg sync.WaitGroup
	var written, unknown atomic.Int64
	for n, h := range []*house{a, b} {
		wg.Go(func() {
			for i := range writes {
				row := json.RawMessage(fmt.Sprintf(`{"item_id":"x","fields":{"n%d_%d":true}}`, n, i))
				report, err := h.serving.catalogue.Upsert(t.Context(), testSite, []json.RawMessage{row})
				switch {
				case errors.Is(err, ErrNotInForce): // a very busy machine; the write is in the log, and may have lost there
					unknown.Add(1)
				case err != nil:
					t.Error(err)
				}
				for _, r := range report.Rejected {
					if r.Code != CodeConflict {
						t.Errorf("rejected: %+v", r)
					}
				}
				written.Add(int64(report.Accepted))
			}
		})
	}
	wg.Wait()
	least, most := written.Load(), written.Load()+unknown.Load()
	if most < writes {
		t.Fatalf("only %d of %d writes got through", most, 2*writes)
	}
	var row, other *Row
	waitFor(t, fmt.Sprintf("%d to %d writes on both nodes", least, most), func() bool {
		row, other = a.serving.catalogue.row(testSite, "x"), b.serving.catalogue.row(testSite, "x")
		return row != nil && other != nil && row.Revision == other.Revision && row.Revision >= least && row.Revision <= most
	})
	if !reflect.DeepEqual(row.whole(), other.whole()) {
		t.Errorf("the nodes disagree:\n%+v\n%+v", row, other)
	}
	if int64(len(row.Item().Fields)) != row.Revision {
		t.Errorf("%d writes, but %d fields: an update was lost", row.Revision, len(row.Item().Fields))
	}
}

// TestNodeJoinsWhileAnotherWrites: a write that reaches topic and online store between the moment when a node reads its
// base and the moment when it starts to follow is not lost on that node.
func TestNodeJoinsWhileAnotherWrites(t *testing.T) {
	a := start(t)
	b, follow := neighbour(t, a)
	a.put(`{"item_id":"x","title":"written meanwhile"}`)
	waitFor(t, "the online store to have the offset of the write", func() bool {
		stored := false
		a.must(a.online.Scan(t.Context(), onlinestore.OffsetPrefix(event.TopicItems), func(row onlinestore.Row) error {
			stored = stored || row.Offset == 0
			return nil
		}))
		return stored
	})
	follow()
	if r := b.put(`{"item_id":"x","brand":"b"}`); r.Accepted != 1 {
		t.Fatalf("the joined node's write: %+v", r)
	}
	if row := b.serving.catalogue.row(testSite, "x"); row.Title() != "written meanwhile" || row.Brand != "b" || row.Revision != 2 {
		t.Errorf("on the joined node: %+v", row)
	}
}

// waitLimit is far beyond what any wait here takes on a busy machine: to meet it is a failure, not slowness.
const waitLimit = time.Minute

// waitFor looks until a condition holds, and fails the test with what it waited for when it never does.
func waitFor(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), waitLimit)
	defer cancel()
	for !holds() {
		if err := pause(ctx, afterEventFirst); err != nil {
			tb.Fatalf("waited %v in vain for %s", waitLimit, what)
		}
	}
}

// TestRestartLoadsTheBase: a node that starts later reads the rows from the online store and only the rest of the topic.
func TestRestartLoadsTheBase(t *testing.T) {
	a := start(t)
	a.put(`{"item_id":"x","title":"one"}`, `{"item_id":"y"}`)
	a.put(`{"item_id":"x","title":"two"}`)
	waitFor(t, "the base to follow memory", func() bool { // the base follows memory
		fresh := &Catalogue{sites: map[string]*siteItems{}, shared: newSharedTexts(), online: a.online}
		a.must(fresh.loadBase(t.Context(), a.marker()))
		row := fresh.row(testSite, "x")
		return row != nil && row.Title() == "two" && fresh.size(testSite) == 2
	})
	waitFor(t, "the applied offsets to follow the topic", func() bool {
		fresh := &Catalogue{sites: map[string]*siteItems{}, shared: newSharedTexts(), online: a.online, control: a.control, log: a.client}
		a.must(fresh.loadBase(t.Context(), a.marker()))
		starts, err := fresh.readPositions(t.Context())
		a.must(err)
		sum := int64(0)
		for _, p := range starts {
			sum += p.next
		}
		return sum == 3 // nothing would be read again
	})
	b, _ := neighbour(t, a)
	if row := b.serving.catalogue.row(testSite, "x"); row == nil || row.Title() != "two" || row.Revision != 2 {
		t.Errorf("after a restart: %+v", row)
	}
}

// TestRecreatedTopicStops: a log that ends before what was applied is another log; to go on would mix two histories.
func TestRecreatedTopicStops(t *testing.T) {
	h := newHouse(t).open()
	h.must(h.serving.catalogue.putReached(t.Context(), 0, position{epoch: 1, next: 500}, h.marker()))
	h.must(h.serving.loadCatalogue(t.Context()))
	err := h.serving.catalogue.follow(t.Context(), slog.New(slog.DiscardHandler))
	var above *kafka.ErrAboveEnd
	if !errors.As(err, &above) || !strings.Contains(err.Error(), "millrace topics adopt") {
		t.Fatalf("follow: %v", err)
	}
	// After adoption the epoch is another, and the new log is read from its start.
	_, err = h.control.AdoptTopic(t.Context(), event.TopicItems, 2)
	h.must(err)
	starts, err := h.serving.catalogue.readPositions(t.Context())
	if err != nil || starts[0].next != 0 || starts[0].epoch != 2 {
		t.Fatalf("positions %v, %v", starts, err)
	}
}

// TestForeignRecordIsSkipped: another program's garbage in the topic costs its own record only.
func TestForeignRecordIsSkipped(t *testing.T) {
	h := start(t)
	h.must(h.deps.Producer.Produce(t.Context(), []kafka.Record{
		{Topic: event.TopicItems, Partition: 0, Key: []byte("x"), Value: []byte("garbage")},
		{Topic: event.TopicItems, Partition: 1, Key: []byte("x"), Value: nil},
	}))
	for i := range 4 { // both partitions get some
		if r := h.put(`{"item_id":"after` + strconv.Itoa(i) + `"}`); r.Accepted != 1 {
			t.Errorf("%+v", r)
		}
	}
}

// FuzzRows: whatever a bulk body holds, every row gets one verdict and an accepted row encodes.
func FuzzRows(f *testing.F) {
	for _, seed := range []string{
		`[{"item_id":"a","price":1}]`, "{\"item_id\":\"a\"}\n{\"item_id\":\"b\",\"fields\":{\"x\":[1,\"y\"]}}", `{"item_id":"a","categories":"x","available":null}`,
		`{"item_id":"a","expires_at":1767225600000}`, "[", "null", "{}\n[]\n1",
	} {
		f.Add([]byte(seed))
	}
	c := &Catalogue{sites: map[string]*siteItems{}, shared: newSharedTexts(), now: func() time.Time { return noon }}
	f.Fuzz(func(t *testing.T, body []byte) {
		rows, p := splitRows(body)
		if p != nil {
			if p.Status < 400 || p.Detail == "" {
				t.Errorf("a problem that says nothing: %+v", *p)
			}
			return
		}
		for _, raw := range rows {
			id, patch, refused := decodeRow(raw)
			if refused != nil {
				if refused.Code == "" || refused.Detail == "" {
					t.Errorf("a verdict that says nothing: %+v", *refused)
				}
				continue
			}
			var report UpsertReport
			staged, rest, err := c.stage(testSite, []change{{id: id, patch: patch}}, &report)
			if err != nil || len(rest) != 0 || len(staged)+len(report.Rejected) != 1 {
				t.Errorf("row %q: %d staged, %d rejected, %d left, %v", raw, len(staged), len(report.Rejected), len(rest), err)
			}
			for _, s := range staged {
				if back, err := decodeRecord(s.value, c.shared); err != nil || !reflect.DeepEqual(back.whole(), s.row) {
					t.Errorf("row %q comes back as %+v, %v", raw, back, err)
				}
			}
		}
	})
}

// TestNothingNewIsSaidOfTheNewestRow: a node that has not yet what another one acknowledged neither takes a change for what is so
// already, nor an item for unknown.
func TestNothingNewIsSaidOfTheNewestRow(t *testing.T) {
	a := start(t)
	a.put(`{"item_id":"x","available":false}`)
	b, follow := neighbour(t, a)
	a.put(`{"item_id":"x","available":true}`, `{"item_id":"y"}`) // b does not know yet
	var wg sync.WaitGroup
	wg.Go(func() {
		if report := b.put(`{"item_id":"x","available":false}`); report.Accepted != 1 || report.Unchanged != 0 {
			t.Errorf("%+v", report)
		}
	})
	wg.Go(func() {
		if w := b.do(http.MethodPatch, "/v1/items/y", `{"brand":"b"}`); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	time.AfterFunc(20*time.Millisecond, follow)
	wg.Wait()
	a.until("both nodes have b's word", func() bool {
		row := a.serving.catalogue.row(testSite, "x")
		return !row.Available && row.Revision == 3
	})
}
