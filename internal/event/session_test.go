package event

import (
	"testing"
	"time"
)

func TestSessionRule(t *testing.T) {
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	last := start.Add(2 * time.Hour)
	for _, c := range []struct {
		name string
		now  time.Time
		want bool
	}{
		{"at once", last, true},
		{"just inside the idle limit", last.Add(SessionIdle - time.Millisecond), true},
		{"exactly idle", last.Add(SessionIdle), false},
		{"late, inside", start.Add(time.Hour), true},
		{"late, a little before the start", start.Add(-SessionIdle + time.Millisecond), true},
		{"late, an idle time before the start", start.Add(-SessionIdle), false},
	} {
		if got := DefaultSessionRule().Continues(start, last, c.now); got != c.want {
			t.Errorf("%s: Continues = %v, want %v", c.name, got, c.want)
		}
	}
}

// A visitor who never pauses still begins a new session after a day, counted from the start and not from the last event.
func TestSessionRuleMax(t *testing.T) {
	rule := DefaultSessionRule()
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	if now := start.Add(SessionMax - time.Minute); !rule.Continues(start, now.Add(-time.Minute), now) {
		t.Error("the session ended before its maximum")
	}
	if now := start.Add(SessionMax); rule.Continues(start, now.Add(-time.Minute), now) {
		t.Error("the session outlived its maximum")
	}
	// A late event must not stretch it beyond the maximum either.
	last := start.Add(SessionMax - time.Minute)
	if rule.Continues(start, last, start.Add(-10*time.Minute)) {
		t.Error("a late event stretched the session beyond its maximum")
	}
}
