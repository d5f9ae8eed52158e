package tracker

import (
	"bytes"
	"encoding/json"
	"image/gif"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// TestPixel takes an event of the same schema from an address, with the visitor of the cookie, and answers an image.
func TestPixel(t *testing.T) {
	d := newDoor(t)
	query := "/v1/pixel.gif?key=" + d.open + "&type=purchase&transaction_id=o-7&value=129.95&currency=EUR&item_id=shoe-1&price=12&seq=3" +
		"&title=Thanks%20%26%20bye&props.size=42&unknown=1&rating=best&rating=2"
	refused := d.do(t, http.MethodGet, query, nil).problem(t, http.StatusBadRequest, "invalid-field")
	if !strings.Contains(refused.Detail, event.CodeWrongType) || refused.Pointer != "/rating" {
		t.Errorf("refused with %+v", refused)
	}
	query = strings.Replace(query, "&rating=best", "", 1)
	got := d.do(t, http.MethodGet, query, nil, "Referer", shopOrigin+"/thanks?email=a@b.c&x=1", "Sec-Fetch-Site", "same-site", "X-Forwarded-Proto", "https")
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "image/gif" || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d, %v: %s", got.status, got.header, got.body)
	}
	if img, err := gif.Decode(bytes.NewReader(got.body)); err != nil || img.Bounds().Dx() != 1 {
		t.Errorf("no image: %v", err)
	}
	_, events := d.landed(t)
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	e := events[0]
	if e.Type != event.Purchase || e.TransactionID != "o-7" || *e.Value != 129.95 || e.Items[0].ItemID != "shoe-1" || *e.Items[0].Price != 12 || *e.Seq != 3 ||
		e.Page.Title != "Thanks & bye" || e.Props["size"] != "42" || len(e.Props) != 1 || *e.Rating != 2 {
		t.Errorf("event %+v", e)
	}
	if e.Page.URL != shopOrigin+"/thanks?x=1" || e.NetworkPrefix != "127.0.0.0/24" {
		t.Errorf("page %+v, network %q", e.Page, e.NetworkPrefix)
	}
	cookie := got.header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, idCookie+"="+e.AnonymousID+";") || !strings.Contains(cookie, "Secure") || !strings.Contains(cookie, "SameSite=Lax") {
		t.Errorf("visitor %q, cookie %q", e.AnonymousID, cookie)
	}

	// The next one is the same visitor's.
	d.do(t, http.MethodGet, "/v1/pixel.gif?key="+d.open+"&type=page_view", nil, "Cookie", idCookie+"="+e.AnonymousID)
	if _, events := d.landed(t); len(events) != 2 || events[1].AnonymousID != e.AnonymousID && events[0].AnonymousID != e.AnonymousID {
		t.Errorf("events %+v", events)
	}
}

// TestPixelRefuses: who embeds the pixel elsewhere with a bound key, and who asks for privacy.
func TestPixelRefuses(t *testing.T) {
	d := newDoor(t)
	path := "/v1/pixel.gif?type=page_view&key="
	d.do(t, http.MethodGet, path+d.bound, nil, "Referer", "https://evil.example/p").problem(t, http.StatusForbidden, "origin-not-allowed")
	d.do(t, http.MethodGet, path+"pk_wrong", nil).problem(t, http.StatusUnauthorized, "unknown-key")
	d.do(t, http.MethodGet, path+d.secret, nil).problem(t, http.StatusUnauthorized, "secret-key-in-url")
	d.do(t, http.MethodGet, path+d.open+"&x="+strings.Repeat("y", maxPixelQuery), nil).problem(t, http.StatusBadRequest, "invalid-field")
	d.do(t, http.MethodGet, path+d.open, nil, headerGPC, "1").problem(t, http.StatusBadRequest, "invalid-field") // nobody, and no id is made
	if records, _ := d.landed(t); len(records) != 0 {
		t.Errorf("%d events landed", len(records))
	}
	for _, referer := range []string{shopOrigin + "/p", ""} {
		if got := d.do(t, http.MethodGet, path+d.bound, nil, "Referer", referer); got.status != http.StatusOK {
			t.Errorf("from %q: %d %s", referer, got.status, got.body)
		}
	}
}

