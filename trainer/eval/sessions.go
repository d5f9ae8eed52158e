package eval

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
)

// finish cuts the events into sessions, each in order of time, and orders the sessions by their last event. Sorts keep the
// order of the file where times are equal.
func (l *loader) finish() (*Log, error) {
	if l.log.Rows == 0 {
		return nil, errors.Join(fmt.Errorf("no row could be used: %d bad, %d left out", l.log.BadRows, l.log.LeftOut), l.log.FirstBad)
	}
	if err := l.checkWeights(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(l.events, func(a, b loaded) int {
		return cmp.Or(cmp.Compare(a.visit, b.visit), cmp.Compare(a.time, b.time))
	})
	sessions := l.cut()
	slices.SortStableFunc(sessions, func(a, b []loaded) int { return cmp.Compare(a[len(a)-1].time, b[len(b)-1].time) })
	weighted := slices.ContainsFunc(l.events, func(e loaded) bool { return e.weight != 1 })
	for _, events := range sessions {
		l.append(events, weighted)
	}
	for item, said := range l.known {
		l.log.describe(item, said)
	}
	return l.log, nil
}

// cut splits every visit that is not one session by the one session rule.
func (l *loader) cut() [][]loaded {
	rule := event.DefaultSessionRule()
	var out [][]loaded
	for from := 0; from < len(l.events); {
		first, to := l.events[from], from+1
		for to < len(l.events) && l.events[to].visit == first.visit {
			start, last, now := time.UnixMilli(first.time), time.UnixMilli(l.events[to-1].time), time.UnixMilli(l.events[to].time)
			if !l.about[first.visit].given && !rule.Continues(start, last, now) {
				break
			}
			to++
		}
		out = append(out, l.events[from:to])
		from = to
	}
	return out
}

// append adds one session to the log.
func (l *loader) append(events []loaded, weighted bool) {
	about := l.about[events[0].visit]
	s := model.Session{User: about.user}
	for _, e := range events {
		s.Items, s.Times = append(s.Items, e.item), append(s.Times, e.time)
		if weighted {
			s.Weights = append(s.Weights, e.weight)
		}
		if len(l.orders) > 0 {
			l.log.Orders = append(l.log.Orders, e.order)
		}
		if s.Segment == "" {
			s.Segment = e.device
		}
	}
	l.log.Sessions.Add(s)
	if l.columns.split != "" {
		l.log.Splits = append(l.log.Splits, about.split)
	}
}
