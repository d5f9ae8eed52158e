package onlinestore

import (
	"strings"
	"testing"
)

// hostile are ids that would be ambiguous in a key that did not escape them.
var hostile = []string{"b1", "x:1", "x", "a/b", "..", "%41", "%", "ü ", "x:a:y", "/", ":"}

func TestKeysRoundTrip(t *testing.T) {
	for _, id := range hostile {
		for _, kind := range []string{KindBrowser, KindUser} {
			want := Partial{Site: "s-1", Kind: kind, ID: id, N: 12}
			if got, err := ParseProfileKey(ProfileKey(want)); err != nil || got != want {
				t.Errorf("profile %+v came back as %+v, %v", want, got, err)
			}
		}
		if site, browser, err := ParseNewestKey(NewestKey("s", id)); err != nil || site != "s" || browser != id {
			t.Errorf("newest of %q came back as %q %q %v", id, site, browser, err)
		}
		for _, user := range hostile {
			want := Link{Site: "s", User: user, Browser: id, N: 3}
			if got, err := ParseLinkKey(LinkKey(want)); err != nil || got != want {
				t.Errorf("link %+v came back as %+v, %v", want, got, err)
			}
		}
		share := ItemShare{Site: "s", Item: id, Partition: 15}
		if got, err := ParseItemKey(ItemKey(share)); err != nil || got != share {
			t.Errorf("item %+v came back as %+v, %v", share, got, err)
		}
		if site, item, err := ParseCatalogKey(CatalogKey("s", id)); err != nil || site != "s" || item != id {
			t.Errorf("catalogue item %q came back as %q %q %v", id, site, item, err)
		}
	}
	site := SiteShare{Site: "s-1", Partition: 15}
	if got, err := ParseSiteKey(SiteKey(site)); err != nil || got != site {
		t.Errorf("site %+v came back as %+v, %v", site, got, err)
	}
	if topic, p, err := ParseOffsetKey(OffsetKey("millrace.items", 7)); err != nil || topic != "millrace.items" || p != 7 {
		t.Errorf("offset key came back as %q %d %v", topic, p, err)
	}
}

// TestPrefixesEndAtTheID would fail if the rows of one id showed up among those of another whose name starts alike.
func TestPrefixesEndAtTheID(t *testing.T) {
	for _, a := range hostile {
		for _, b := range hostile {
			if a == b {
				continue
			}
			if key := ItemKey(ItemShare{Site: "s", Item: b, Partition: 1}); strings.HasPrefix(key, ItemPrefix("s", a)) {
				t.Errorf("share %q of item %q is found under item %q", key, b, a)
			}
			if key := LinkKey(Link{Site: "s", User: b, Browser: "x"}); strings.HasPrefix(key, LinkPrefix("s", a)) {
				t.Errorf("link %q of user %q is found under user %q", key, b, a)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, key := range []string{"", "p/", "p/s:a:b", "p/s:a:b:x", "p/s:z:b:0", "p/s:a::0", "n/s:a:b:0", "p/s:a:%zz:0", "p/s:a:b:0:1"} {
		if p, err := ParseProfileKey(key); err == nil {
			t.Errorf("profile key %q was read as %+v", key, p)
		}
	}
	if l, err := ParseLinkKey("link/s/u/b"); err == nil {
		t.Errorf("cut link key was read as %+v", l)
	}
	if n, err := ParseNewestValue([]byte("-1")); err == nil {
		t.Errorf("newest -1 was read as %d", n)
	}
}

func FuzzDecodeRow(f *testing.F) {
	f.Add(AppendRow(nil, Row{Version: 1, Epoch: 2, Offset: 3, Value: []byte("v")}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := DecodeRow(b)
		if err != nil {
			return
		}
		again, err := DecodeRow(AppendRow(nil, row))
		if err != nil || again.Version != row.Version || again.Epoch != row.Epoch || again.Offset != row.Offset || string(again.Value) != string(row.Value) {
			t.Fatalf("row %+v came back as %+v, %v", row, again, err)
		}
	})
}
