package content

import (
	"time"

	"github.com/millrace/millrace/internal/event"
)

// Len returns the number of items.
func (l *Live) Len() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.all.places)
}

// Item returns the item of an id as it was put, nil where there is none.
func (l *Live) Item(id string) *event.CatalogueItem {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if place, ok := l.all.places[id]; ok {
		return l.all.items[place]
	}
	return nil
}

// Query asks a Live.
type Query struct {
	Items []string             // oldest first; unknown ones count for nothing
	Set   bool                 // Items are an unordered set, such as a cart or one product: all weigh the same
	Skip  func(id string) bool // leaves an item out of the answer; nil for none
	Now   time.Time
}

// Similar is an item like those of a query.
type Similar struct {
	ID      string
	Score   float32 // cosine, above 0 and at most 1
	Because string  // the item of the query that it is most like
}

// Similar appends the k items that are most like those of the query to dst, best first: none of the query itself, none that may
// not be shown at the time of the query, none below MinScore. It allocates nothing.
func (l *Live) Similar(dst []Similar, q Query, k int) []Similar {
	s := l.pool.Get().(*scratch)
	defer l.pool.Put(s)
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !l.ask(s, q) {
		return dst
	}
	a := &l.all
	whole := s.search(&a.index)
	for _, id := range q.Items {
		if place, ok := a.places[id]; ok {
			s.leave(place)
		}
	}
	now := q.Now.UnixMilli()
	s.answers(&l.cfg, &a.index, k, whole, func(place int32) bool {
		return a.until[place] > now && (q.Skip == nil || !q.Skip(a.items[place].ItemID))
	}, func(found answer) {
		dst = append(dst, Similar{ID: a.items[found.place].ItemID, Score: found.score, Because: a.items[found.because].ItemID})
	})
	return dst
}

// Compare appends to dst how much each of the given items is like those of the query, in their order; 0 where nothing is known of
// it or nothing is alike. It allocates nothing.
func (l *Live) Compare(dst []Similar, q Query, ids []string) []Similar {
	s := l.pool.Get().(*scratch)
	defer l.pool.Put(s)
	l.mu.RLock()
	defer l.mu.RUnlock()
	known := l.ask(s, q)
	for _, id := range ids {
		one := Similar{ID: id}
		if place, ok := l.all.places[id]; ok && known && len(l.all.vectors[place]) > 0 {
			if score, because := s.compare(l.all.vectors[place]); score > 0 {
				one.Score, one.Because = score, l.all.items[because].ItemID
			}
		}
		dst = append(dst, one)
	}
	return dst
}

func (l *Live) ask(s *scratch, q Query) bool {
	return s.ask(&l.cfg, &l.all.index, len(q.Items), q.Set, func(i int) int32 {
		if place, ok := l.all.places[q.Items[i]]; ok {
			return place
		}
		return -1
	})
}
