package eval

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/model"
)

// ErrLeak is a split that lets models know what they are asked: its figures would be worth nothing.
var ErrLeak = errors.New("leakage: the test knows its answers")

// checkLeaks looks at every case of both tests, and at both training parts, as they are handed to models: that each says
// what its events in the log say, that no event that is wanted is told or learned, and that the order of events is what the
// split promises. It follows only the evidence, not how the split was made.
func checkLeaks(l *Log, d *Dataset) error {
	for _, part := range []struct {
		name    string
		test    *Test
		train   *Part
		promise promise
	}{
		{"test", d.Test, d.Train, d.testPromise}, {"validation", d.Valid, d.TuneTrain, d.validPromise},
	} {
		w := &leakCheck{log: l, vocabulary: d.Vocabulary, promise: part.promise}
		if err := w.learn(part.train); err != nil {
			return fmt.Errorf("%w: training part of the %s: %w", ErrLeak, part.name, err)
		}
		if err := w.check(part.test); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrLeak, part.name, err)
		}
	}
	return nil
}

type leakCheck struct {
	log        *Log
	vocabulary *model.Vocabulary
	promise    promise
	learned    []bool  // by event
	newest     int64   // time of the newest learned event
	owns       []int32 // by visitor: the newest learned event, -1 for none
	users      []int32 // by event
}

// learn notes the events of a training part.
func (w *leakCheck) learn(p *Part) error {
	s := w.log.Sessions
	w.learned, w.newest = make([]bool, s.Events()), p.Sessions.Newest()
	if err := w.same(p.Sessions.Items, p.source); err != nil {
		return err
	}
	w.users = make([]int32, s.Events())
	for i := range s.Len() {
		for e := s.Offsets[i]; e < s.Offsets[i+1]; e++ {
			if w.users[e] = s.Session(i).User; int(w.users[e]) >= len(w.owns) {
				w.owns = append(w.owns, slices.Repeat([]int32{-1}, int(w.users[e])+1-len(w.owns))...)
			}
		}
	}
	for i, e := range p.source {
		if p.Sessions.Times[i] != s.Times[e] {
			return fmt.Errorf("event %d happened at %d, not at %d", e, s.Times[e], p.Sessions.Times[i])
		}
		w.learned[e] = true
		if user := w.users[e]; user != model.NoUser && (w.owns[user] < 0 || w.before(w.owns[user], e)) {
			w.owns[user] = e
		}
	}
	return nil
}

// same checks that items are those of events, in order; items that no model knows may be missing.
func (w *leakCheck) same(items, events []int32) error {
	at := 0
	for _, e := range events {
		if at < len(items) && items[at] == unknownItem {
			at++
			continue
		}
		id := w.log.Vocabulary.ID(w.log.Sessions.Items[e])
		if at < len(items) && w.vocabulary.ID(items[at]) == id {
			at++
		}
	}
	if at < len(items) {
		return fmt.Errorf("item %d of %d comes from none of its events", at, len(items))
	}
	return nil
}

// before is the order of events: by time, then as the log has them.
func (w *leakCheck) before(a, b int32) bool {
	ta, tb := w.log.Sessions.Times[a], w.log.Sessions.Times[b]
	return ta < tb || ta == tb && a < b
}

func (w *leakCheck) check(t *Test) error {
	for g := range t.Groups() {
		for c := range t.Group(g) {
			if err := w.checkCase(c); err != nil {
				return fmt.Errorf("%s %d: %w", t.Unit, g, err)
			}
		}
	}
	return nil
}

func (w *leakCheck) checkCase(c *Case) error {
	for items, events := range map[*[]int32][]int32{&c.Query.Items: c.from.items, &c.Query.History: c.from.history, &c.Wanted: c.from.wanted} {
		if err := w.same(*items, events); err != nil {
			return err
		}
	}
	for _, wanted := range c.from.wanted {
		if w.learned[wanted] {
			return fmt.Errorf("event %d is learned and wanted", wanted)
		}
		if w.promise.training == trainedBefore && w.log.Sessions.Times[wanted] <= w.newest {
			return fmt.Errorf("event %d is wanted, but models learn of a time up to %d ms after it", wanted, w.newest-w.log.Sessions.Times[wanted])
		}
		if user := w.users[wanted]; w.promise.training == trainedOwnBefore && w.owns[user] >= 0 && !w.before(w.owns[user], wanted) {
			return fmt.Errorf("event %d is wanted, but models learn of event %d of the same visitor", wanted, w.owns[user])
		}
		for _, told := range [][]int32{c.from.history, c.from.items} {
			if err := w.checkTold(told, wanted); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkTold looks at what a query tells beside one event that is wanted. Where the order is promised, the newest event that
// is told decides.
func (w *leakCheck) checkTold(told []int32, wanted int32) error {
	if slices.Contains(told, wanted) {
		return fmt.Errorf("event %d is told and wanted", wanted)
	}
	if !w.promise.order {
		return nil
	}
	for _, e := range told {
		if !w.before(e, wanted) {
			return fmt.Errorf("event %d is told, but did not happen before event %d, which is wanted", e, wanted)
		}
	}
	return nil
}
