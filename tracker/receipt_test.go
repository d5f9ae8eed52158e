package tracker

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/event"
)

func TestReceipt(t *testing.T) {
	add := func(c *receipt, tab string, seqs ...int64) {
		for _, seq := range seqs {
			c.add(&event.Event{TabID: tab, Seq: &seq})
		}
	}
	var c receipt
	add(&c, "aa", 3, 4, 5)
	add(&c, "b0", 9)
	add(&c, "aa", 6, 8) // 7 is not among them: it must not be covered
	add(&c, "Bad;id", 1)
	c.add(&event.Event{TabID: "aa"})
	if got, want := c.String(), "aa-3-6.b0-9-9.aa-8-8"; got != want {
		t.Errorf("receipt %q, want %q", got, want)
	}
	for i := range int64(20) {
		add(&c, "aa", 100+2*i)
	}
	if len(c.runs) != maxReceiptRuns {
		t.Errorf("%d runs, want %d at most", len(c.runs), maxReceiptRuns)
	}
}

// A cookie for a whole public suffix would be refused by browsers, or worse be shared by strangers.
func TestCookieDomain(t *testing.T) {
	for _, c := range []struct {
		origin, host, domain string
		ok                   bool
	}{
		{"http://127.0.0.1:8080", "127.0.0.1:8080", "", true},
		{"https://shop.example.com", "shop.example.com", "", true},
		{"https://www.example.co.uk", "events.example.co.uk:8443", "example.co.uk", true},
		{"https://one.co.uk", "two.co.uk", "", false},
		{"https://one.github.io", "two.github.io", "", false},
		{"https://shop.example.com", "millrace.example.net", "", false},
		{"http://127.0.0.1:8080", "127.0.0.2:8080", "", false},
		{"null", "shop.example.com", "", false},
	} {
		if domain, ok := cookieDomain(c.origin, c.host); domain != c.domain || ok != c.ok {
			t.Errorf("page %s, collector %s: %q %v, want %q %v", c.origin, c.host, domain, ok, c.domain, c.ok)
		}
	}
}

// Only a page that could read it gets a receipt, and only for what was taken: an event in it would not be sent again.
func TestReceiptInAnswer(t *testing.T) {
	d := newDoor(t)
	body := []byte(`[{"type":"page_view","anonymous_id":"a","tab_id":"t1","seq":7},{"type":"?","anonymous_id":"a","tab_id":"t1","seq":8},` +
		`{"type":"page_view","tab_id":"t1","seq":9,"consent":{"personalization":false}}]`)
	got := d.send(t, d.open, body, "Origin", d.url).header
	if cookie := receiptOf(got); cookie != "mr.r1=t1-7-7; Path=/; Max-Age=60; SameSite=Lax" {
		t.Errorf("cookie %q", cookie)
	}
	if got.Get("Access-Control-Allow-Credentials") != "true" {
		t.Error("the browser would not keep it")
	}
	next := []byte(`[{"type":"page_view","anonymous_id":"a","tab_id":"t1","seq":8},{"type":"page_view","anonymous_id":"a","tab_id":"t1","seq":11}]`)
	for sent, want := range map[string]string{
		"mr.r3=t1-5-7": "mr.r3=t1-5-8.t1-11-11; ", // goes on where that ended
		"mr.r3=t1-7-7; mr.r4=t1-2-4; mr.r5=t1-5-6": "mr.r4=t1-2-8.t1-11-11; ", // and that where another one did
		"mr.r3=t1-5-6": "t1-8-8.t1-11-11; ", // 7 is missing
		"mr.r3=t2-5-7": "t1-8-8.t1-11-11; ",
		"mr.r3=t1-9-7": "t1-8-8.t1-11-11; ",
		"mr.r3=x;y":    "t1-8-8.t1-11-11; ",
		"mr.q=t1-5-7":  "t1-8-8.t1-11-11; ",
	} {
		if cookie := receiptOf(d.send(t, d.open, next, "Origin", d.url, "Cookie", sent).header); !strings.Contains(cookie, want) {
			t.Errorf("with %s: cookie %q", sent, cookie)
		}
	}
	for _, headers := range [][]string{{"Origin", shopOrigin}, nil} {
		if cookie := receiptOf(d.send(t, d.open, body, headers...).header); cookie != "" {
			t.Errorf("%v: cookie %q for somebody who cannot read it", headers, cookie)
		}
	}
}

// receiptOf is the receipt among the cookies of an answer, empty where there is none.
func receiptOf(h http.Header) string {
	for _, cookie := range h.Values("Set-Cookie") {
		if strings.HasPrefix(cookie, receiptName) {
			return cookie
		}
	}
	return ""
}
