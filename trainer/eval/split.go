package eval

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// Values of a split column.
const (
	splitTrain = "train"
	splitValid = "valid"
	splitTest  = "test"
)

// newestShare is the part of the sessions that is held out where a day is not a usable unit.
const newestShare = 0.1

// minDays is the least span, in days, of data that is split by its last day: a day each for test and validation, and
// more than that to learn from.
const minDays = 4

func splitNames() []string { return []string{splitTrain, splitValid, splitTest} }

// parts are the session numbers of each part of a log.
type parts struct {
	train, valid, test []int
	carved             bool // valid is the newest part of train
	given              bool // the test is what the file says, whenever it happened
	how                string
}

// splitSessions makes the parts of the next-item protocol: by the split column, else by the newest sessions. A last day of too
// few predictions gives way to a share that has more.
func splitSessions(l *Log, c Config, _ uint64) (*Dataset, error) {
	switch {
	case l.Splits != nil:
		return l.splitBy(givenParts(l.Splits), c), nil
	case c.Holdout > 0:
		return l.splitBy(newestParts(l.Sessions.Len(), c.Holdout), c), nil
	}
	d := l.splitBy(lastDayParts(l), c)
	if d.Test.Len() < MinPredictions {
		if more := l.splitBy(newestParts(l.Sessions.Len(), newestShare), c); more.Test.Len() > d.Test.Len() {
			return more, nil
		}
	}
	return d, nil
}

// splitBy makes a dataset of parts.
func (l *Log) splitBy(p parts, c Config) *Dataset {
	r := p.roles(l)
	n := l.number(r, c.IncludeUnseen)
	d := l.dataset(r, n, p.how)
	visitors := l.visitors()
	d.testPromise = promise{order: true, training: trainedBefore}
	d.validPromise = d.testPromise
	if p.given {
		d.testPromise.training = trainedAnytime
	}
	if !p.carved {
		d.validPromise.training = trainedAnytime
	}
	d.Test = l.reveal(visitors, r, forTest, n.test, c.IncludeUnseen, d.Train, d.testPromise)
	d.Valid = l.reveal(visitors, r, forValid, n.valid, c.IncludeUnseen, d.TuneTrain, d.validPromise)
	for e, item := range l.Sessions.Items {
		if r[e]&forTest != 0 && n.test[item] == unknownItem {
			d.ColdEvents++
		}
	}
	return d
}

// roles returns the role of every event.
func (p parts) roles(l *Log) roles {
	out := make(roles, l.Sessions.Events())
	give := func(sessions []int, what role) {
		for _, i := range sessions {
			for e := l.Sessions.Offsets[i]; e < l.Sessions.Offsets[i+1]; e++ {
				out[e] |= what
			}
		}
	}
	give(p.train, forTrain)
	give(p.valid, forValid)
	give(p.test, forTest)
	if p.carved {
		give(p.train[:len(p.train)-len(p.valid)], forTuneTrain)
	} else {
		give(p.train, forTuneTrain)
	}
	return out
}

// reveal makes the cases of the sessions of a role: of every event but the first, or where models promise to have learned
// before them, of those that are newer than all that models learn from.
func (l *Log) reveal(visitors [][]int32, r roles, what role, numbers []int32, unseen bool, train *Part, made promise) *Test {
	p := l.pick(r, what, numbers, unseen, 2)
	n := &nextItem{sessions: p.sessions, source: p.source, after: train.Sessions.Newest()}
	if made.training == trainedAnytime {
		n.after = math.MinInt64
	}
	if len(visitors) > 0 {
		met := what | forTuneTrain
		if what == forTest {
			met |= forTrain | forValid
		}
		n.past = func(s int) past { return l.past(visitors, p, s, numbers, func(e int32) bool { return r[e]&met != 0 }) }
	}
	return n.test()
}

// past returns what the visitor of a picked session met before it began.
func (l *Log) past(visitors [][]int32, p picked, s int, numbers []int32, met func(event int32) bool) (before past) {
	user := p.sessions.Session(s).User
	if user == model.NoUser {
		return before
	}
	began := l.Sessions.Times[p.source[p.sessions.Offsets[s]]]
	for _, e := range visitors[user] {
		if l.Sessions.Times[e] >= began {
			break
		}
		if !met(e) {
			continue
		}
		before.events = append(before.events, e)
		if item := numbers[l.Sessions.Items[e]]; item != unknownItem {
			before.items = append(before.items, item)
		}
	}
	return before
}

func givenParts(splits []string) parts {
	p := parts{how: "as given by the split column", given: true}
	for i, split := range splits {
		switch split {
		case splitTrain:
			p.train = append(p.train, i)
		case splitValid:
			p.valid = append(p.valid, i)
		case splitTest:
			p.test = append(p.test, i)
		}
	}
	if len(p.valid) == 0 {
		p.valid, p.carved = newestOf(p.train, newestShare), true
		p.how += "; validation: newest 10 % of the training sessions"
	}
	return p
}

func newestParts(sessions int, share float64) parts {
	all := upTo(0, sessions)
	p := parts{test: newestOf(all, share), carved: true}
	p.train = all[:len(all)-len(p.test)]
	p.valid = newestOf(p.train, share)
	p.how = fmt.Sprintf("test: newest %g %% of the sessions; validation: newest %g %% of the rest", share*100, share*100)
	return p
}

// lastDayParts holds out the sessions that end in the last 24 hours, and for validation those of the 24 hours before.
// Data on a logical clock, and data of few days, is split by share instead.
func lastDayParts(log *Log) parts {
	last := log.Sessions.Newest()
	const day = int64(24 * time.Hour / time.Millisecond)
	byShare := newestParts(log.Sessions.Len(), newestShare)
	if log.Logical || last-log.First().UnixMilli() < minDays*day {
		return byShare
	}
	p := parts{carved: true, how: "test: sessions of the last day; validation: sessions of the day before"}
	for i := range log.Sessions.Len() {
		end := log.Sessions.Times[log.Sessions.Offsets[i+1]-1]
		switch {
		case end > last-day:
			p.test = append(p.test, i)
		case end > last-2*day:
			p.valid = append(p.valid, i)
			fallthrough
		default:
			p.train = append(p.train, i)
		}
	}
	if len(p.valid) == 0 || len(p.valid) == len(p.train) {
		return byShare
	}
	return p
}

// newestOf returns the last share of a list that is in order of time, at least one where there are two.
func newestOf(sessions []int, share float64) []int {
	n := int(math.Round(share * float64(len(sessions))))
	if len(sessions) > 1 {
		n = max(n, 1)
	}
	return sessions[len(sessions)-n:]
}
