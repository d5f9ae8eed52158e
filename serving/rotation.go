package serving

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/millrace/millrace/internal/control"
)

const (
	// maxRotatedVisitors and maxRotatedItems bound what a node remembers of the lists of visitors: those who asked last, and of each what
	// was shown last. Together they take some 20 MiB.
	maxRotatedVisitors = 16_384
	maxRotatedItems    = 64
	// rotationFactor is what each time counts that an item was shown in vain, after the first; rotationFloor is where that ends: what
	// suits a visitor best by far stays in the list, further down.
	rotationFactor = 0.9
	rotationFloor  = 0.5
	// rotationHalfLife is after how long a time counts half.
	rotationHalfLife = 24 * time.Hour
)

// rotation remembers what the lists of a placement that rotates have shown lately to each visitor. It knows the lists of this node alone:
// it is whole where requests of one visitor go to one node. It holds hashes of ids, which nobody can read, so nothing of a person. It
// is safe for concurrent use.
type rotation struct {
	seed     maphash.Seed
	mu       sync.Mutex // guards visitors
	visitors *simplelru.LRU[uint64, []rotated]
}

// rotated is an item that was shown to a visitor.
type rotated struct {
	item  uint64  // hash of its id
	at    int64   // the last time, in Unix milliseconds
	times float64 // as of then, each counting less the longer ago it is
}

func newRotation() *rotation {
	visitors, _ := simplelru.NewLRU[uint64, []rotated](maxRotatedVisitors, nil) // fails only for a size below 1
	return &rotation{seed: maphash.MakeSeed(), visitors: visitors}
}

// rotates reports whether lists of a kind rotate under its settings: by themselves those of a home page, which people come back to. Facts
// stay where they are.
func (s *Settings) rotates(kind string) bool {
	if s.Rotation != nil {
		return *s.Rotation && !showsFacts(kind)
	}
	return kind == control.KindHome
}

// visitor is the hash of a visitor, whose profile's id names the site, too.
func (r *rotation) visitor(profileID string) uint64 { return maphash.String(r.seed, profileID) }

// shownTo appends what was shown to a visitor, by hash.
func (r *rotation) shownTo(dst []rotated, profileID string) []rotated {
	r.mu.Lock()
	defer r.mu.Unlock()
	items, _ := r.visitors.Get(r.visitor(profileID))
	return append(dst, items...)
}

// show remembers a list.
func (r *rotation) show(profileID string, shown []shownItem, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	visitor := r.visitor(profileID)
	items, _ := r.visitors.Get(visitor)
	for _, item := range shown {
		hash := maphash.String(r.seed, item.id)
		i, known := slices.BinarySearchFunc(items, hash, func(it rotated, hash uint64) int { return cmp.Compare(it.item, hash) })
		if !known {
			items = slices.Insert(items, i, rotated{item: hash})
		}
		items[i].times = items[i].timesAt(now) + 1
		items[i].at = now.UnixMilli()
	}
	for len(items) > maxRotatedItems {
		oldest := 0
		for i := range items {
			if items[i].at < items[oldest].at {
				oldest = i
			}
		}
		items = slices.Delete(items, oldest, oldest+1)
	}
	r.visitors.Add(visitor, items)
}

// timesAt is how often an item was shown, as of now.
func (it rotated) timesAt(now time.Time) float64 {
	ago := max(0, now.UnixMilli()-it.at)
	return it.times * math.Exp2(-float64(ago)/float64(rotationHalfLife.Milliseconds()))
}

// sinks is what the score of an item is multiplied by.
func (it rotated) sinks(now time.Time) float64 {
	return max(rotationFloor, math.Pow(rotationFactor, max(0, it.timesAt(now)-1)))
}

// rotate sinks, of a stage's candidates, what was shown lately to the visitor and left alone since.
func (q *query) rotate(ranked *ranking) {
	if len(q.mem.rotated) == 0 && len(q.sunk) == 0 {
		return
	}
	for _, c := range ranked.heap {
		if factor := q.sinks(c.id); factor < 1 {
			c.score *= factor
			q.mem.trace.sank(c.id, factor)
		}
	}
	ranked.order()
}

// sinks is what the score of an item is multiplied by: of a list that is made again, as its record has it.
func (q *query) sinks(id string) float64 {
	if q.sunk != nil {
		return cmp.Or(q.sunk[id], 1)
	}
	hash := maphash.String(q.rotation.seed, id)
	i, known := slices.BinarySearchFunc(q.mem.rotated, hash, func(it rotated, hash uint64) int { return cmp.Compare(it.item, hash) })
	if !known || q.visitor.interactedSince(id, q.mem.rotated[i].at) {
		return 1
	}
	return q.mem.rotated[i].sinks(q.now)
}

// interactedSince reports whether the visitor has had to do with an item since a moment, in Unix milliseconds.
func (v *visitor) interactedSince(id string, at int64) bool {
	for i := range v.profile.Seen {
		if v.profile.Seen[i].ItemID == id {
			return v.profile.Seen[i].At >= at
		}
	}
	return false
}

// recallShown reads what was shown to the visitor, where the placement rotates.
func (q *query) recallShown(r *rotation) {
	if q.settings.rotates(q.placement.Kind) && q.visitor.profileID != "" {
		q.rotation = r
		q.mem.rotated = r.shownTo(q.mem.rotated[:0], q.visitor.profileID)
	}
}

// shows remembers the list as shown.
func (s *selection) shows() {
	if q := s.query; q.rotation != nil && len(s.shown) > 0 {
		q.rotation.show(q.visitor.profileID, s.shown, q.now)
	}
}
