package onlinestore

import "testing"

func TestSlotOf(t *testing.T) {
	// From the cluster specification: CRC-16/XMODEM of "123456789" is 0x31C3.
	if got := slotOf("123456789"); got != 0x31C3%redisSlots {
		t.Fatalf("slot %d, want %d", got, 0x31C3%redisSlots)
	}
}

// TestGroupsAreForever: rows are found by the very tags that they were written under.
func TestGroupsAreForever(t *testing.T) {
	k := newRedisKeys("millrace")
	for _, c := range []struct{ key, want string }{
		{"p/default:a:browser:0", "millrace:{40}:p/default:a:browser:0"},
		{"link/default/u1/b1/0", "millrace:{28}:link/default/u1/b1/0"},
		{"i/default:item:3", "millrace:{60}:i/default:item:3"},
	} {
		if got := k.row(groupOf(c.key), c.key); got != c.want {
			t.Errorf("key %q is stored as %q, want %q", c.key, got, c.want)
		}
	}
}

func TestScopeOf(t *testing.T) {
	for _, c := range []struct {
		key, scope string
		whole      bool
	}{
		{LinkPrefix("s", "u/1"), "link/s/u%2F1/", true},
		{LinkKey(Link{Site: "s", User: "u/1", Browser: "b", N: 2}), "link/s/u%2F1/", true},
		{LinkSitePrefix("s"), "link/s/", false},
		{ItemPrefix("s", "x"), "i/s:x:", true},
		{ItemKey(ItemShare{Site: "s", Item: "x", Partition: 7}), "i/s:x:", true},
		{ItemSitePrefix("s"), "i/s:", false},
		{CatalogPrefix("s"), "c/s/", false},
		{"", "", false},
	} {
		if scope, whole := scopeOf(c.key); scope != c.scope || whole != c.whole {
			t.Errorf("scope of %q: %q, %v, want %q, %v", c.key, scope, whole, c.scope, c.whole)
		}
	}
}

func TestRedisRowKeepsOrderAndContent(t *testing.T) {
	for _, r := range []Row{
		{Key: "k", Version: -1, Epoch: -1, Offset: 1<<63 - 1, Value: []byte("v")},
		{Key: "k", Version: 3, Epoch: 1, Offset: -1 << 63},
		{Key: "k"},
	} {
		got, err := decodeRedisRow("k", string(appendRedisRow(nil, r)))
		if err != nil || got.Version != r.Version || got.Epoch != r.Epoch || got.Offset != r.Offset || string(got.Value) != string(r.Value) {
			t.Errorf("row %+v became %+v, %v", r, got, err)
		}
	}
	if _, err := decodeRedisRow("k", "short"); err == nil {
		t.Error("a cut row was read")
	}
}
