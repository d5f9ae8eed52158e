package serving

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/blend"
)

const (
	// maxHistory is how many interactions from before the running session a model is asked with, the newest.
	maxHistory = 200
	// segmentContext is the entry of a request's context that names the visitor's segment, as training takes it from events.
	segmentContext = "device"
)

// askPersonal asks for what follows from what the visitor does: the blend, where the version has one and it has anything to say, and
// else the session model.
func (q *query) askPersonal(weight float64) {
	if !q.askBlend(weight) {
		q.propose(q.fromSession(weight))
	}
}

// askBlend asks the blend of the version: a source for each family, so weighted that together they are the blend's scores, the best of
// which is brought to weight. It reports whether the blend has anything to say.
func (q *query) askBlend(weight float64) bool {
	if q.model == nil || q.model.blend == nil {
		return false
	}
	ask := model.Query{Segment: q.request.Context[segmentContext], Only: q.only(), Now: q.now}
	ask.Items, ask.History = q.told()
	if len(ask.Items)+len(ask.History) == 0 {
		return false
	}
	list := q.model.blend.Blend(q.mem.blended[:0], ask, q.reach())
	q.mem.blended = list
	if len(list) == 0 {
		return false
	}
	scale := weight / float64(list[0].Score)
	for member, family := range q.model.blend.Config().Members {
		s := source{family: family, weight: scale, scale: 1, model: true, items: q.mem.proposals.take(len(list))}
		if q.profileLost && q.placement.Kind == control.KindHome {
			s.rung = rungSession
		}
		for i := range list {
			if list[i].Parts[member] > 0 {
				s.items = append(s.items, q.blended(&list[i], member))
			}
		}
		q.propose(s)
	}
	return true
}

// blended is what one family says of an item.
func (q *query) blended(item *blend.Blended, member int) proposal {
	p := proposal{id: q.model.Vocabulary.ID(item.Item), score: float64(item.Parts[member])}
	if cause := item.Causes[member]; cause != model.NoCause {
		p.origin = q.model.Vocabulary.ID(cause)
	}
	return p
}

// sessionRuns reports whether what the visitor does now belongs to the last session of the profile.
func (q *query) sessionRuns() bool {
	s := &q.visitor.profile.Session
	return event.DefaultSessionRule().Continues(time.UnixMilli(s.StartedAt), time.UnixMilli(s.LastAt), q.now)
}

// told is what a model that tells the running session from what was before it is asked with. Without a profile the items of the
// request are the session; a session that is over is history.
func (q *query) told() (session, history []int32) {
	p, v := &q.visitor.profile, q.model.Vocabulary
	session, history = q.mem.indices[:0], q.mem.history[:0]
	add := func(to []int32, id string) []int32 {
		if i, ok := v.Index(id); ok {
			to = append(to, i)
		}
		return to
	}
	running := q.sessionRuns()
	if running {
		for _, seen := range p.Session.Items {
			session = add(session, seen.ItemID)
		}
	}
	for _, id := range q.request.ItemIDs {
		if !running || !slices.ContainsFunc(p.Session.Items, func(s feature.Seen) bool { return s.ItemID == id }) {
			session = add(session, id) // seen by the caller, not yet by the profile
		}
	}
	for _, in := range slices.Backward(p.Interactions[:min(len(p.Interactions), maxHistory)]) {
		if !running || in.OccurredAt < p.Session.StartedAt {
			history = add(history, in.ItemID)
		}
	}
	q.mem.indices, q.mem.history = session, history
	return session, history
}
