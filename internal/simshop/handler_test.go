package simshop_test

import (
	"encoding/xml"
	"errors"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/simshop"
)

func shop(t *testing.T, cfg simshop.ShopConfig) http.Handler {
	t.Helper()
	h, err := simshop.Handler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

var (
	link   = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	inline = regexp.MustCompile(`(?i)<script(?:>|[^>]*[^>]>[^<])|<style|\sstyle=|\son[a-z]+=|javascript:`)
)

// Every address that a page names is there, from the home page on; no page needs anything inline.
func TestShopCrawl(t *testing.T) {
	h := shop(t, simshop.ShopConfig{WriteKey: "pk_x"})
	todo, seen := []string{"/demo/"}, map[string]bool{"/demo/": true, "/millrace.js": true}
	var items, pictures int
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		w := get(h, path)
		if w.Code != http.StatusOK {
			t.Errorf("GET %s: %d", path, w.Code)
		}
		kind := w.Header().Get("Content-Type")
		if strings.HasPrefix(path, "/demo/item/") {
			items++
		}
		if strings.HasPrefix(path, "/demo/art/") {
			pictures++
			if kind != "image/svg+xml" || w.Header().Get("Cache-Control") != "public, max-age=3600" {
				t.Errorf("GET %s: %v", path, w.Header())
			}
			if err := wellFormed(w.Body.String()); err != nil {
				t.Errorf("GET %s: %v", path, err)
			}
		}
		if !strings.HasPrefix(kind, "text/html") {
			continue
		}
		body := w.Body.String()
		if bad := inline.FindString(body); bad != "" {
			t.Errorf("GET %s: inline code %q", path, bad)
		}
		if strings.Count(body, "<h1") != 1 {
			t.Errorf("GET %s: %d main headings", path, strings.Count(body, "<h1"))
		}
		for _, m := range link.FindAllStringSubmatch(body, -1) {
			u, err := url.Parse(html.UnescapeString(m[1]))
			if err != nil {
				t.Fatal(err)
			}
			if u.Fragment != "" && !strings.Contains(get(h, "/demo/").Body.String()+body, `id="`+u.Fragment+`"`) {
				t.Errorf("GET %s: nothing is called #%s", path, u.Fragment)
			}
			u.Fragment = ""
			if to := u.String(); to != "" && !seen[to] {
				seen[to] = true
				todo = append(todo, to)
			}
		}
	}
	if items != 24 || pictures != 24 {
		t.Errorf("found %d articles and %d pictures from the home page on", items, pictures)
	}
}

func wellFormed(text string) error {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestShopHeaders(t *testing.T) {
	own := get(shop(t, simshop.ShopConfig{WriteKey: "pk_x"}), "/demo/")
	want := "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	if got := own.Header().Get("Content-Security-Policy"); got != want {
		t.Errorf("policy %s", got)
	}
	if own.Header().Get("X-Content-Type-Options") != "nosniff" || own.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("headers %v", own.Header())
	}
	other := get(shop(t, simshop.ShopConfig{WriteKey: "pk_x", BasePath: "shop", APIBase: "https://api.example.org/"}), "/shop/item/kalimba")
	if got := other.Header().Get("Content-Security-Policy"); !strings.Contains(got, "script-src 'self' https://api.example.org; connect-src 'self' https://api.example.org;") {
		t.Errorf("policy %s", got)
	}
	for _, want := range []string{
		`<script src="https://api.example.org/millrace.js" data-key="pk_x" defer>`,
		`data-api="https://api.example.org" data-base="/shop/"`,
		`src="/shop/art/kalimba.svg?v=`,
	} {
		if !strings.Contains(other.Body.String(), want) {
			t.Errorf("page lacks %s", want)
		}
	}
}

