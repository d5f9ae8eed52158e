package event

import (
	"testing"
	"time"
)

func TestCleanURL(t *testing.T) {
	for raw, want := range map[string]string{
		"https://shop.example/p/1":                          "https://shop.example/p/1",
		"https://shop.example/p?color=red&size=2#top":       "https://shop.example/p?color=red&size=2#top",
		"https://shop.example/p?token=x":                    "https://shop.example/p",
		"https://shop.example/p?a=1&PASSWORD=x&b&=3":        "https://shop.example/p?a=1&b&=3",
		"https://shop.example/p?e%6Dail=a@b.c&a=1":          "https://shop.example/p?a=1",
		"https://shop.example/p?q=token":                    "https://shop.example/p?q=token",
		"https://me:pw@shop.example/p":                      "https://shop.example/p",
		"https://shop.example/@me?x=a@b":                    "https://shop.example/@me?x=a@b",
		"https://shop.example/#access_token=x&state=1":      "https://shop.example/#state=1",
		"https://shop.example/#/login?token=x&next=%2Fhome": "https://shop.example/#/login?next=%2Fhome",
		"https://shop.example/?sid=1#/login?token=x":        "https://shop.example/#/login",
		"/relative?token=x&y=1":                             "/relative?y=1",
		"":                                                  "",
	} {
		if got := cleanURL(raw); got != want {
			t.Errorf("cleanURL(%q) = %q, want %q", raw, got, want)
		}
	}
}

// TestAdmitCleansURLs: whatever door an event comes through, no token and no address of a person stays in its URLs.
func TestAdmitCleansURLs(t *testing.T) {
	for _, imported := range []bool{false, true} {
		e := Event{Type: PageView, AnonymousID: "b", Page: &Page{
			URL: "https://me:pw@shop.example/p?token=x&size=2", Referrer: "https://mail.example/?email=a%40b.c",
		}}
		if p := e.Admit(AdmitInput{Site: DefaultSite, ReceivedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Import: imported}); p != nil {
			t.Fatal(p)
		}
		if e.Page.URL != "https://shop.example/p?size=2" || e.Page.Referrer != "https://mail.example/" {
			t.Errorf("import %v: %+v", imported, *e.Page)
		}
	}
}
