package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

const (
	// closeInterval is how often a partition looks for sessions that are over. Between two batches it waits for their
	// records, so it does not look after every one.
	closeInterval = time.Second
	// closedBatch is how many closed sessions are written at once; a record takes 10 KB at worst.
	closedBatch = 200
)

// Moments in the closing of sessions at which a test may kill the process.
const (
	stepSessionsDue       = "sessions due"       // found, not written
	stepSessionsWritten   = "sessions written"   // acknowledged, their timers stand
	stepSessionsForgotten = "sessions forgotten" // the timers are gone
)

// What the value of a timer begins with; a timer without one is of a running session that was not written yet.
const (
	timerRecord  = 'r' // the record to write
	timerWritten = 'w' // the position of the profile that the record written by the wall clock knew
)

// closer writes the sessions of a partition that are over.
type closer struct {
	caughtUp bool // the partition has read its log to the end
	looked   time.Time
	sites    map[string]*siteClock
}

// siteClock is how a site's clock looked at the last look.
type siteClock struct {
	clock int64
	since time.Time // when it was seen there first
	quiet int64     // up to where the wall clock has closed sessions
}

// ifDue looks for sessions that are over when it is time: on the clock of their site, which is that of all features; and,
// while the partition has nothing to read, on one that goes on from there as the wall clock does since it was seen moving.
// What the wall clock closes is an output alone: the profile's session goes on if its visitor comes back in event time, and is
// then written again.
func (c *closer) ifDue(ctx context.Context, p *partition) error {
	now := p.s.now()
	if now.Sub(c.looked) < p.s.closeEvery {
		return nil
	}
	c.looked = now
	sites, err := p.db.TimerGroups()
	if err != nil {
		return err
	}
	if c.sites == nil {
		c.sites = make(map[string]*siteClock)
	}
	for _, site := range sites {
		clock, err := p.applier.clock(site)
		if err != nil {
			return err
		}
		at := c.sites[site]
		if at == nil || at.clock != clock {
			at = &siteClock{clock: clock, since: now, quiet: clock}
			c.sites[site] = at
		}
		if err := p.closeSessions(ctx, state.FirstTimer(site), clock, false); err != nil {
			return err
		}
		if wall := clock + now.Sub(at.since).Milliseconds(); c.caughtUp && wall > at.quiet {
			if err := p.closeSessions(ctx, state.Timer{Group: site, At: at.quiet + 1}, wall, true); err != nil {
				return err
			}
			at.quiet = wall
		}
	}
	p.applier.closedAll()
	return nil
}

// ending is what is to be done about timers that are due.
type ending struct {
	records      []kafka.Record
	forget, keep []state.Timer
}

// closeSessions writes the sessions of a site whose timers lie behind one and are due by a time, then settles the timers.
func (p *partition) closeSessions(ctx context.Context, behind state.Timer, until int64, quiet bool) error {
	for {
		due, err := p.db.Due(behind, until, closedBatch)
		if err != nil || len(due) == 0 {
			return err
		}
		behind = due[len(due)-1]
		var end ending
		for _, t := range due {
			if err := p.end(&end, t, until, quiet); err != nil {
				return fmt.Errorf("close session of %q: %w", t.Name, err)
			}
		}
		if err := p.s.at(stepSessionsDue); err != nil {
			return err
		}
		if len(end.records) > 0 {
			if err := produce(ctx, p.s.deps.Producer, p.s.log, end.records); err != nil {
				return fmt.Errorf("write %d closed sessions: %w", len(end.records), err)
			}
			p.s.metrics.closed.Add(float64(len(end.records)))
		}
		if err := p.s.at(stepSessionsWritten); err != nil {
			return err
		}
		if err := p.db.ChangeTimers(end.forget, end.keep); err != nil {
			return err
		}
		if err := p.s.at(stepSessionsForgotten); err != nil {
			return err
		}
	}
}

// end decides about one timer that is due.
func (p *partition) end(end *ending, t state.Timer, until int64, quiet bool) error {
	if len(t.Value) > 0 && t.Value[0] == timerRecord {
		end.forget = append(end.forget, t)
		_, id, _ := strings.Cut(t.Name, "\x00")
		end.records = append(end.records, closedRecord(t.Group+":"+id, t.Value[1:]))
		return nil
	}
	row, profile, err := p.storedProfile(t.Name)
	if err != nil {
		return err
	}
	over := sessionEnd(&profile.Session)
	stood := state.Position{Epoch: row.Epoch, Offset: row.Offset}
	written := timedPosition(stood)
	later := state.Timer{Group: t.Group, At: over, Name: t.Name}
	switch {
	case string(t.Value) == string(written): // nothing came since the wall clock closed it
		if !quiet {
			end.forget = append(end.forget, t)
		}
		return nil
	case over > until: // it has gone on
		end.forget, end.keep = append(end.forget, t), append(end.keep, later)
		return nil
	}
	reason := event.ClosedIdle
	if over-profile.Session.LastAt < event.SessionIdle.Milliseconds() {
		reason = event.ClosedLength
	}
	c, err := closedSession(t.Name, &profile.Session, stood, p.number, reason)
	if err != nil {
		return err
	}
	end.forget = append(end.forget, t)
	if quiet {
		later.Value = written
		end.keep = append(end.keep, later)
	}
	end.records = append(end.records, closedRecord(c.Key(), event.AppendClosedSession(nil, c)))
	return nil
}

// closedRecord is the record of a closed session. Its time is when it was written, because the broker's retention counts from
// it.
func closedRecord(key string, value []byte) kafka.Record {
	return kafka.Record{Topic: event.TopicSessions, Partition: -1, Time: time.Now(), Key: []byte(key), Value: value,
		Headers: []kafka.Header{{Key: event.HeaderSchema, Value: []byte(event.SessionSchema)}}}
}

// timedPosition is the value of a timer whose session was written by the wall clock.
func timedPosition(at state.Position) []byte {
	return binary.AppendVarint(binary.AppendVarint([]byte{timerWritten}, at.Epoch), at.Offset)
}

// storedProfile reads a profile as the state has it.
func (p *partition) storedProfile(key string) (row onlinestore.Row, profile *feature.Profile, err error) {
	stored, ok, err := p.db.Get(key)
	if err == nil && !ok {
		err = errors.New("the state has a timer of a profile that it does not have")
	}
	if err != nil {
		return row, nil, err
	}
	if row, err = onlinestore.DecodeRow(stored); err != nil {
		return row, nil, err
	}
	profile, err = feature.DecodeProfile(row.Value)
	return row, profile, err
}
