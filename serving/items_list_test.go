package serving

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/filter"
)

// listed asks for a list page by page.
func (h *house) listed(query url.Values, limit int) (found []string, total int) {
	h.tb.Helper()
	query.Set("limit", fmt.Sprint(limit))
	for pages := 0; ; pages++ {
		w := h.do(http.MethodGet, "/v1/items?"+query.Encode(), "")
		if w.Code != http.StatusOK || pages > 1_000 {
			h.tb.Fatalf("%v: %d %s", query, w.Code, w.Body)
		}
		page := decode[itemPage](h.tb, w.Body)
		for _, it := range page.Items {
			found = append(found, it.ItemID)
		}
		total = page.Total
		if page.NextPageToken == "" {
			return found, total
		}
		query.Set("page_token", page.NextPageToken)
	}
}

// Whatever is asked, the pages together have every item that fulfils it once, in order, and the total says how many.
func TestListsAreScansOfTheRows(t *testing.T) {
	h := newHouse(t).open()
	rng := rand.New(rand.NewPCG(3, 5))
	for i := range 400 {
		row := rowOf(randomItem(rng, i))
		row.Deleted = i%20 == 7
		h.serving.catalogue.stock(row)
	}
	for range 60 {
		query := url.Values{}
		var conditions []string
		ask := func(name, value, condition string) {
			if rng.IntN(3) == 0 {
				query.Set(name, value)
				conditions = append(conditions, condition)
			}
		}
		ask("category", "c1", `"c1" in item.categories`)
		ask("brand", "b2", `item.brand == "b2"`)
		ask("available", "true", "item.available")
		ask("available", "false", "!item.available")
		ask("filter", "item.price < 90.0", "item.price < 90.0")
		if slices.Contains(conditions, "item.available") && query.Get("available") == "false" {
			continue
		}
		program, err := filter.Compile(strings.Join(append(conditions, "true"), " && "))
		h.must(err)
		bound := program.Bind(&filter.Values{Now: noon})
		var want []string
		h.serving.catalogue.all(testSite, func(r *Row) bool {
			if !r.Deleted && bound.Match(r) {
				want = append(want, r.ItemID)
			}
			return true
		})
		slices.Sort(want)
		if got, total := h.listed(query, 1+rng.IntN(150)); !slices.Equal(got, want) || total != len(want) {
			t.Fatalf("%v lists %d of %d, %v\nwant %v", query, len(got), total, got, want)
		}
	}
	for _, wrong := range []string{"filter=item.prise<3", "available=maybe", "page_token=%25", "q=x&page_token=eA", "limit=0", "colour=red"} {
		if w := h.do(http.MethodGet, "/v1/items?"+wrong, ""); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", wrong, w.Code, w.Body)
		}
	}
}

