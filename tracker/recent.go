package tracker

import (
	"sync"

	"github.com/cespare/xxhash/v2"
)

// recentIDs remembers the ids that were acknowledged lately, to report duplicates. It only counts: nothing is left out of
// Kafka because of it, so a collision of its 64-bit hashes can never lose an event. The guarantee is the stream's.
type recentIDs struct {
	half int // ids of one generation

	mu       sync.Mutex
	now, old map[uint64]struct{} // the older generation is forgotten when the newer one is full
}

// newRecentIDs remembers at least the last size/2 and at most size ids.
func newRecentIDs(size int) *recentIDs {
	return &recentIDs{half: max(1, size/2), now: make(map[uint64]struct{}), old: make(map[uint64]struct{})}
}

// add remembers ids of a site and returns how many were known already, or came twice in ids.
func (s *recentIDs) add(site string, ids []string) (known int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var d xxhash.Digest
	for _, id := range ids {
		d.Reset()
		_, _ = d.WriteString(site) // a digest never fails
		_, _ = d.WriteString("\x00")
		_, _ = d.WriteString(id)
		hash := d.Sum64()
		_, inNow := s.now[hash]
		_, inOld := s.old[hash]
		if inNow || inOld {
			known++
		}
		if inNow {
			continue
		}
		if len(s.now) >= s.half {
			s.old, s.now = s.now, make(map[uint64]struct{}, s.half)
		}
		s.now[hash] = struct{}{}
	}
	return known
}
