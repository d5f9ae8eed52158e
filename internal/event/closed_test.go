package event

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func closedSession() *ClosedSession {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	return &ClosedSession{Site: "default", SessionID: "auto:e1", ProfileID: "default:a:b:0", StartedAt: at, LastAt: at.Add(time.Minute),
		ClosedReason: ClosedIdle, Events: 2, Items: []SessionItem{{ItemID: "one", OccurredAt: at}}, Partition: 3, Epoch: 1, Offset: 7}
}

func TestClosedSessionComesBackAsItWas(t *testing.T) {
	b, err := MarshalClosedSession(closedSession())
	if err != nil {
		t.Fatal(err)
	}
	c, err := UnmarshalClosedSession([]byte(`{"a_later_version_says":1,` + string(b[1:])))
	if err != nil || !reflect.DeepEqual(c, closedSession()) || c.Key() != "default:auto:e1" {
		t.Fatalf("%+v, %v", c, err)
	}
}

func TestClosedSessionThatNoStreamWroteIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*ClosedSession){
		"site":    func(c *ClosedSession) { c.Site = "Über" },
		"session": func(c *ClosedSession) { c.SessionID = "" },
		"profile": func(c *ClosedSession) { c.ProfileID = "" },
		"offset":  func(c *ClosedSession) { c.Offset = -1 },
		"item":    func(c *ClosedSession) { c.Items[0].ItemID = strings.Repeat("x", MaxIDBytes+1) },
		"items":   func(c *ClosedSession) { c.Items = make([]SessionItem, MaxClosedItems+1) },
	} {
		c := closedSession()
		spoil(c)
		b, err := MarshalClosedSession(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := UnmarshalClosedSession(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzUnmarshalClosedSession: whatever is accepted is written and read again as the same.
func FuzzUnmarshalClosedSession(f *testing.F) {
	b, err := MarshalClosedSession(closedSession())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"site":"s","session_id":"x","profile_id":"y"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := UnmarshalClosedSession(b)
		if err != nil {
			return
		}
		b, err = MarshalClosedSession(c)
		if err != nil {
			t.Fatalf("what was accepted cannot be written: %v", err)
		}
		again, err := UnmarshalClosedSession(b)
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		if twice, err := MarshalClosedSession(again); err != nil || string(twice) != string(b) {
			t.Fatalf("%s became %s (%v)", b, twice, err)
		}
	})
}

func TestSessionEndIsTheFirstMomentThatDoesNotContinue(t *testing.T) {
	rule, start := DefaultSessionRule(), time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for _, last := range []time.Duration{0, time.Minute, 23 * time.Hour, 23*time.Hour + 40*time.Minute, 25 * time.Hour} {
		end := rule.End(start, start.Add(last))
		if rule.Continues(start, start.Add(last), end) {
			t.Errorf("active until %s: a session that is over at %s still goes on then", last, end.Sub(start))
		}
		if last < rule.Max && !rule.Continues(start, start.Add(last), end.Add(-time.Millisecond)) {
			t.Errorf("active until %s: a session ends before %s", last, end.Sub(start))
		}
	}
}
