package content

import "time"

// Len returns the number of items.
func (l *Live) Len() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.all.places.Len()
}

// Has reports whether an item is there.
func (l *Live) Has(id string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, ok := l.all.place(id)
	return ok
}

// Query asks a Live.
type Query struct {
	Items []string // oldest first; unknown ones count for nothing
	Set   bool     // Items are an unordered set, such as a cart or one product: all weigh the same
	// Skip leaves an item out of the answer; nil for none. Number is what it was known by when it was put (NewLive).
	Skip func(number int32, id string) bool
	Now  time.Time
}

// Similar is an item like those of a query.
type Similar struct {
	ID      string
	Score   float32 // cosine, above 0 and at most 1
	Because string  // the item of the query that it is most like
}

// Similar appends the k items that are most like those of the query to dst, best first: none of the query itself, none that may
// not be shown at the time of the query, none below MinScore. It allocates nothing, but
// what it remembers of single items (near).
func (l *Live) Similar(dst []Similar, q Query, k int) []Similar {
	s := l.pool.Get().(*scratch)
	defer l.pool.Put(s)
	l.mu.RLock()
	defer l.mu.RUnlock()
	a, now := l.all, q.Now.UnixMilli()
	if !a.ask(s, q) {
		return dst
	}
	if len(q.Items) == 1 && k <= maxNear {
		if answered, ok := a.nearest(dst, s, k, now, q.Skip); ok {
			return answered
		}
	}
	a.find(s, k, now, q.Skip, func(found answer) {
		dst = append(dst, Similar{ID: a.ids[found.place], Score: found.score, Because: a.ids[found.because]})
	})
	return dst
}

// find searches for what scratch has been asked, but for what is skipped; a nil skip skips none.
func (a *liveItems) find(s *scratch, k int, now int64, skip func(number int32, id string) bool, yield func(answer)) {
	s.search(&a.index)
	for _, place := range s.left {
		s.leave(place)
	}
	s.answers(&a.cfg, &a.index, k, func(place int32) bool {
		return a.until[place] > now && (skip == nil || !skip(a.known[place], a.ids[place]))
	}, yield)
}

// Compare appends to dst how much each of the given items is like those of the query, in their order; 0 where nothing is known of
// it or nothing is alike. It allocates nothing.
func (l *Live) Compare(dst []Similar, q Query, ids []string) []Similar {
	s := l.pool.Get().(*scratch)
	defer l.pool.Put(s)
	l.mu.RLock()
	defer l.mu.RUnlock()
	known := l.all.ask(s, q)
	for _, id := range ids {
		one := Similar{ID: id}
		if place, ok := l.all.place(id); ok && known && l.all.vectors.sizes[place] > 0 {
			if score, because := s.compare(l.all.vectors.at(place)); score > 0 {
				one.Score, one.Because = score, l.all.ids[because]
			}
		}
		dst = append(dst, one)
	}
	return dst
}

// ask asks scratch for the items of a query; what it asked for is no answer. It reports whether any is known.
func (a *liveItems) ask(s *scratch, q Query) bool {
	s.left = s.left[:0]
	for _, id := range q.Items {
		if place, ok := a.place(id); ok {
			s.left = append(s.left, place)
		}
	}
	return s.ask(&a.cfg, &a.index, len(q.Items), q.Set, func(i int) int32 {
		if place, ok := a.place(q.Items[i]); ok {
			return place
		}
		return -1
	})
}
