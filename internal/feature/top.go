package feature

import (
	"cmp"
	"slices"
)

// Top is the heavy hitters of a stream of names, sorted by name: SpaceSaving (Metwally, Agrawal, El Abbadi 2005) over
// decayed counts. A newcomer to a full list takes the place of the weakest and inherits its count. So a count is never too
// small, at most the weakest count too large, and a name with more than 1/limit of all that was counted is never missing.
type Top []Count

// weakest is the index of the entry with the smallest count at now, the last by name among equals. Most entries are seen to
// be stronger than the weakest so far without an exponential.
func weakest(counts []Count, h HalfLife, now int64) int {
	found, least := 0, counts[0].Value(h, now)
	for i := 1; i < len(counts); i++ {
		if counts[i].atLeast(h, now) > least {
			continue
		}
		if v := counts[i].Value(h, now); v <= least {
			found, least = i, v
		}
	}
	return found
}

// add counts a name in a list of at most limit, weighed at the half-life h.
func (t Top) add(name string, d Decayed, limit int, h HalfLife, now int64) Top {
	at, found := placeOf(t, name)
	if found {
		t[at].Merge(d)
		return t
	}
	if len(t) < limit {
		return insert(t, at, Count{Name: name, Decayed: d})
	}
	w := weakest(t, h, now)
	d.Merge(t[w].Decayed)
	// The entries between the two places move by one; nothing is allocated.
	if w < at {
		at--
		copy(t[w:at], t[w+1:at+1])
	} else {
		copy(t[at+1:w+1], t[at:w])
	}
	t[at] = Count{Name: name, Decayed: d}
	return t
}

// merge adds another list (Agarwal et al., Mergeable Summaries, 2012): what a full list does not name may have had up to
// its weakest count there. The result is exact and independent of order while the lists are not full.
func (t Top) merge(o Top, limit int, h HalfLife, now int64) Top {
	if len(o) == 0 {
		return t
	}
	mine, others := t.floor(limit, h, now), o.floor(limit, h, now)
	sum := make(Top, 0, len(t)+len(o))
	for i, j := 0, 0; i < len(t) || j < len(o); {
		var c Count
		switch {
		case j == len(o) || i < len(t) && t[i].Name < o[j].Name:
			c = t[i]
			c.Merge(others)
			i++
		case i == len(t) || o[j].Name < t[i].Name:
			c = o[j]
			c.Merge(mine)
			j++
		default:
			c = t[i]
			c.Merge(o[j].Decayed)
			i, j = i+1, j+1
		}
		sum = append(sum, c)
	}
	if len(sum) <= limit {
		return sum
	}
	kept := make(Top, limit)
	for i, c := range sum.strongest(nil, h, now)[:limit] {
		kept[i] = *c.Count
	}
	slices.SortFunc(kept, func(a, b Count) int { return cmp.Compare(a.Name, b.Name) })
	return kept
}

// floor is what an unnamed entry may have counted: nothing while the list has room.
func (t Top) floor(limit int, h HalfLife, now int64) Decayed {
	if len(t) < limit {
		return Decayed{}
	}
	return t[weakest(t, h, now)].Decayed
}

// ranked is an entry and its count at some time.
type ranked struct {
	*Count
	now float64
}

// strongest appends the entries to list by their counts at now, the largest first.
func (t Top) strongest(list []ranked, h HalfLife, now int64) []ranked {
	for i := range t {
		list = append(list, ranked{&t[i], t[i].Value(h, now)})
	}
	slices.SortFunc(list, func(a, b ranked) int { return cmp.Or(cmp.Compare(b.now, a.now), cmp.Compare(a.Name, b.Name)) })
	return list
}
