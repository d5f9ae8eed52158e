package serving

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/feed"
)

// feedHouse serves with feeds from a directory; write puts a feed there.
func feedHouse(t *testing.T) (h *house, write func(text string)) {
	h = newHouse(t)
	dir := t.TempDir()
	h.cfg.Feeds = feed.Source{Dir: dir}
	h.run()
	n := 0
	return h, func(text string) {
		h.must(os.WriteFile(filepath.Join(dir, "shop.csv"), []byte(text), 0o600))
		n++
		at := noon.Add(time.Duration(n) * time.Minute) // two writes within a tick of the file system's clock are two versions
		h.must(os.Chtimes(filepath.Join(dir, "shop.csv"), at, at))
	}
}

// table is a feed of the items with these numbers.
func table(numbers ...int) string {
	var b strings.Builder
	b.WriteString("id,title,price,availability\n")
	for _, n := range numbers {
		fmt.Fprintf(&b, "f%d,Thing %d,%d.50 EUR,in_stock\n", n, n, n)
	}
	return b.String()
}

// runFeed reads what is due and tells what came of it.
func (h *house) runFeed() feedLastly {
	h.tb.Helper()
	h.serving.feeds.round(h.tb.Context())
	w := h.do(http.MethodGet, "/v1/feeds/main", "")
	last := decode[feedAnswer](h.tb, w.Body).LastRun
	if last == nil {
		h.tb.Fatal("the feed was not read")
	}
	return *last
}

func (h *house) available() (found []string) {
	h.serving.catalogue.all(testSite, func(r *Row) bool {
		if r.eligible(noon) {
			found = append(found, r.ItemID)
		}
		return true
	})
	slices.Sort(found)
	return found
}

// A feed brings its items, changes what it says otherwise, and takes away what it has no more, unless that is so much that it must
// have been cut.
func TestFeedIsTheCatalogue(t *testing.T) {
	h, write := feedHouse(t)
	ten := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	write(table(ten...) + "f11,Bad,x,in_stock\n,No id,1,in_stock\n")
	if w := h.do(http.MethodPut, "/v1/feeds/main", `{"place":"shop.csv","every_minutes":60,"missing":"unavailable"}`); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	last := h.runFeed()
	if r := last.Report; last.State != "done" || r.Accepted != 10 || r.Rejected != 2 || len(r.Faults) != 2 || r.Faults[0].Entry != 11 {
		t.Fatalf("first run: %+v %+v", last, r)
	}
	if row := h.serving.catalogue.row(testSite, "f7"); row == nil || row.Title() != "Thing 7" || *row.Price != 7.5 || row.Currency() != "EUR" {
		t.Errorf("f7 is %+v", row)
	}
	job := last.JobID
	if last = h.runFeed(); last.JobID != job {
		t.Error("it was read again before its time")
	}
	again := func(force bool) feedLastly {
		if w := h.do(http.MethodPost, fmt.Sprintf("/v1/feeds/main:run?force=%v", force), ""); w.Code != http.StatusAccepted {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return h.runFeed()
	}
	if r := again(false).Report; r.Unchanged != 10 || r.Accepted != 10 || r.Removed != 0 {
		t.Errorf("the same again: %+v", r)
	}
	write(table(ten[:8]...))
	if last = again(false); last.Report.Removed != 2 || h.serving.catalogue.row(testSite, "f9").Available {
		t.Errorf("with eight of ten: %+v, available %v", last.Report, h.available())
	}
	write(table(1, 2, 20))
	if last = again(false); last.State != "failed" || !strings.Contains(last.Detail, "force") || len(h.available()) != 9 {
		t.Errorf("with two of eight: %+v, available %v", last, h.available())
	}
	if last = again(true); last.State != "done" || !slices.Equal(h.available(), []string{"f1", "f2", "f20"}) {
		t.Errorf("forced: %+v, available %v", last, h.available())
	}
	write(table(1)[:40] + "\xff\"")
	write("<rss><channel><item><id>f1</id></item>")
	if last = again(true); last.State != "failed" || len(h.available()) != 3 {
		t.Errorf("of a feed that broke off: %+v, available %v", last, h.available())
	}
	write(table(2))
	h.do(http.MethodPut, "/v1/feeds/main", `{"place":"shop.csv","every_minutes":60,"missing":"delete","max_removed_share":1}`)
	if again(false); !slices.Equal(h.available(), []string{"f2"}) || !h.serving.catalogue.row(testSite, "f1").Deleted {
		t.Errorf("with deletion: available %v", h.available())
	}
	if w := h.do(http.MethodDelete, "/v1/feeds/main", ""); w.Code != http.StatusNoContent || len(h.available()) != 1 {
		t.Errorf("deleted: %d", w.Code)
	}
	for _, path := range []string{"GET /v1/feeds/main", "DELETE /v1/feeds/main", "POST /v1/feeds/main:run"} {
		method, path, _ := strings.Cut(path, " ")
		if w := h.do(method, path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	}
}

// A schedule reads a feed once in its time, and what has not changed is not read.
func TestFeedSchedule(t *testing.T) {
	h, write := feedHouse(t)
	now := noon
	h.serving.feeds.now = func() time.Time { return now }
	write(table(1))
	h.do(http.MethodPut, "/v1/feeds/main", `{"place":"shop.csv","every_minutes":30}`)
	first := h.runFeed()
	now = now.Add(29 * time.Minute)
	if h.runFeed().JobID != first.JobID {
		t.Error("it was read too early")
	}
	now = now.Add(time.Minute)
	if second := h.runFeed(); second.JobID == first.JobID || !second.Report.NotModified {
		t.Errorf("half an hour later: %+v", second)
	}
	daily := FeedSettings{At: "04:30", Zone: "Europe/Vienna"}
	begun := time.Date(2026, 3, 28, 3, 30, 0, 0, time.UTC) // 04:30 in Vienna, a day before the clocks go forward
	for at, due := range map[string]bool{"2026-03-28T23:00:00Z": false, "2026-03-29T02:29:59Z": false, "2026-03-29T02:30:00Z": true, "2026-03-31T00:00:00Z": true} {
		now, err := time.Parse(time.RFC3339, at)
		h.must(err)
		if daily.due(begun, now) != due {
			t.Errorf("due at %s is %v", at, !due)
		}
	}
	for _, bad := range []string{
		`{"place":"shop.csv"}`, `{"place":"../x","every_minutes":60}`, `{"place":"shop.csv","every_minutes":1}`, `{"place":"shop.csv","every_minutes":60,"at":"04:30"}`,
		`{"place":"shop.csv","at":"25:00"}`, `{"place":"shop.csv","at":"04:30","zone":"Nowhere"}`, `{"place":"ftp://x","every_minutes":60}`,
		`{"place":"shop.csv","every_minutes":60,"missing":"burn"}`, `{"place":"shop.csv","every_minutes":60,"mapping":{"a":"b"}}`, `{"place":"shop.csv","every_minutes":60,"x":1}`,
	} {
		if w := h.do(http.MethodPut, "/v1/feeds/other", bad); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", bad, w.Code, w.Body)
		}
	}
}

// An item that the feed has is not missing for what is wrong with its entry, and one that came while the feed was read cannot be in it.
func TestFeedTakesNothingThatItCannotKnow(t *testing.T) {
	h := newHouse(t)
	h.cfg.Feeds = feed.Source{Private: true}
	h.run()
	h.put(`{"item_id":"f1"}`, `{"item_id":"gone"}`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h.do(http.MethodPut, "/v1/items/new", `{"title":"New"}`)
		_, _ = io.WriteString(w, "id,title,price\nf1,"+strings.Repeat("x", 2000)+",1\nf2,Two,2\n")
	}))
	defer server.Close()
	settings := fmt.Sprintf(`{"place":%q,"every_minutes":60,"missing":"delete","max_removed_share":1}`, server.URL+"/shop.csv")
	h.must(h.control.PutFeed(t.Context(), control.Feed{Site: testSite, Name: "main", Settings: json.RawMessage(settings)}))
	last := h.runFeed()
	if r := last.Report; r == nil || r.Rejected != 1 || r.Removed != 1 || !slices.Equal(h.available(), []string{"f1", "f2", "new"}) {
		t.Errorf("%+v %+v, available %v", last, r, h.available())
	}
}

