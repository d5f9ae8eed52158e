package erasure

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

func entry(key Key, kind Kind, id string, until int64) Entry {
	return Entry{Site: "shop", Kind: kind, Hash: key.Hash(kind, "shop", id), Until: time.UnixMilli(until), Erasure: "e-" + id}
}

// TestRule is the rule of the package, case by case.
func TestRule(t *testing.T) {
	key := NewKey()
	l := NewLedger(key, 4, []Entry{
		entry(key, KindUser, "anna", 1000), entry(key, KindLinked, "shared", 1000), entry(key, KindBrowser, "kiosk", 1000),
		entry(key, KindSession, "visit", 1000), entry(key, KindUser, "late", 5000),
	})
	for _, c := range []struct {
		what string
		row  Row
		want bool
	}{
		{"names the user", Row{Site: "shop", User: "anna", Browser: "elsewhere", At: 10}, true},
		{"in the millisecond of the erasure", Row{Site: "shop", User: "anna", At: 1000}, true},
		{"after the erasure", Row{Site: "shop", User: "anna", At: 1001}, false},
		{"on another site", Row{Site: "other", User: "anna", At: 10}, false},
		{"another user", Row{Site: "shop", User: "bert", At: 10}, false},
		{"of the browser, naming nobody", Row{Site: "shop", Browser: "shared", Session: "s", At: 10}, true},
		{"of the browser, naming another user", Row{Site: "shop", User: "bert", Browser: "shared", At: 10}, false},
		{"of the browser, after", Row{Site: "shop", Browser: "shared", At: 2000}, false},
		{"of the erased browser, naming another user", Row{Site: "shop", User: "bert", Browser: "kiosk", At: 10}, true},
		{"a user of a browser's name", Row{Site: "shop", User: "shared", At: 10}, false},
		{"a browser of a user's name", Row{Site: "shop", Browser: "anna", At: 10}, false},
		{"the session alone", Row{Site: "shop", Session: "visit", At: 10}, true},
		{"the session in another browser", Row{Site: "shop", Browser: "b", Session: "visit", At: 10}, false},
		{"nobody", Row{Site: "shop", At: 10}, false},
		{"an import without times", Row{Site: "shop", User: "anna", At: 9_000_000, Timeless: true}, true},
		{"an import without times, of another", Row{Site: "shop", User: "bert", At: 10, Timeless: true}, false},
		{"each entry has its own time", Row{Site: "shop", User: "anna", At: 4000}, false},
		{"the newer entry", Row{Site: "shop", User: "late", At: 4000}, true},
	} {
		if got := l.Covers(c.row); got != c.want {
			t.Errorf("%s: covered is %v, want %v", c.what, got, c.want)
		}
	}
	var nobody *Ledger
	if nobody.Covers(Row{Site: "shop", User: "anna"}) || nobody.Sequence() != 0 || nobody.Entries() != nil || nobody.Of(nil) != nil {
		t.Error("an empty ledger covers somebody")
	}
	if of := l.Of(func(id string) bool { return id == "e-anna" }); of.Covers(Row{Site: "shop", Browser: "kiosk", At: 1}) || !of.Covers(Row{Site: "shop", User: "anna", At: 1}) || of.Sequence() != 4 {
		t.Error("a part of the ledger is not that of the erasure asked for")
	}
}

// TestErasedTwice keeps the later of two erasures of one person.
func TestErasedTwice(t *testing.T) {
	key := NewKey()
	for _, order := range [][]int64{{1000, 2000}, {2000, 1000}} {
		l := NewLedger(key, 2, []Entry{entry(key, KindUser, "anna", order[0]), entry(key, KindUser, "anna", order[1])})
		if !l.Covers(Row{Site: "shop", User: "anna", At: 2000}) || l.Covers(Row{Site: "shop", User: "anna", At: 2001}) {
			t.Errorf("erased at %v: the later one does not hold", order)
		}
	}
}

// TestKeysAreTold: hashes of two keys have nothing in common, and a key reads back from its text.
func TestKeysAreTold(t *testing.T) {
	a, b := NewKey(), NewKey()
	if a.Hash(KindUser, "shop", "anna") == b.Hash(KindUser, "shop", "anna") || a.Check() == b.Check() {
		t.Error("two keys make one hash")
	}
	if a.Hash(KindUser, "shop", "anna") != NewLedger(a, 1, nil).Hash(KindUser, "shop", "anna") {
		t.Error("the ledger hashes in another way than its key")
	}
	again, err := ParseKey(" " + a.String() + "\n")
	if err != nil || again != a {
		t.Errorf("the key reads back as %v (%v)", again, err)
	}
	h := a.Hash(KindUser, "shop", "anna")
	if got, err := ParseHash(h.String()); err != nil || got != h {
		t.Errorf("the hash reads back as %v (%v)", got, err)
	}
	for _, bad := range []string{"", "00", a.String() + "00", "x" + a.String()[1:]} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("%q was taken for a key", bad)
		}
	}
}

func TestParseWho(t *testing.T) {
	for id, want := range map[string]Who{
		"anna":             {Site: "shop", User: "anna"},
		"anonymous:b-1":    {Site: "shop", Browser: "b-1"},
		"anonymous:a:b/c%": {Site: "shop", Browser: "a:b/c%"},
	} {
		if got, err := ParseWho("shop", id); err != nil || got != want {
			t.Errorf("%q is %+v (%v), want %+v", id, got, err, want)
		}
	}
	for _, bad := range []string{"", "anonymous:", "a\x00b"} {
		if got, err := ParseWho("shop", bad); err == nil {
			t.Errorf("%q was taken for %+v", bad, got)
		}
	}
}

// TestRowsOfEvents: what the ledger is asked about an event is what the event says.
func TestRowsOfEvents(t *testing.T) {
	at := time.UnixMilli(1234).UTC()
	e := &event.Event{Site: "shop", UserID: "u", AnonymousID: "b", SessionID: "s", OccurredAt: at, Clock: event.ClockLogical}
	if got, want := EventRow(e), (Row{Site: "shop", User: "u", Browser: "b", Session: "s", At: 1234, Timeless: true}); got != want {
		t.Errorf("event: %+v, want %+v", got, want)
	}
	x := &event.Exposure{Site: "shop", UserID: "u", AnonymousID: "b", SessionID: "s", ServedAt: at}
	if got, want := ExposureRow(x), (Row{Site: "shop", User: "u", Browser: "b", Session: "s", At: 1234}); got != want {
		t.Errorf("exposure: %+v, want %+v", got, want)
	}
}

// BenchmarkCovers is what each event of a live shop costs where people were erased, and each of a replayed past.
func BenchmarkCovers(b *testing.B) {
	key := NewKey()
	l := NewLedger(key, 1, []Entry{entry(key, KindUser, "anna", 1000)})
	for name, at := range map[string]int64{"live": 2000, "past": 10} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				l.Covers(Row{Site: "shop", User: "somebody", Browser: "0199aabb-ccdd-7eee-8fff-001122334455", At: at})
			}
		})
	}
}
