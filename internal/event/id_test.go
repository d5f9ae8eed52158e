package event

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestNewID(t *testing.T) {
	now := time.UnixMilli(1_772_000_000_123)
	seen := make(map[string]bool)
	for range 1000 {
		id := NewID(now)
		u, err := uuid.Parse(id)
		if err != nil || u.String() != id {
			t.Fatalf("NewID = %q is no canonical UUID: %v", id, err)
		}
		if u.Version() != 7 || u.Variant() != uuid.RFC4122 {
			t.Fatalf("%s: version %d variant %s", id, u.Version(), u.Variant())
		}
		sec, nsec := u.Time().UnixTime()
		if got := time.Unix(sec, nsec).UnixMilli(); got != now.UnixMilli() {
			t.Fatalf("%s holds the time %d, want %d", id, got, now.UnixMilli())
		}
		if seen[id] {
			t.Fatalf("%s came twice", id)
		}
		seen[id] = true
	}
	if early, late := NewID(now), NewID(now.Add(time.Millisecond)); early >= late {
		t.Errorf("ids do not sort by time: %s, %s", early, late)
	}
}

func TestCheckID(t *testing.T) {
	for _, good := range []string{"a", "1", "sku:42/é 漢", strings.Repeat("x", MaxIDBytes), "a b", "🛒"} {
		if err := CheckID(good); err != nil {
			t.Errorf("CheckID(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{"", strings.Repeat("x", MaxIDBytes+1), "a\nb", "a\x00", "\x7f", "\xff", "\ufffd", "a\u200bb", "\u2028"} {
		if CheckID(bad) == nil {
			t.Errorf("CheckID(%q) accepts it", bad)
		}
	}
}

func TestCheckSite(t *testing.T) {
	for _, good := range []string{"default", "a", "shop-2", strings.Repeat("x", MaxSiteBytes)} {
		if err := CheckSite(good); err != nil {
			t.Errorf("CheckSite(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{"", "Shop", "a_b", "a:b", "a/b", strings.Repeat("x", MaxSiteBytes+1), "ä"} {
		if CheckSite(bad) == nil {
			t.Errorf("CheckSite(%q) accepts it", bad)
		}
	}
}

func TestCheckType(t *testing.T) {
	for _, good := range []string{"view_item", "a", "a1_", strings.Repeat("x", 40)} {
		if !CheckType(good) {
			t.Errorf("CheckType(%q) = false", good)
		}
	}
	for _, bad := range []string{"", "1a", "_a", "View", "a-b", strings.Repeat("x", 41)} {
		if CheckType(bad) {
			t.Errorf("CheckType(%q) = true", bad)
		}
	}
}

func TestKey(t *testing.T) {
	for _, c := range []struct {
		event Event
		key   string
	}{
		{Event{Site: "default", AnonymousID: "b:1", UserID: "u"}, "default:a:b:1"},
		{Event{Site: "default", UserID: "u"}, "default:u:u"},
		{Event{Site: "default", EventID: "e"}, "default:e:e"},
	} {
		if got := c.event.Key(); got != c.key {
			t.Errorf("Key = %q, want %q", got, c.key)
		}
	}
}
