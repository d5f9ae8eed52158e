package serving

import (
	"slices"
	"strconv"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/registry"
)

// maxFreshSessions is how many of the newest closed sessions of a site a node keeps, which go over its model: hours of a
// large shop, and weeks of a small one. At five items each they take 8 MB, at worst 80 MB.
const maxFreshSessions = 20_000

// maxMoves is how many changes of a site's sessions are told one by one: more than come between two renewals of what lies over its model.
const maxMoves = 4_096

// freshSession is a closed session as far as a list can follow from it. It says nothing of who the visitor was.
type freshSession struct {
	partition     int32
	epoch, offset int64 // the last event of its profile that it knows of
	items         []string
	times         []int64
}

// freshSessions are the newest closed sessions of one site, in the order in which they came. A session that comes again
// replaces itself.
type freshSessions struct {
	byID    map[string]*freshSession
	order   []string      // ids; the oldest first
	changes int64         // so far
	moves   [][3][]string // the items of the sessions that the last changes took away and brought, at most 2 * maxMoves changes
	told    string        // the version of which was said that they cannot be laid over all of it
}

// add takes a session, unless it is known as it is or as it was later.
func (f *freshSessions) add(c *event.ClosedSession) {
	id := c.ProfileID + "\x00" + c.SessionID
	known := f.byID[id]
	if known != nil && (c.Epoch < known.epoch || c.Epoch == known.epoch && c.Offset <= known.offset) {
		return // written again after a crash
	}
	s := &freshSession{partition: c.Partition, epoch: c.Epoch, offset: c.Offset}
	for _, item := range c.Items[max(0, len(c.Items)-maxFreshItems):] {
		s.items, s.times = append(s.items, item.ItemID), append(s.times, item.OccurredAt.UnixMilli())
	}
	moved := [3][]string{s.items}
	if known == nil {
		f.order = append(f.order, id)
	} else {
		moved[1] = known.items
	}
	f.byID[id] = s
	if len(f.order) > maxFreshSessions {
		moved[2] = f.byID[f.order[0]].items
		delete(f.byID, f.order[0])
		f.order = f.order[1:]
	}
	f.move(moved)
}

// move counts a change.
func (f *freshSessions) move(items [3][]string) {
	f.changes++
	if len(f.moves) == 2*maxMoves {
		f.moves = slices.Clone(f.moves[maxMoves:])
	}
	f.moves = append(f.moves, items)
}

// movedSince are the items below known of a vocabulary that were in sessions which came, changed or went since a number of changes; ok is
// false where those are too many to tell.
func (f *freshSessions) movedSince(changes int64, vocabulary *model.Vocabulary, known int) (moved []int32, ok bool) {
	n := f.changes - changes
	if n > int64(len(f.moves)) {
		return nil, false
	}
	for _, sessions := range f.moves[len(f.moves)-int(n):] {
		for _, items := range sessions {
			for _, item := range items {
				if i, ok := vocabulary.Index(item); ok && int(i) < known {
					moved = append(moved, i)
				}
			}
		}
	}
	return moved, true
}

// behind returns the sessions that a version was not trained on, over its vocabulary, which they extend.
func (f *freshSessions) behind(source registry.Source, below *model.Vocabulary) (*model.Sessions, *model.Vocabulary) {
	fences := make(map[int32]int64, len(source.Fences))
	for partition, next := range source.Fences {
		if n, err := strconv.ParseInt(partition, 10, 32); err == nil {
			fences[int32(n)] = next
		}
	}
	sessions, vocabulary := &model.Sessions{}, below.Over()
	var items []int32
	for _, id := range f.order {
		s := f.byID[id]
		if trainedOn(source.Epoch, fences, s) || len(s.items) < 2 {
			continue
		}
		items = items[:0]
		for _, item := range s.items {
			items = append(items, vocabulary.Add(item))
		}
		sessions.Append(items, s.times)
	}
	return sessions, vocabulary
}

// trainedOn reports whether a version has all of a session's events. One that was running when the version was trained goes
// over it whole, or its new items would not meet the old: what the version has of it counts twice until the next one.
func trainedOn(epoch int64, fences map[int32]int64, s *freshSession) bool {
	if epoch != 0 && s.epoch != epoch {
		return s.epoch < epoch
	}
	return s.offset < fences[s.partition]
}
