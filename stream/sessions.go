package stream

import (
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// Closed sessions go to the topic millrace.sessions. The state keeps a timer for each running session, in the group of its
// site, under the row key of its profile: set once, when the session begins, for the time when it would be over. Who finds it
// due (close.go) looks at the profile and sets it later where the session has gone on, so that applying an event writes
// nothing more. A session that ends because another one begins has its record in a timer that is due at once, since the
// profile knows only the running one. Timers go when their records are acknowledged: a crash writes the same ones again.

// applyVisit applies an event to a profile and sets the timers of its sessions.
func (a *applier) applyVisit(e *event.Event, p *held[feature.Profile], at state.Position) (profile *feature.Profile, counted bool, err error) {
	before, stood := p.value.Session, p.at
	profile = a.work.profiles.change(p, at)
	counted = profile.Apply(e)
	now := &profile.Session
	switch {
	case now.ID == before.ID && now.Events == before.Events: // also where there is none
		return profile, counted, nil
	case now.ID != before.ID:
		if before.ID != "" && e.ReceivedAt.UnixMilli() >= a.written {
			err = a.endSession(e.Site, p.key, before, stood)
		}
	case sessionEnd(&before) > a.clocks[e.Site]:
		return profile, counted, nil // its timer stands
	default:
		delete(a.closed, e.Site) // what was written of it is not all of it any more
	}
	a.work.timers = append(a.work.timers, state.Timer{Group: e.Site, At: sessionEnd(now), Name: p.key})
	return profile, counted, err
}

// endSession keeps the record of a session that another one has ended. The profile stood at a position before.
func (a *applier) endSession(site, key string, s feature.Session, stood state.Position) error {
	if sessionEnd(&s) <= a.closed[site] {
		return nil // written when it was over
	}
	c, err := closedSession(key, &s, stood, a.partition, event.ClosedNext)
	if err != nil {
		return err
	}
	// The site's clock stands at the session's last event at least, so the timer is due.
	a.work.timers = append(a.work.timers, state.Timer{Group: site, At: s.LastAt, Name: key + "\x00" + s.ID,
		Value: event.AppendClosedSession([]byte{timerRecord}, c)})
	return nil
}

// closedAll notes that no timer is left that is due on its site's clock.
func (a *applier) closedAll() {
	for site, clock := range a.clocks {
		a.closed[site] = clock
	}
}

// sessionEnd is when a session is over if nothing else happens, in Unix milliseconds.
func sessionEnd(s *feature.Session) int64 {
	return event.DefaultSessionRule().End(time.UnixMilli(s.StartedAt), time.UnixMilli(s.LastAt)).UnixMilli()
}

// closedSession renders the record of a session of the profile with a row key, which was last changed at a position.
func closedSession(key string, s *feature.Session, at state.Position, partition int32, reason string) (*event.ClosedSession, error) {
	of, err := onlinestore.ParseProfileKey(key)
	if err != nil {
		return nil, err
	}
	c := &event.ClosedSession{Site: of.Site, SessionID: s.ID, ProfileID: profileID(of), StartedAt: time.UnixMilli(s.StartedAt).UTC(),
		LastAt: time.UnixMilli(s.LastAt).UTC(), ClosedReason: reason, Events: s.Events, Items: make([]event.SessionItem, len(s.Items)),
		Partition: partition, Epoch: at.Epoch, Offset: at.Offset}
	for i, item := range s.Items {
		c.Items[i] = event.SessionItem{ItemID: item.ItemID, OccurredAt: time.UnixMilli(item.At).UTC()}
	}
	return c, nil
}

// profileID names a profile as the change feed does.
func profileID(p onlinestore.Partial) string {
	return p.Site + ":" + p.Kind + ":" + p.ID + ":" + strconv.FormatInt(p.N, 10)
}

// rewrittenSessions is how far back sessions are written again by a state that is made from the lake. What has landed was
// written before, but shortly before at worst; and, in an earlier epoch, on the clock of another partition.
const rewrittenSessions = event.SessionMax

// forgetWritten drops the timers of sessions that the replayed history is known to have written.
func (a *applier) forgetWritten() error {
	sites, err := a.db.TimerGroups()
	if err != nil {
		return err
	}
	for _, site := range sites {
		clock, err := a.clock(site)
		if err != nil {
			return err
		}
		if err := a.db.ForgetTimers(site, clock-rewrittenSessions.Milliseconds()); err != nil {
			return err
		}
	}
	return nil
}
