package event

import (
	"testing"
	"time"
)

func TestAdmitTimes(t *testing.T) {
	recv := time.Date(2026, 3, 1, 12, 0, 0, 456_789_000, time.UTC)
	recvMs := recv.Truncate(time.Millisecond)
	day := 24 * time.Hour
	for _, c := range []struct {
		name           string
		occurred, sent time.Time
		imported       bool
		want           time.Time
		keepsOriginal  bool
	}{
		{name: "no time: now", want: recvMs},
		{name: "no sent_at: as said", occurred: recvMs.Add(-time.Minute), want: recvMs.Add(-time.Minute)},
		{name: "clock a day behind", occurred: recvMs.Add(-day - 3*time.Second), sent: recvMs.Add(-day), want: recvMs.Add(-3 * time.Second), keepsOriginal: true},
		{name: "clock a day ahead", occurred: recvMs.Add(day - 3*time.Second), sent: recvMs.Add(day), want: recvMs.Add(-3 * time.Second), keepsOriginal: true},
		{name: "clock of 1970", occurred: time.Unix(90, 0), sent: time.Unix(95, 0), want: recvMs.Add(-5 * time.Second), keepsOriginal: true},
		{name: "after it was sent", occurred: recvMs.Add(time.Minute), sent: recvMs, want: recvMs, keepsOriginal: true},
		{name: "in the future without sent_at", occurred: recvMs.Add(time.Hour), want: recvMs, keepsOriginal: true},
		{name: "another zone", occurred: recvMs.Add(-time.Hour).In(time.FixedZone("x", 7200)), want: recvMs.Add(-time.Hour)},
		{name: "a week in the queue", occurred: recvMs.Add(-7 * day), sent: recvMs, want: recvMs.Add(-7 * day)},
		{name: "older than the limit", occurred: recvMs.Add(-MaxEventAge - time.Second), want: recvMs.Add(-MaxEventAge), keepsOriginal: true},
		{name: "an import may be old", occurred: recvMs.Add(-1000 * day), imported: true, want: recvMs.Add(-1000 * day)},
		{name: "an import knows no skew", occurred: recvMs.Add(-2 * day), sent: recvMs.Add(-day), imported: true, want: recvMs.Add(-2 * day)},
		{name: "an import of tomorrow", occurred: recvMs.Add(day), imported: true, want: recvMs, keepsOriginal: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := Event{Type: PageView, AnonymousID: "b", OccurredAt: c.occurred}
			if p := e.Admit(AdmitInput{Site: "default", SentAt: c.sent, ReceivedAt: recv, Import: c.imported}); p != nil {
				t.Fatal(p)
			}
			if !e.OccurredAt.Equal(c.want) || e.OccurredAt.Location() != time.UTC {
				t.Errorf("occurred at %v, want %v", e.OccurredAt, c.want)
			}
			if !e.ReceivedAt.Equal(recvMs) {
				t.Errorf("received at %v, want %v", e.ReceivedAt, recvMs)
			}
			if c.keepsOriginal && !e.ClientOccurredAt.Equal(c.occurred) || !c.keepsOriginal && !e.ClientOccurredAt.IsZero() {
				t.Errorf("original %v of %v", e.ClientOccurredAt, c.occurred)
			}
		})
	}
}

func TestAdmitIdentity(t *testing.T) {
	no := false
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	in := AdmitInput{Site: "default", ReceivedAt: now}
	for _, c := range []struct {
		name, code, pointer string
		event               Event
	}{
		{"user only", "", "", Event{Type: PageView, UserID: "u"}},
		{"nobody", CodeMissingVisitor, "", Event{Type: PageView}},
		{"nobody, by choice", "", "", Event{Type: PageView, Consent: &Consent{Personalization: &no}}},
		{"identify without user", CodeMissingUser, "/user_id", Event{Type: Identify, AnonymousID: "b"}},
		{"bad session", CodeInvalidID, "/session_id", Event{Type: PageView, AnonymousID: "b", SessionID: "\t"}},
		{"bad second item", CodeInvalidID, "/items/1/item_id", Event{Type: ViewItem, AnonymousID: "b", Items: []Item{{ItemID: "a"}, {}}}},
		{"bad placement", CodeInvalidID, "/rec/placement", Event{Type: PageView, AnonymousID: "b", Rec: &Rec{Placement: "\n"}}},
		{"too many items", CodeTooManyItems, "/items", Event{Type: Purchase, AnonymousID: "b", Items: make([]Item, MaxItems+1)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := c.event.Admit(in)
			if c.code == "" {
				if p != nil {
					t.Fatal(p)
				}
				if CheckID(c.event.EventID) != nil {
					t.Error("no event id was made")
				}
				return
			}
			if p == nil || p.Code != c.code || p.Pointer != c.pointer {
				t.Errorf("got %v, want %s at %q", p, c.code, c.pointer)
			}
		})
	}
	e := Event{Type: PageView, UserID: "u"}
	if p := e.Admit(AdmitInput{Site: "No Site", ReceivedAt: now}); p == nil || p.Code != CodeInvalidSite {
		t.Errorf("site: got %v", p)
	}
	if p := e.Admit(AdmitInput{Site: "default", ReceivedAt: now, Import: true}); p != nil || e.Source != SourceImport {
		t.Errorf("import: %v, source %q", p, e.Source)
	}
}
