package onlinestore

import (
	"bytes"
	"hash/maphash"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// recentShards keep readers of different rows out of each other's way.
	recentShards = 64
	// recentBytes bounds what is remembered of rows that were read: those of some 20,000 visitors (about 2 KiB each).
	recentBytes = 48 << 20
	// maxRecentRow is the longest row that is remembered.
	maxRecentRow = 8 << 10
	// recentOverhead is what a remembered row takes beside its bytes.
	recentOverhead = 200
)

// recentRows remember the rows that were read last, and which of them are not there. Whoever looks at a shop is asked for with every
// page, and a look into the database goes through some seven blocks of its cache. They are safe for concurrent use.
type recentRows struct {
	seed   maphash.Seed
	shards [recentShards]recentShard
}

type recentShard struct {
	mu     sync.Mutex
	writes uint64 // of its keys, so far
	bytes  int
	rows   *simplelru.LRU[string, recentRow]
}

// recentRow is what was found under a key.
type recentRow struct {
	Row
	there bool
}

func (r *recentRow) size(key string) int { return len(key) + len(r.Value) + recentOverhead }

func newRecentRows() *recentRows {
	r := &recentRows{seed: maphash.MakeSeed()}
	for i := range r.shards {
		s := &r.shards[i]
		// The bound in bytes comes first; this one can never be reached before it.
		s.rows, _ = simplelru.NewLRU(recentBytes/recentShards/recentOverhead, func(key string, row recentRow) { s.bytes -= row.size(key) })
	}
	return r
}

func (r *recentRows) shard(key string) *recentShard {
	return &r.shards[maphash.String(r.seed, key)%recentShards]
}

// get returns what is remembered. Where that is nothing, known is false, and writes is to be given to add with what the database has.
func (r *recentRows) get(key string) (row recentRow, writes uint64, known bool) {
	s := r.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	row, known = s.rows.Get(key)
	return row, s.writes, known
}

// add remembers what the database had under a key, unless something was written since get: that may be older.
func (r *recentRows) add(key string, row recentRow, writes uint64) {
	s := r.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes == writes && len(row.Value) <= maxRecentRow {
		s.keep(key, row)
	}
}

// wrote takes over what the database has now. Rows that nobody has read lately are not remembered for that.
func (r *recentRows) wrote(row Row) {
	s := r.shard(row.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if !s.rows.Remove(row.Key) || len(row.Value) > maxRecentRow {
		return
	}
	row.Value = bytes.Clone(row.Value)
	s.keep(row.Key, recentRow{row, true})
}

// forget forgets what is remembered of a key.
func (r *recentRows) forget(key string) {
	s := r.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	s.rows.Remove(key)
}

// reset forgets all.
func (r *recentRows) reset() {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		s.writes++
		s.rows.Purge()
		s.mu.Unlock()
	}
}

// keep remembers a row that is not there. The caller holds mu.
func (s *recentShard) keep(key string, row recentRow) {
	s.rows.Remove(key)
	s.rows.Add(key, row)
	s.bytes += row.size(key)
	for s.bytes > recentBytes/recentShards {
		s.rows.RemoveOldest()
	}
}