// A feed that a stopping node broke off is read again by the next, and not at its next time.
func TestFeedThatWasBrokenOffIsReadAgain(t *testing.T) {
	h := newHouse(t)
	h.cfg.Feeds = feed.Source{Private: true}
	h.run()
	stopping, stop := context.WithCancel(t.Context())
	first := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _ = io.WriteString(w, table(1)); !first {
			return
		}
		first = false
		_ = http.NewResponseController(w).Flush()
		stop()
		<-r.Context().Done()
	}))
	defer server.Close()
	settings := fmt.Sprintf(`{"place":%q,"every_minutes":600}`, server.URL+"/shop.csv")
	h.must(h.control.PutFeed(t.Context(), control.Feed{Site: testSite, Name: "main", Settings: json.RawMessage(settings)}))
	h.serving.feeds.round(stopping)
	shown := decode[feedAnswer](t, h.do(http.MethodGet, "/v1/feeds/main", "").Body)
	if shown.LastRun == nil || shown.LastRun.State != "cancelled" || !shown.Requested {
		t.Fatalf("broken off: %+v", shown)
	}
	if last := h.runFeed(); last.State != "done" || last.Report.Accepted != 1 {
		t.Errorf("again: %+v", last)
	}
}

// While another node reads a feed, this one leaves it alone; a site sees its own feeds only.
func TestFeedIsReadOnce(t *testing.T) {
	h, write := feedHouse(t)
	write(table(1))
	h.do(http.MethodPut, "/v1/feeds/main", `{"place":"shop.csv","every_minutes":30}`)
	lease, err := h.control.AcquireLease(t.Context(), "feed/"+testSite+"/main", "another node", time.Minute)
	h.must(err)
	h.serving.feeds.round(t.Context())
	if len(h.available()) > 0 {
		t.Error("two nodes read it")
	}
	h.must(h.control.ReleaseLease(t.Context(), lease))
	if h.runFeed(); len(h.available()) != 1 {
		t.Error("it was not read afterwards")
	}
	if feeds := decode[feedList](t, h.do(http.MethodGet, "/v1/feeds", "").Body); len(feeds.Feeds) != 1 || feeds.Feeds[0].LastRun.Report.Accepted != 1 {
		t.Errorf("listed: %+v", feeds)
	}
}
