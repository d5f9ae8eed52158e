package serving

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/httpserver"
)

// busyShop has 5,000 items, 20,000 training sessions and a visitor with 60 events.
func busyShop(b *testing.B) *house { return shopOf(b, 5_000) }

// shopOf is a busyShop of so many items.
func shopOf(b *testing.B, items int) *house {
	h := newHouse(b).open()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range items {
		price := float64(rng.IntN(100))
		h.serving.catalogue.stock(rowOf(Item{
			ItemID: itemName(i), Title: fmt.Sprintf("Item %d", i), Categories: []string{fmt.Sprintf("c%d", i%40)}, Price: &price,
			Currency: "EUR", Available: true, URL: "/p/" + itemName(i),
		}))
	}
	h.must(h.serving.similar.fill(b.Context()))
	near := func(i int) string { return itemName((i + rng.IntN(60)) % items) }
	sessions := make([][]string, 20_000)
	for s := range sessions {
		topic := rng.IntN(items)
		for range 3 + rng.IntN(6) {
			sessions[s] = append(sessions[s], near(topic))
		}
	}
	h.train(sessions)
	h.serving.models.poll(b.Context(), testSite)
	for i := range 60 {
		h.happen(parseEvent(b, fmt.Sprintf("%dm a=fan type=view_item items=%s category=c%d", 60-i, near(100), i%5)))
	}
	for i := range 1_000 {
		h.happen(parseEvent(b, fmt.Sprintf("%dm a=crowd type=view_item items=%s", 1_000-i, near(rng.IntN(items)))))
	}
	h.refresh()
	return h
}

// BenchmarkRecommend is the handler, beside one that answers the same bytes without thinking: the difference is the
// recommendation, the rest is HTTP, keys and JSON.
func BenchmarkRecommend(b *testing.B) {
	h := busyShop(b)
	for _, c := range []struct{ name, body string }{
		{"home", `{"placement":"home","anonymous_id":"fan","dry_run":true}`},
		{"home_logged", `{"placement":"home","anonymous_id":"fan"}`},
		{"home_diverse", `{"placement":"home","anonymous_id":"fan","diversity":0.3,"dry_run":true}`},
		{"session", `{"placement":"session","anonymous_id":"fan","dry_run":true}`},
		{"item", `{"placement":"item","item_ids":["i100"],"dry_run":true}`},
		{"item_filter", `{"placement":"item","item_ids":["i100"],"filter":"item.available && item.price < 50.0 && item.title != 'Item 7'","dry_run":true}`},
		{"home_filter", `{"placement":"home","anonymous_id":"fan","filter":"item.available && item.price < 50.0 && 'c7' in item.categories","dry_run":true}`},
		{"session_exclude", excluding(`{"placement":"session","anonymous_id":"fan","dry_run":true}`, 5_000)},
		{"explore", `{"placement":"explore","anonymous_id":"fan","dry_run":true}`},
		{"popular", `{"placement":"popular","dry_run":true}`},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkHandler(b, h.router, h.secret, c.body) })
	}
	layFresh(b, h)
	b.Run("session_over", func(b *testing.B) {
		benchmarkHandler(b, h.router, h.secret, `{"placement":"session","anonymous_id":"fan","dry_run":true}`)
	})
	b.Run("item_over", func(b *testing.B) {
		benchmarkHandler(b, h.router, h.secret, `{"placement":"item","item_ids":["i100"],"dry_run":true}`)
	})
	answer := h.ask(`{"placement":"home","anonymous_id":"fan","dry_run":true}`)
	constant := chi.NewRouter()
	constant.Post("/v1/recommend", func(w http.ResponseWriter, r *http.Request) {
		var q Request
		if p := httpserver.ReadJSON(w, r, MaxRequestBytes, &q); p != nil {
			httpserver.WriteProblem(w, r, *p)
			return
		}
		if err := httpserver.WriteJSON(w, r, http.StatusOK, answer); err != nil {
			b.Error(err)
		}
	})
	b.Run("constant", func(b *testing.B) {
		benchmarkHandler(b, constant, h.secret, `{"placement":"home","anonymous_id":"fan","dry_run":true}`)
	})
}

// layFresh lays 5,000 closed sessions over the shop's model, with 500 items that it does not know.
func layFresh(b *testing.B, h *house) {
	rng := rand.New(rand.NewPCG(3, 4))
	f := newFresh()
	for s := range 5_000 {
		topic := rng.IntN(5_500)
		f.add(closedAt(fmt.Sprint(s), 0, 1, int64(s), itemName(topic), itemName(topic+1), itemName(topic+2), itemName(topic+3)))
	}
	h.serving.overlay.sites[testSite] = f
	h.serving.overlay.renew(b.Context(), testSite, h.serving.models.of(testSite))
	if n := h.serving.models.of(testSite).fresh; n != 5_000 {
		b.Fatalf("%d sessions lie over the model", n)
	}
}

// BenchmarkExcluding is a request with 1,000 excluded items of 100,000, beside the same one without them, as it comes and as it is recorded.
func BenchmarkExcluding(b *testing.B) {
	const items = 100_000
	h := shopOf(b, items)
	for _, request := range []struct{ name, body string }{
		{"home", `{"placement":"home","anonymous_id":"fan"}`},
		{"session", `{"placement":"session","anonymous_id":"fan"}`},
		{"item", `{"placement":"item","item_ids":["i100"]}`},
	} {
		b.Run(request.name, func(b *testing.B) { benchmarkHandler(b, h.router, h.secret, request.body) })
		b.Run(request.name+"_excluding", func(b *testing.B) { benchmarkHandler(b, h.router, h.secret, excluding(request.body, items)) })
	}
}

func benchmarkHandler(b *testing.B, handler http.Handler, secret, body string) {
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/v1/recommend", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+secret)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

// BenchmarkUpsert writes 1,000 rows through the log and waits until they are in force.
// BenchmarkArm is what experiments cost a request: where none runs on its placement, and where one does.
func BenchmarkArm(b *testing.B) {
	h := start(b)
	h.runs(fleet("home"))
	v := &visitor{}
	for _, placement := range []string{"popular", "home"} {
		b.Run(placement, func(b *testing.B) {
			request := &Request{Placement: placement, AnonymousID: "0190aaaa-0000-7000-8000-000000000000"}
			b.ReportAllocs()
			for b.Loop() {
				h.serving.experiments.arm(b.Context(), testSite, request, v)
			}
		})
	}
}

func BenchmarkUpsert(b *testing.B) {
	h := start(b)
	rows := make([]json.RawMessage, 1_000)
	for n := 0; b.Loop(); n++ {
		for i := range rows {
			rows[i] = json.RawMessage(fmt.Sprintf(`{"item_id":"i%d","title":"Item","price":%d}`, i, n))
		}
		report, err := h.serving.catalogue.Upsert(b.Context(), testSite, rows)
		if err != nil || report.Accepted != len(rows) {
			b.Fatal(report, err)
		}
	}
	b.ReportMetric(float64(len(rows))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// excluding adds as many excluded items to a request as it may have, from all over a shop.
func excluding(request string, items int) string {
	ids := make([]string, MaxExcludeIDs)
	for i := range ids {
		ids[i] = strconv.Quote(itemName(i * (items / MaxExcludeIDs)))
	}
	return strings.TrimSuffix(request, "}") + `,"exclude_ids":[` + strings.Join(ids, ",") + "]}"
}