// Operators find items by the beginnings of words, whole words first, also right after a change, and with a letter wrong.
func TestSearch(t *testing.T) {
	h := start(t)
	h.put(`{"item_id":"SKU-1","title":"Trail shoe","brand":"Salewa","categories":["Shoes"]}`,
		`{"item_id":"SKU-2","title":"Trailing plant in a pot","brand":"Green"}`,
		`{"item_id":"SKU-31","title":"Trail running shoe, light","brand":"Häglöfs","labels":["sale"]}`,
		`{"item_id":"x-9","title":"Lamp","available":false}`)
	search := func(text string, more ...string) []string {
		query := url.Values{"q": {text}}
		for i := 0; i < len(more); i += 2 {
			query.Set(more[i], more[i+1])
		}
		found, total := h.listed(query, 1)
		if total != len(found) {
			t.Errorf("%q: %d in all, but %v", text, total, found)
		}
		return found
	}
	for _, c := range []struct {
		text string
		want []string
	}{
		{"trail", []string{"SKU-1", "SKU-31", "SKU-2"}}, {"sho TRAIL", []string{"SKU-1", "SKU-31"}}, {"häg", []string{"SKU-31"}},
		{"sku-3", []string{"SKU-31"}}, {"sku 1", []string{"SKU-1"}}, {"tail", []string{"SKU-1", "SKU-31"}}, {"salwea", []string{"SKU-1"}}, {"lmap", []string{"x-9"}}, {"shoees", []string{"SKU-1"}},
		{"nothing", nil}, {"trail nothing", nil}, {"-", nil}, {"sale", []string{"SKU-31", "SKU-1"}},
	} {
		if got := search(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q finds %v, want %v", c.text, got, c.want)
		}
	}
	if got := search("trail", "filter", `"sale" in item.labels`); !slices.Equal(got, []string{"SKU-31"}) {
		t.Errorf("with a filter: %v", got)
	}
	h.put(`{"item_id":"SKU-1","title":"Boot"}`)
	h.do(http.MethodDelete, "/v1/items/x-9", "")
	if got := search("boot"); !slices.Equal(got, []string{"SKU-1"}) {
		t.Errorf("after it became a boot: %v", got)
	}
	if got := append(search("lamp"), search("trail shoe")...); !slices.Equal(got, []string{"SKU-31"}) {
		t.Errorf("after changes: %v", got)
	}
	searches := &h.serving.catalogue.sites[testSite].search
	searches.used = noon.Add(-time.Hour)
	if h.serving.catalogue.forgetSearch(testSite); searches.words != nil || len(search("boot")) != 1 {
		t.Error("searching takes memory for ever, or finds nothing after it was given back")
	}
}

// A change with If-Match changes the revision that it was made for, and no other.
func TestIfMatch(t *testing.T) {
	h := start(t)
	for i, s := range []struct {
		method, match, body string
		status              int
		tag                 string
	}{
		{"PUT", `"1"`, `{"title":"A"}`, 412, ""},
		{"PUT", `*`, `{"title":"A"}`, 412, ""},
		{"PUT", ``, `{"title":"A"}`, 201, `"1"`},
		{"PATCH", `"1"`, `{"title":"B"}`, 200, `"2"`},
		{"PATCH", `"1"`, `{"title":"C"}`, 412, ""},
		{"PATCH", `"1"`, `{"title":"B"}`, 412, ""}, // also where nothing would change
		{"PUT", `*`, `{"title":"D"}`, 200, `"3"`},
		{"PATCH", `3`, `{"title":"E"}`, 400, ""},
		{"PATCH", `W/"3"`, `{"title":"E"}`, 400, ""},
		{"DELETE", `"2"`, "", 412, ""},
		{"DELETE", `"3"`, "", 204, ""},
		{"DELETE", `"3"`, "", 412, ""},
	} {
		w := h.do(s.method, "/v1/items/x", s.body, "If-Match", s.match)
		if w.Code != s.status || w.Header().Get("ETag") != s.tag && s.tag != "" {
			t.Errorf("step %d, %s of %s: %d %s %s", i, s.method, s.match, w.Code, w.Header().Get("ETag"), w.Body)
		}
	}
}

// A bulk body may be packed, and one that unpacks to more than the limit is given up.
func TestPackedBulk(t *testing.T) {
	h := start(t)
	packed := func(plain []byte) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write(plain)
		h.must(err)
		h.must(w.Close())
		return b.String()
	}
	w := h.do(http.MethodPost, "/v1/items:bulk", packed([]byte("{\"item_id\":\"a\"}\n{\"item_id\":\"b\"}\n")), "Content-Encoding", "gzip")
	if got := decode[UpsertReport](t, w.Body); w.Code != 200 || got.Accepted != 2 {
		t.Errorf("%d %+v", w.Code, got)
	}
	bomb := packed(bytes.Repeat([]byte(" "), MaxBulkBytes+1))
	for _, c := range []struct {
		body, encoding string
		status         int
	}{{bomb, "gzip", 413}, {bomb[:20], "gzip", 400}, {"[]", "gzip", 400}, {"[]", "br", 400}} {
		if w := h.do(http.MethodPost, "/v1/items:bulk", c.body, "Content-Encoding", c.encoding); w.Code != c.status {
			t.Errorf("%d bytes of %s: %d %s", len(c.body), c.encoding, w.Code, w.Body)
		}
	}
}
