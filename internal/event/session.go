package event

import "time"

// The one session rule of the product; the beacon applies the same two figures.
const (
	SessionIdle = 30 * time.Minute // a longer silence ends the session: the field's convention since web analytics began
	SessionMax  = 24 * time.Hour   // no session is longer, else an open kiosk or a robot never ends one
)

// SessionRule decides whether an event belongs to a running session.
type SessionRule struct {
	Idle time.Duration
	Max  time.Duration
}

// DefaultSessionRule is the rule that every role applies.
func DefaultSessionRule() SessionRule {
	return SessionRule{Idle: SessionIdle, Max: SessionMax}
}

// Continues reports whether an event at now belongs to the session that began at start and was last active at last.
// An event that arrives late (now before last) belongs to it unless it lies Idle or more before its start, or would make
// it as long as Max.
func (r SessionRule) Continues(start, last, now time.Time) bool {
	if now.Before(last) {
		return start.Sub(now) < r.Idle && last.Sub(now) < r.Max
	}
	return now.Sub(last) < r.Idle && now.Sub(start) < r.Max
}

// End is when a session is over that began at start and was last active at last. One that a given session_id keeps together
// beyond Max ends by silence alone.
func (r SessionRule) End(start, last time.Time) time.Time {
	idle := last.Add(r.Idle)
	if longest := start.Add(r.Max); last.Before(longest) && longest.Before(idle) {
		return longest
	}
	return idle
}
