package eval

import (
	"slices"

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

// roles returns the role of every event.
func (p parts) roles(l *Log) []role {
	out := make([]role, l.Sessions.Events())
	give := func(sessions []int, r role) {
		for _, i := range sessions {
			for e := l.Sessions.Offsets[i]; e < l.Sessions.Offsets[i+1]; e++ {
				out[e] |= r
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

// taken are the sessions of each role, their items numbered anew.
type taken struct {
	vocabulary                    *model.Vocabulary // the items of train
	train, tuneTrain, valid, test *model.Sessions
}

// take numbers the items of the training part anew, in their order, and takes the sessions apart. Sessions to be asked
// about need two events.
func (l *Log) take(roles []role, includeUnseen bool) *taken {
	t := &taken{vocabulary: model.NewVocabulary()}
	renumbered := make([]int32, l.Vocabulary.Len())
	for i := range renumbered {
		renumbered[i] = unknownItem
	}
	for e, item := range l.Sessions.Items {
		if roles[e]&forTrain != 0 && renumbered[item] == unknownItem {
			renumbered[item] = t.vocabulary.Add(l.Vocabulary.ID(item))
		}
	}
	pick := func(r role, unseen bool, minEvents int) *model.Sessions {
		return l.pick(func(e int) bool { return roles[e]&r != 0 }, renumbered, unseen, minEvents)
	}
	t.train, t.test = pick(forTrain, false, 1), pick(forTest, includeUnseen, 2)
	t.tuneTrain = pick(forTuneTrain, false, 1)
	known := make([]bool, t.vocabulary.Len())
	for _, item := range t.tuneTrain.Items {
		known[item] = true
	}
	for i, item := range renumbered {
		if item != unknownItem && !known[item] {
			renumbered[i] = unknownItem
		}
	}
	t.valid = pick(forValid, includeUnseen, 2)
	return t
}

// pick copies the wanted events of all sessions under new item numbers. Items without one are left out unless unseen ones
// are asked for; what remains of a session must have a minimum of events.
func (l *Log) pick(wanted func(event int) bool, renumbered []int32, unseen bool, minEvents int) *model.Sessions {
	out := &model.Sessions{}
	var kept model.Session
	for i := range l.Sessions.Len() {
		from := l.Sessions.Session(i)
		kept.Items, kept.Times, kept.Weights = kept.Items[:0], kept.Times[:0], kept.Weights[:0]
		kept.User, kept.Segment = from.User, from.Segment
		for e, item := range from.Items {
			if to := renumbered[item]; wanted(l.Sessions.Offsets[i]+e) && (to != unknownItem || unseen) {
				kept.Items, kept.Times = append(kept.Items, to), append(kept.Times, from.Times[e])
				if from.Weights != nil {
					kept.Weights = append(kept.Weights, from.Weights[e])
				}
			}
		}
		if from.Weights == nil {
			kept.Weights = nil
		}
		if len(kept.Items) >= minEvents {
			out.Add(kept)
		}
	}
	out.Items = slices.Clip(out.Items)
	return out
}
