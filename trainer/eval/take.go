package eval

import (
	"github.com/millrace/millrace/internal/model"
)

// role says what an event of a log is for. One may be for several: what parameters are chosen on is learned from by the
// models that are measured, unless a file says otherwise.
type role uint8

const (
	forTuneTrain role = 1 << iota
	forTrain
	forValid
	forTest
)

// roles says what every event is for.
type roles []role

func (r roles) give(events []int32, what role) {
	for _, e := range events {
		r[e] |= what
	}
}

// numbering are the new numbers of a log's items, by their numbers in the log; unknownItem for those that are left out.
type numbering struct {
	vocabulary *model.Vocabulary
	test       []int32 // of the items that models know when they are measured
	valid      []int32 // of those that they know while parameters are chosen
}

// number numbers the items of the training part, in the order in which it names them, and if asked the rest of the catalogue
// behind them.
func (l *Log) number(r roles, catalogue bool) numbering {
	n := numbering{vocabulary: model.NewVocabulary(), test: make([]int32, l.Vocabulary.Len()), valid: make([]int32, l.Vocabulary.Len())}
	for i := range n.test {
		n.test[i], n.valid[i] = unknownItem, unknownItem
	}
	for e, item := range l.Sessions.Items {
		if r[e]&forTrain != 0 && n.test[item] == unknownItem {
			n.test[item] = n.vocabulary.Add(l.Vocabulary.ID(item))
		}
	}
	if catalogue {
		for _, item := range l.Catalogue {
			n.test[item] = n.vocabulary.Add(l.Vocabulary.ID(item))
			n.valid[item] = n.test[item]
		}
	}
	for e, item := range l.Sessions.Items {
		if r[e]&forTuneTrain != 0 {
			n.valid[item] = n.test[item]
		}
	}
	return n
}

// picked are sessions under new item numbers, with the event of the log that each of their events is.
type picked struct {
	sessions *model.Sessions
	source   []int32
}

// pick copies the events of a role. Items without a number are left out unless unseen ones are asked for; what remains of
// a session must have a minimum of events.
func (l *Log) pick(r roles, what role, numbers []int32, unseen bool, minEvents int) picked {
	out := picked{sessions: &model.Sessions{}}
	for i := range l.Sessions.Len() {
		from := l.Sessions.Session(i)
		kept := model.Session{User: from.User, Segment: from.Segment}
		for e, item := range from.Items {
			event := l.Sessions.Offsets[i] + e
			if r[event]&what == 0 || numbers[item] == unknownItem && !unseen {
				continue
			}
			kept.Items, kept.Times = append(kept.Items, numbers[item]), append(kept.Times, from.Times[e])
			if from.Weights != nil {
				kept.Weights = append(kept.Weights, from.Weights[e])
			}
			out.source = append(out.source, int32(event))
		}
		if len(kept.Items) >= max(minEvents, 1) {
			out.sessions.Add(kept)
		} else {
			out.source = out.source[:len(out.source)-len(kept.Items)]
		}
	}
	return out
}

// part makes a part of the events of a role.
func (l *Log) part(r roles, what role, n numbering) *Part {
	p := l.pick(r, what, n.test, false, 1)
	out := NewPart(p.sessions, n.vocabulary.Len(), l.itemsOf(n))
	out.source = p.source
	if l.Orders != nil {
		for _, e := range p.source {
			out.Orders = append(out.Orders, l.Orders[e])
		}
	}
	return out
}

// itemsOf lists what is known of the items under their new numbers.
func (l *Log) itemsOf(n numbering) []Item {
	if l.Items == nil {
		return nil
	}
	out := make([]Item, n.vocabulary.Len())
	for item, said := range l.Items {
		if to := n.test[item]; to != unknownItem {
			out[to] = said
		}
	}
	return out
}