// TestIDCookie is set for pages of the collector's own site that were shown, and for nobody else.
func TestIDCookie(t *testing.T) {
	d := newDoor(t)
	host := strings.TrimPrefix(d.url, "http://")
	view := []byte(`{"type":"page_view","anonymous_id":"b é;1"}`)
	for _, c := range []struct {
		name    string
		body    []byte
		headers []string
		want    bool
	}{
		{"a page of the site", view, []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"an old browser on the site", view, []string{"Origin", "http://" + host}, true},
		{"another site", view, []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://" + host}, false},
		{"no browser", view, nil, false},
		{"privacy", view, []string{"Sec-Fetch-Site", "same-origin", headerGPC, "1"}, false},
		{"no page", []byte(`{"type":"search","anonymous_id":"b"}`), []string{"Sec-Fetch-Site", "same-origin"}, false},
		{"refused", []byte(`{"type":"page_view","anonymous_id":"b","consent":{"personalization":false}}`), []string{"Sec-Fetch-Site", "same-origin"}, false},
	} {
		got := d.send(t, d.open, c.body, c.headers...)
		got.answer(t)
		cookie := got.header.Get("Set-Cookie")
		if strings.Contains(cookie, idCookie) != c.want {
			t.Errorf("%s: cookie %q", c.name, cookie)
		}
		if !c.want {
			continue
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Cookie", strings.SplitN(cookie, ";", 2)[0])
		if id := cookieID(r); id != "b é;1" {
			t.Errorf("the cookie %q is read as %q", cookie, id)
		}
	}
}

// FuzzPixel: whatever stands in a query, what is made of it is JSON, and an event that passes every check or a problem with words.
func FuzzPixel(f *testing.F) {
	f.Add("type=page_view&anonymous_id=b&value=1e9&props.a=b")
	f.Add("type=view_item&item_id=%ff&price=-0&index=01&occurred_at=2026-03-01T12:00:00Z")
	f.Add("props.=x&props=y&rec_id=r&index=2&;=&&%zz")
	received := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, raw string) {
		query, _ := url.ParseQuery(raw) // what can be read of it, as for a request
		body, err := pixelEvent(query)
		if err != nil || !json.Valid(body) {
			t.Fatalf("%q became %q, %v", raw, body, err)
		}
		e, p := event.Decode(body)
		if p == nil {
			p = e.Admit(event.AdmitInput{Site: "shop", ReceivedAt: received})
		}
		if p != nil {
			if p.Code == "" || p.Detail == "" || p.Code == event.CodeInvalidJSON || p.Code == event.CodeInvalidUTF8 {
				t.Fatalf("%q: %+v", raw, p)
			}
			return
		}
		if e.Type != query.Get("type") || e.AnonymousID != query.Get("anonymous_id") {
			t.Fatalf("%q became %+v", raw, e)
		}
	})
}

// FuzzIDCookie: whatever a Cookie header holds, an id or nobody is read, and the cookie of an id is read back as it.
func FuzzIDCookie(f *testing.F) {
	f.Add("mr_id=b-1; other=2")
	f.Add(`mr_id="%20"; mr_id=x`)
	f.Add("mr_id=%zz;mr_id")
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"Cookie": {header}}}
		id := cookieID(r)
		if id == "" {
			return
		}
		if err := event.CheckID(id); err != nil {
			t.Fatalf("%q: id %q %v", header, id, err)
		}
		w := httptest.NewRecorder()
		(&Tracker{}).keepID(w, &http.Request{Header: http.Header{"Sec-Fetch-Site": {"same-origin"}}}, id)
		set := w.Result().Cookies()
		if len(set) != 1 {
			t.Fatalf("id %q: cookies %v", id, set)
		}
		r.Header.Set("Cookie", set[0].Name+"="+set[0].Value)
		if back := cookieID(r); back != id {
			t.Fatalf("id %q came back as %q", id, back)
		}
	})
}
