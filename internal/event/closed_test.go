package event

import (
	"bytes"
	"encoding/json"
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
	b := AppendClosedSession(nil, closedSession())
	c, err := UnmarshalClosedSession([]byte(`{"a_later_version_says":1,` + string(b[1:])))
	if err != nil || !reflect.DeepEqual(c, closedSession()) || c.Key() != "default:auto:e1" {
		t.Fatalf("%+v, %v", c, err)
	}
}

// plainJSON is what AppendClosedSession must append.
func plainJSON(t *testing.T, c *ClosedSession) string {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(c); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestClosedSessionAsJSON(t *testing.T) {
	c := closedSession()
	c.Items = append(c.Items, SessionItem{ItemID: `<"two">`, OccurredAt: c.LastAt.Add(1e6)})
	for _, c := range []*ClosedSession{closedSession(), c, {Items: []SessionItem{}}} {
		if got, want := string(AppendClosedSession(nil, c)), plainJSON(t, c); got != want {
			t.Errorf("%s, want %s", got, want)
		}
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
		b := AppendClosedSession(nil, c)
		if _, err := UnmarshalClosedSession(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzUnmarshalClosedSession: whatever is accepted is written and read again as the same.
func FuzzUnmarshalClosedSession(f *testing.F) {
	f.Add(AppendClosedSession(nil, closedSession()))
	f.Add([]byte(`{"site":"s","session_id":"x","profile_id":"y"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := UnmarshalClosedSession(b)
		if err != nil {
			return
		}
		b = AppendClosedSession(nil, c)
		if want := plainJSON(t, c); c.Items != nil && string(b) != want {
			t.Fatalf("%s, want %s", b, want)
		}
		again, err := UnmarshalClosedSession(b)
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		if twice := AppendClosedSession(nil, again); string(twice) != string(b) {
			t.Fatalf("%s became %s", b, twice)
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
