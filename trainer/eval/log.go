package eval

import (
	"cmp"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// Log is the sessions of a data set before any split, ordered by their last event, and what is known of their items.
type Log struct {
	// Vocabulary holds the items of all events, and those of the catalogue behind them.
	Vocabulary *model.Vocabulary
	Sessions   *model.Sessions // Users are numbered from 0
	Splits     []string        // what the split column says of each session; nil without one
	Orders     []int32         // by event: the number of the order that it is part of, NoOrder for none; nil where no order is known
	Items      []Item          // by index of Vocabulary; nil where nothing is known of any item
	Catalogue  []int32         // the items that the catalogue holds, which may be recommended without ever having been met
	Logical    bool            // times only number the rows
	Rows       int             // rows that were used
	LeftOut    int             // rows that are no sign of interest: of a type that counts nothing, or rated too low
	Types      map[string]int  // rows by event type, those left out counted too; nil without types
	BadRows    int             // rows that could not be used
	FirstBad   error           // why the first of them could not
}

// NoOrder is the order of an event that belongs to none.
const NoOrder int32 = -1

// First returns the time of the oldest event; the zero time when there is none.
func (l *Log) First() time.Time {
	if len(l.Sessions.Times) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(slices.Min(l.Sessions.Times)).UTC()
}

// Last returns the time of the newest event; the zero time when there is none.
func (l *Log) Last() time.Time {
	if len(l.Sessions.Times) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(l.Sessions.Newest()).UTC()
}

// visitors lists the events of each known user, oldest first; events of one time keep the order of the log.
func (l *Log) visitors() [][]int32 {
	var out [][]int32
	for s, user := range l.Sessions.Users {
		if user == model.NoUser {
			continue
		}
		for int(user) >= len(out) {
			out = append(out, nil)
		}
		for e := l.Sessions.Offsets[s]; e < l.Sessions.Offsets[s+1]; e++ {
			out[user] = append(out[user], int32(e))
		}
	}
	for _, events := range out {
		slices.SortFunc(events, func(a, b int32) int {
			return cmp.Or(cmp.Compare(l.Sessions.Times[a], l.Sessions.Times[b]), cmp.Compare(a, b))
		})
	}
	return out
}

// sessionOf returns the number of each event's session.
func (l *Log) sessionOf() []int32 {
	out := make([]int32, l.Sessions.Events())
	for s := range l.Sessions.Len() {
		for e := l.Sessions.Offsets[s]; e < l.Sessions.Offsets[s+1]; e++ {
			out[e] = int32(s)
		}
	}
	return out
}
