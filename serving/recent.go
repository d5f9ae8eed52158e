package serving

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// maxRecentBytes bounds the lists that a node remembers: some 30,000 compact records.
	maxRecentBytes = 64 << 20
	// recentAge bounds how long: pages are asked for more within minutes, and what a person is shown should not stay in memory for
	// days in a shop where little happens.
	recentAge = time.Hour
	// recentOverhead is what a list costs beside its record.
	recentOverhead = 200
)

// recentLists are the records of the lists that this node has answered last, the oldest first, by rec_id. They are the tail of the
// log of exposures, in memory.
type recentLists struct {
	mu     sync.Mutex // guards what is below
	lists  []listed   // a queue: those before head are gone
	head   int
	first  int64               // the number of lists[head]
	byID   map[uuid.UUID]int64 // its number
	ids    []uuid.UUID         // beside lists
	bytes  int
	newest time.Time
}

func newRecentLists() *recentLists { return &recentLists{byID: map[uuid.UUID]int64{}} }

// add remembers a list, and forgets the oldest where there is no room.
func (r *recentLists) add(id uuid.UUID, l listed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byID[id] = r.first + int64(len(r.lists)-r.head)
	r.lists, r.ids = append(r.lists, l), append(r.ids, id)
	r.bytes += len(l.value) + recentOverhead
	if l.at.After(r.newest) {
		r.newest = l.at
	}
	for len(r.lists)-r.head > 1 && (r.bytes > maxRecentBytes || r.newest.Sub(r.lists[r.head].at) > recentAge) {
		r.forget()
	}
}

// forget drops the oldest list.
func (r *recentLists) forget() {
	if r.byID[r.ids[r.head]] == r.first {
		delete(r.byID, r.ids[r.head])
	}
	r.bytes -= len(r.lists[r.head].value) + recentOverhead
	r.lists[r.head] = listed{}
	r.head++
	r.first++
	if r.head >= len(r.lists)-r.head { // half of the queue is gone: each list is moved once on average
		n := copy(r.lists, r.lists[r.head:])
		clear(r.lists[n:])
		r.lists = r.lists[:n]
		r.ids = r.ids[:copy(r.ids, r.ids[r.head:])]
		r.head = 0
	}
}

// find returns the record of a list, which must not be changed.
func (r *recentLists) find(key string, id uuid.UUID) (value []byte, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	number, ok := r.byID[id]
	if !ok {
		return nil, false
	}
	l := r.lists[r.head+int(number-r.first)]
	return l.value, l.key == key
}
