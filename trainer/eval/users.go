package eval

import (
	"time"

	"github.com/millrace/millrace/internal/model"
)

// ration is what becomes of the events of one visitor: those that models learn from, those that the query tells, and those
// that the answer is to find. Each list is in order of time.
type ration struct{ learn, ask, want []int32 }

// cut deals out the events of visitors; number tells visitors apart, and is negative for one of whom nothing is known but a
// session: nobody is asked about those.
type cut struct {
	of  func(number int, events []int32) ration
	now int64  // when every query asks, in Unix milliseconds; 0 where each asks at its newest event
	how string // in words
}

// openCut makes the cut of the events at hand, which are those of each visitor; round is 0 for the test and 1 for the
// validation part, which is cut from what models may learn.
type openCut func(l *Log, at crowd, c Config, seed uint64, round int) (cut, error)

// crowd is the events of each visitor, the known ones first and then a session each of those of whom nothing else is known.
type crowd struct {
	visitors [][]int32
	known    int
}

// splitUsers makes the parts of a protocol that follows visitors.
func splitUsers(open openCut, made promise) func(*Log, Config, uint64) (*Dataset, error) {
	return func(l *Log, c Config, seed uint64) (*Dataset, error) {
		everybody := crowd{visitors: l.visitors()}
		if everybody.known = len(everybody.visitors); everybody.known == 0 {
			return nil, usagef("protocol %s follows visitors, but no column holds user_id: name it with --map user_id=COLUMN", c.Protocol)
		}
		everybody.visitors = append(everybody.visitors, l.unknownVisitors()...)
		test, err := l.deal(open, everybody, c, seed, 0)
		if err != nil {
			return nil, err
		}
		valid, err := l.deal(open, test.learned(), c, seed, 1)
		if err != nil {
			return nil, err
		}
		r := make(roles, l.Sessions.Events())
		for i := range everybody.visitors {
			r.give(test.rations[i].learn, forTrain)
			r.give(test.rations[i].want, forTest)
			r.give(valid.rations[i].learn, forTuneTrain)
			r.give(valid.rations[i].want, forValid)
		}
		n := l.number(r, c.IncludeUnseen)
		d := l.dataset(r, n, "test: "+test.how+"; validation: the same of what is left")
		d.testPromise, d.validPromise = made, made
		u := &userTest{log: l, sessionOf: l.sessionOf()}
		d.Test = u.of(test, n.test, c.IncludeUnseen, d.Train)
		d.Valid = u.of(valid, n.valid, c.IncludeUnseen, d.TuneTrain)
		d.countCold(l, test, n.test)
		return d, nil
	}
}

// unknownVisitors lists the events of each session whose visitor is not known.
func (l *Log) unknownVisitors() [][]int32 {
	var out [][]int32
	for s := range l.Sessions.Len() {
		if l.Sessions.Session(s).User != model.NoUser {
			continue
		}
		var events []int32
		for e := l.Sessions.Offsets[s]; e < l.Sessions.Offsets[s+1]; e++ {
			events = append(events, int32(e))
		}
		out = append(out, events)
	}
	return out
}

// dealt are the rations of a crowd.
type dealt struct {
	cut
	rations []ration
	known   int
}

func (l *Log) deal(open openCut, at crowd, c Config, seed uint64, round int) (*dealt, error) {
	opened, err := open(l, at, c, seed, round)
	if err != nil {
		return nil, err
	}
	d := &dealt{cut: opened, rations: make([]ration, len(at.visitors)), known: at.known}
	for i, events := range at.visitors {
		number := i
		if i >= at.known {
			number = -1
		}
		if d.rations[i] = opened.of(number, events); number < 0 {
			d.rations[i].ask, d.rations[i].want = nil, nil
		}
	}
	return d, nil
}

// learned is what models may learn of the crowd.
func (d *dealt) learned() crowd {
	out := crowd{visitors: make([][]int32, len(d.rations)), known: d.known}
	for i, r := range d.rations {
		out.visitors[i] = r.learn
	}
	return out
}

// countCold counts who and what in the test nothing is known of.
func (d *Dataset) countCold(l *Log, test *dealt, numbers []int32) {
	for _, r := range test.rations {
		if len(r.want) > 0 && len(r.ask) == 0 {
			d.ColdUsers++
		}
		for _, e := range r.want {
			if numbers[l.Sessions.Items[e]] == unknownItem {
				d.ColdEvents++
			}
		}
	}
}

// userTest makes the cases of visitors: one each, whose query tells the last session of what is asked with as the running
// one and the rest as the history, and which wants every item of what is held out.
type userTest struct {
	log       *Log
	sessionOf []int32
}

func (u *userTest) of(d *dealt, numbers []int32, unseen bool, train *Part) *Test {
	now := d.now
	if now == 0 {
		now = train.Sessions.Newest()
	}
	t := &Test{Unit: UnitUser, Objective: NDCG, walk: func(visitor int, yield yields) {
		if c := u.ask(d.rations[visitor], numbers, unseen); len(c.Wanted) > 0 {
			if d.now != 0 || len(c.from.items) == 0 {
				c.Query.Now = time.UnixMilli(now)
			}
			yield(&c)
		}
	}}
	for visitor, r := range d.rations {
		for _, e := range r.want {
			if unseen || numbers[u.log.Sessions.Items[e]] != unknownItem {
				t.groups, t.counts = append(t.groups, visitor), append(t.counts, 1)
				break
			}
		}
	}
	return t
}

// ask makes the case of one visitor.
func (u *userTest) ask(r ration, numbers []int32, unseen bool) Case {
	var c Case
	for _, e := range r.want {
		if item := numbers[u.log.Sessions.Items[e]]; item != unknownItem || unseen {
			c.Wanted, c.from.wanted = append(c.Wanted, item), append(c.from.wanted, e)
		}
	}
	if len(r.want) > 0 {
		c.Query.Segment = u.log.Sessions.Session(int(u.sessionOf[r.want[0]])).Segment
	}
	for i, e := range r.ask {
		item := numbers[u.log.Sessions.Items[e]]
		known := item != unknownItem
		if u.sessionOf[e] == u.sessionOf[r.ask[len(r.ask)-1]] {
			c.from.items = append(c.from.items, e)
			if known {
				c.Query.Items = append(c.Query.Items, item)
			}
		} else {
			c.from.history = append(c.from.history, e)
			if known {
				c.Query.History = append(c.Query.History, item)
			}
		}
		if i == len(r.ask)-1 {
			c.Query.Now = time.UnixMilli(u.log.Sessions.Times[e])
		}
	}
	return c
}
