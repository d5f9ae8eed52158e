// Package ratelimit bounds how many requests a key or a network makes. It counts in this process alone, in a bounded memory:
// several processes allow several times as much, and no request waits for another machine to be counted.
package ratelimit

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// shards is how many locks a table has: enough that two processors hardly ever wait for one.
	shards = 64
	// burst is how many seconds of its rate somebody who was silent may ask at once.
	burst = 2
	// minBurst lets the lowest rates ask for a page with several lists.
	minBurst = 10
	// evicted is the share of a full shard, one in so many, that makes room where nobody in it has been silent.
	evicted = 8
)

// table holds a token bucket each for at most shards*perShard callers. A bucket that is full again says nothing and is
// forgotten; where all are in use, some are forgotten early, and their callers get a fresh one.
type table[K comparable] struct {
	seed     maphash.Seed
	perShard int
	shards   [shards]shard[K]
}

type shard[K comparable] struct {
	mu      sync.Mutex // guards buckets
	buckets map[K]*rate.Limiter
}

func newTable[K comparable](perShard int) *table[K] {
	t := &table[K]{seed: maphash.MakeSeed(), perShard: perShard}
	for i := range t.shards {
		t.shards[i].buckets = map[K]*rate.Limiter{}
	}
	return t
}

// verdict is what a caller is told.
type verdict struct {
	allowed   bool
	burst     int           // requests that a full bucket holds
	remaining int           // of them
	reset     time.Duration // until the bucket is full
	retry     time.Duration // until the next request is allowed
}

// take takes a request from a caller's bucket, which has perSecond when it is made.
func (t *table[K]) take(caller K, perSecond float64, now time.Time) verdict {
	s := &t.shards[maphash.Comparable(t.seed, caller)%shards]
	s.mu.Lock()
	bucket := s.buckets[caller]
	if bucket == nil || bucket.Limit() != rate.Limit(perSecond) {
		if len(s.buckets) >= t.perShard {
			s.makeRoom(now)
		}
		bucket = rate.NewLimiter(rate.Limit(perSecond), max(minBurst, int(burst*perSecond)))
		s.buckets[caller] = bucket
	}
	s.mu.Unlock()
	allowed := bucket.AllowN(now, 1)
	v := verdict{allowed: allowed, burst: bucket.Burst()}
	left := bucket.TokensAt(now)
	v.remaining = max(0, int(left))
	v.reset = seconds((float64(v.burst) - left) / perSecond)
	v.retry = seconds((1 - left) / perSecond)
	return v
}

func seconds(s float64) time.Duration { return time.Duration(max(0, s) * float64(time.Second)) }

// makeRoom forgets whoever has been silent, or some of those who have not.
func (s *shard[K]) makeRoom(now time.Time) {
	before := len(s.buckets)
	for caller, bucket := range s.buckets {
		if bucket.TokensAt(now) >= float64(bucket.Burst()) {
			delete(s.buckets, caller)
		}
	}
	enough := before - max(1, before/evicted)
	for caller := range s.buckets {
		if len(s.buckets) <= enough {
			return
		}
		delete(s.buckets, caller)
	}
}
