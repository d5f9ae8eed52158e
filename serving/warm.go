package serving

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/parallel"
)

// maxWarm is how many lists of a family are made before a version comes into force: some ten seconds of gentle work.
const maxWarm = 16_384

// warm makes the lists of product pages that are remembered of the version in force for the one that comes next, before it does: else
// every page of a busy shop would be worked out anew in the same second.
func (m *loadedModel) warm(ctx context.Context, before *loadedModel, now time.Time) {
	if before == nil {
		return
	}
	number := func(of int32) (int32, bool) { return m.Vocabulary.Index(before.Vocabulary.ID(of)) }
	var gently parallel.Gently
	m.pages.session.warm(ctx, &gently, m.session, &before.pages.session, number, now)
	m.pages.transitions.warm(ctx, &gently, m.transitions, &before.pages.transitions, number, now)
}

// warm makes the lists of another version again by a family, nil where there is none; number is what an item of that version is in this
// one.
func (l *familyLists) warm(ctx context.Context, gently *parallel.Gently, family model.Scorer, before *familyLists, number func(int32) (int32, bool), now time.Time) {
	if family == nil {
		return
	}
	scratch, left := make([]model.Scored, 0, minPerSource), maxWarm
	for i := range before.slots {
		list := before.slots[i].Load()
		if list == nil {
			continue
		}
		if left == 0 || ctx.Err() != nil {
			return
		}
		left--
		if of, ok := number(list.of); ok {
			gently.Stride()
			l.score(family, scratch, model.Query{Items: []int32{of}, Set: true, Now: now}, list.reach)
		}
	}
}
