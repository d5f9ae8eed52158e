package content

import (
	"cmp"
	"slices"
	"sync/atomic"
)

const (
	// maxNearLists is how many lists of what is like one item are remembered at most, of some 700 bytes each: the product pages of an
	// hour. A small catalogue has places for its items alone, and a growing one for minNearLists until it is taken in anew.
	maxNearLists, minNearLists = 65_536, 1_024
	// nearSpare is how many answers more than asked for are remembered: so many may be dropped before a list is made again.
	nearSpare = 32
	// maxNear is the longest list that is remembered.
	maxNear = 512
	// maxNews is after how many items that came or changed a list is made again instead of being compared with them: it costs a
	// tenth of that.
	maxNews = 64
)

// near remembers what is like single items, because that is what product pages ask, again and again. A list stays right while the
// catalogue changes: an item that changes moves to a new place, so what has a later place than a list was made with is new to it,
// and what it names that is gone is dropped. It belongs to one state of liveItems, and is safe for concurrent use.
type near struct{ slots []atomic.Pointer[nearList] }

// nearList is what was like one item. It never changes.
type nearList struct {
	of      int32
	upTo    int   // places that it knows
	made    int64 // Unix milliseconds: what had expired then is not in it
	whole   bool  // there was nothing else
	answers []nearAnswer
}

type nearAnswer struct {
	place int32
	score float32
}

// newNear has a place for each of so many items, within the bounds.
func newNear(items int) near {
	return near{make([]atomic.Pointer[nearList], min(max(items, minNearLists), maxNearLists))}
}

func (n near) slot(of int32) *atomic.Pointer[nearList] { return &n.slots[int(of)%len(n.slots)] }

// get returns the list of an item that can be brought up to a time, or nil.
func (n near) get(of int32, places int, now int64) *nearList {
	list := n.slot(of).Load()
	if list == nil || list.of != of || list.made > now || places-list.upTo > maxNews {
		return nil
	}
	return list
}

// nearest is Similar of a single item, which scratch has been asked; ok is false where more is skipped than lists have to spare.
func (a *liveItems) nearest(dst []Similar, s *scratch, k int, now int64, skip func(number int32, id string) bool) (answered []Similar, ok bool) {
	of := s.items[0].place
	if list := a.near.get(of, a.vectors.len(), now); list != nil {
		if answered, ok = a.update(dst, s, list, k, now, skip); ok || list.upTo == a.vectors.len() && len(list.answers) >= k+nearSpare {
			return answered, ok
		}
	}
	return a.update(dst, s, a.remember(s, k+nearSpare, now), k, now, skip)
}

// remember makes the list of n answers of a single item, which scratch has been asked.
func (a *liveItems) remember(s *scratch, n int, now int64) *nearList {
	list := &nearList{of: s.items[0].place, upTo: a.vectors.len(), made: now, answers: make([]nearAnswer, 0, n)}
	a.find(s, n, now, nil, func(found answer) {
		list.answers = append(list.answers, nearAnswer{found.place, found.score})
	})
	list.whole = len(list.answers) < n
	a.near.slot(list.of).Store(list)
	return list
}

// update appends the k best of a list and of what came after it; ok is false where too much of the list is gone to say.
func (a *liveItems) update(dst []Similar, s *scratch, list *nearList, k int, now int64, skip func(number int32, id string) bool) (updated []Similar, ok bool) {
	start := len(dst)
	because := a.ids[list.of]
	full := func() bool { return len(dst)-start >= k }
	add := func(found nearAnswer) {
		if id := a.ids[found.place]; skip == nil || !skip(a.known[found.place], id) {
			dst = append(dst, Similar{ID: id, Score: found.score, Because: because})
		}
	}
	news := a.news(s, list, now)
	for _, old := range list.answers {
		if a.vectors.sizes[old.place] == 0 || a.until[old.place] <= now {
			continue
		}
		for len(news) > 0 && news[0].score > old.score && !full() {
			add(news[0])
			news = news[1:]
		}
		if full() {
			return dst, true
		}
		add(old)
	}
	if !list.whole && !full() {
		return dst[:start], false // what would follow was never looked at
	}
	for ; len(news) > 0 && !full(); news = news[1:] {
		add(news[0])
	}
	return dst, true
}

// news are the answers that a list does not know, best first, ties to the lower place.
func (a *liveItems) news(s *scratch, list *nearList, now int64) []nearAnswer {
	s.news = s.news[:0]
	for place := list.upTo; place < a.vectors.len(); place++ {
		if vector := a.vectors.at(int32(place)); len(vector) > 0 && a.until[place] > now {
			if score, _ := s.compare(vector); float64(score) >= a.cfg.MinScore {
				s.news = append(s.news, nearAnswer{int32(place), score})
			}
		}
	}
	slices.SortFunc(s.news, func(a, b nearAnswer) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.place, b.place))
	})
	return s.news
}
