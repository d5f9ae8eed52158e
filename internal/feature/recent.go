package feature

import (
	"cmp"
	"slices"
	"strings"
)

// Seen is one member of a set of items: the item and when it was last met. A set of search terms has terms for items.
type Seen struct {
	ItemID string
	At     int64
}

// firstRoom is the room of a list with its first entry. Most visitors come for a few events: growing one by one would be most of
// what their lists cost.
const firstRoom = 4

// insert puts an entry into a list.
func insert[E any](list []E, at int, entry E) []E {
	if list == nil {
		list = make([]E, 0, firstRoom)
	}
	return slices.Insert(list, at, entry)
}

// newestFirst orders by time, newest first; ties go by id, so that the order does not depend on arrival.
func newestFirst(a, b Seen) int {
	if a.At != b.At {
		return cmp.Compare(b.At, a.At)
	}
	return cmp.Compare(a.ItemID, b.ItemID)
}

// addSeen puts an item into a set that is kept newest first and holds at most limit items, the most recent ones. It returns
// the item that has no place in the set any more, if any. The result does not depend on the order of the calls as long as
// nothing was pushed out.
func addSeen(set []Seen, s Seen, limit int) (kept []Seen, fell string) {
	for i := range set {
		if set[i].ItemID != s.ItemID {
			continue
		}
		if set[i].At >= s.At {
			return set, ""
		}
		set = slices.Delete(set, i, i+1)
		break
	}
	at, _ := slices.BinarySearchFunc(set, s, newestFirst)
	if at >= limit {
		return set, s.ItemID
	}
	if set = insert(set, at, s); len(set) > limit {
		set, fell = set[:limit], set[limit].ItemID
	}
	return set, fell
}

// Count is a decayed count with a name: a category or an event type.
type Count struct {
	Name string
	Decayed
}

// placeOf finds a name in counts sorted by name: its place, or the one that it would have. It is the search of every event
// in every list, hence no slices.BinarySearchFunc, which copies each entry that it compares.
func placeOf(counts []Count, name string) (at int, found bool) {
	end := len(counts)
	for at < end {
		mid := int(uint(at+end) / 2)
		switch order := strings.Compare(counts[mid].Name, name); {
		case order == 0:
			return mid, true
		case order < 0:
			at = mid + 1
		default:
			end = mid
		}
	}
	return at, false
}

// addCount counts name in a slice sorted by name that holds at most limit entries. Beyond it, the entry with the smallest
// slow count at now goes, the last one by name among equals.
func addCount(counts []Count, name string, d Decayed, limit int, now int64) []Count {
	at, found := placeOf(counts, name)
	if found {
		counts[at].Merge(d)
		return counts
	}
	counts = insert(counts, at, Count{Name: name, Decayed: d})
	if len(counts) <= limit {
		return counts
	}
	least := weakest(counts, Fortnight, now)
	return slices.Delete(counts, least, least+1)
}

// addCounts adds every count of another slice.
func addCounts(counts, others []Count, limit int, now int64) []Count {
	for _, c := range others {
		counts = addCount(counts, c.Name, c.Decayed, limit, now)
	}
	return counts
}