// What the beacon reads from an item page is what a view_item needs.
func TestShopDeclares(t *testing.T) {
	body := get(shop(t, simshop.ShopConfig{WriteKey: "pk_x"}), "/demo/item/kalimba").Body.String()
	for _, want := range []string{
		`data-millrace-event="view_item" data-millrace-item="kalimba" data-millrace-name="Kalimba, nine keys" data-millrace-category="music" data-millrace-brand="Low Bridge" data-millrace-price="42"`,
		`data-millrace-event="add_to_cart"`, `data-list="item"`, `data-list="session"`, "€42.00",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("page lacks %s", want)
		}
	}
}

func TestShopEscapes(t *testing.T) {
	h := shop(t, simshop.ShopConfig{WriteKey: `pk_"><script>alert(1)</script>`})
	for _, path := range []string{"/demo/", "/demo/item/%3Cscript%3Ealert(2)%3C/script%3E", "/demo/%3Cimg%20src=x%20onerror=alert(3)%3E"} {
		body := get(h, path).Body.String()
		for _, bad := range []string{"<script>alert", "<img src=x"} {
			if strings.Contains(body, bad) {
				t.Errorf("GET %s lets %s through", path, bad)
			}
		}
	}
}

func TestShopNotFound(t *testing.T) {
	h := shop(t, simshop.ShopConfig{WriteKey: "pk_x"})
	for _, path := range []string{
		"/demo/item/", "/demo/item/unheard-of", "/demo/item/kalimba/more", "/demo/art/", "/demo/assets/", "/demo/art/unheard-of.svg",
		"/demo/art/kalimba.svg/", "/demo/pages/layout.html", "/demo/nothing",
	} {
		w := get(h, path)
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "Not on our shelves.") || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("GET %s: %d", path, w.Code)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/demo/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST answers %d", w.Code)
	}
	if w := get(h, "/demo"); w.Code != http.StatusMovedPermanently && w.Code != http.StatusTemporaryRedirect || w.Header().Get("Location") != "/demo/" {
		t.Errorf("GET /demo: %d to %q", w.Code, w.Header().Get("Location"))
	}
}

// Every list that a page asks for is among those that must be opened to browsers, and no other is.
func TestPlacements(t *testing.T) {
	h := shop(t, simshop.ShopConfig{WriteKey: "pk_x"})
	asked := make(map[string]bool)
	for _, path := range []string{"/demo/", "/demo/item/kalimba", "/demo/cart", "/demo/thanks", "/demo/nothing"} {
		for _, m := range regexp.MustCompile(`data-list="([^"]*)"`).FindAllStringSubmatch(get(h, path).Body.String(), -1) {
			asked[m[1]] = true
		}
	}
	if got := slices.Sorted(maps.Keys(asked)); !slices.Equal(got, slices.Sorted(slices.Values(simshop.Placements()))) {
		t.Errorf("pages ask for %v, placements are %v", got, simshop.Placements())
	}
}

func TestShopRefuses(t *testing.T) {
	for _, cfg := range []simshop.ShopConfig{{}, {WriteKey: "pk_x", APIBase: "api.example.org"}, {WriteKey: "pk_x", APIBase: "https://api.example.org/v1"}} {
		if _, err := simshop.Handler(cfg); err == nil {
			t.Errorf("a shop was made of %+v", cfg)
		}
	}
}

func TestCatalogueRows(t *testing.T) {
	h := shop(t, simshop.ShopConfig{WriteKey: "pk_x"})
	rows := simshop.CatalogueRows("/demo")
	for _, row := range rows {
		for _, path := range []string{row.URL, row.ImageURL} {
			if w := get(h, path); w.Code != http.StatusOK {
				t.Errorf("row %s: GET %s: %d", row.ItemID, path, w.Code)
			}
		}
		if !row.Available || row.Title == "" || len(row.Categories) != 1 || row.Price <= 0 || row.Currency != "EUR" {
			t.Errorf("row %+v", row)
		}
	}
	if len(rows) != 24 {
		t.Errorf("%d rows", len(rows))
	}
}
