package content

import (
	"context"

	"github.com/millrace/millrace/internal/parallel"
)

const (
	// warmSlots is how many places for lists are looked through while changes wait.
	warmSlots = 256
	// maxWarm is how many lists are made again: some ten seconds of gentle work.
	maxWarm = 16_384
)

// warm makes the lists again that are remembered of single items (near) in what comes into force after this: all at once, the product
// pages of a busy shop would keep its processors for seconds. Nobody else knows anew yet, and the caller holds renewing.
func (l *Live) warm(ctx context.Context, gently *parallel.Gently, anew *liveItems) {
	s := l.pool.Get().(*scratch)
	defer l.pool.Put(s)
	made := 0
	for from := 0; from < len(l.all.near.slots) && made < maxWarm && ctx.Err() == nil; from += warmSlots {
		lists := l.remembered(from)
		made += len(lists)
		for _, list := range lists {
			gently.Stride()
			if anew.ask(s, Query{Items: []string{list.id}, Set: true}) {
				anew.remember(s, list.answers, list.made)
			}
		}
	}
}

// namedList is a remembered list as far as it is the same of every state of the items.
type namedList struct {
	id      string
	answers int // how many were looked for
	made    int64
}

// remembered are the lists of some places.
func (l *Live) remembered(from int) (lists []namedList) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	slots := l.all.near.slots
	for i := from; i < min(from+warmSlots, len(slots)); i++ {
		if list := slots[i].Load(); list != nil {
			lists = append(lists, namedList{l.all.ids[list.of], cap(list.answers), list.made})
		}
	}
	return lists
}
