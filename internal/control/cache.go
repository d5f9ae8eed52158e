package control

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// loadLimit bounds the reading of a cached table: a store that hangs costs one request a second that much, and the others nothing.
	loadLimit = time.Second
	// outagePause is the shortest time between two readings while the store does not answer.
	outagePause = time.Second
	// MaxOutage is how long keys and placements stay in force as they were last read while the store does not answer. Visitors get their
	// lists through a night without it; what was revoked meanwhile is out of force as soon as it answers again.
	MaxOutage = 24 * time.Hour
)

// cached holds one small table in memory for at most CacheAge. Whole tables are kept, not single answers: a flood of
// unknown keys then costs neither memory nor queries, and the size is bounded by what operators created. At half of its age
// whoever comes first reads it again while the others go on with what there is: on a busy node nobody waits for the database.
type cached[T any] struct {
	load func(ctx context.Context) (T, error)
	// outage is how long a table that was read serves on while the store does not answer; 0 for one that must not.
	outage time.Duration

	value   atomic.Pointer[cachedValue[T]] // nil: nothing loaded, or dropped by a write
	trouble atomic.Pointer[failedRead]     // nil: the store answered when it was asked last
	mu      sync.Mutex                     // held while the table is read, so that concurrent misses share one load
}

type cachedValue[T any] struct {
	value    T
	loadedAt time.Time
}

// failedRead is a reading that failed, and when it did.
type failedRead struct {
	err error
	at  time.Time
}

func (v *cachedValue[T]) youngerThan(age time.Duration) bool {
	return v != nil && time.Since(v.loadedAt) < age
}

// get returns the table as it was at most CacheAge ago or, while the store does not answer, as it was last read, at most outage ago.
// The value is shared: callers only read it.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	held, trouble := c.value.Load(), c.trouble.Load()
	switch {
	case held.youngerThan(CacheAge / 2):
		return held.value, nil
	case trouble != nil && time.Since(trouble.at) < outagePause:
		return c.without(held, trouble.err)
	}
	if !c.mu.TryLock() { // somebody is reading it
		if held.youngerThan(CacheAge) {
			return held.value, nil
		}
		if trouble != nil {
			return c.without(held, trouble.err)
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	held, trouble = c.value.Load(), c.trouble.Load()
	switch {
	case held.youngerThan(CacheAge / 2):
		return held.value, nil // somebody has read it meanwhile
	case trouble != nil && time.Since(trouble.at) < outagePause:
		return c.without(held, trouble.err) // or has tried
	}
	return c.read(ctx, held)
}

// read asks the store, alone.
func (c *cached[T]) read(ctx context.Context, held *cachedValue[T]) (T, error) {
	started := time.Now() // age counts from before the query, or a write during it would stay unseen too long
	reading, cancel := context.WithTimeout(ctx, loadLimit)
	defer cancel()
	value, err := c.load(reading)
	if err != nil {
		if ctx.Err() == nil { // a caller that goes says nothing of the store
			c.trouble.Store(&failedRead{err, time.Now()})
		}
		return c.without(held, err)
	}
	c.trouble.Store(nil)
	c.value.Store(&cachedValue[T]{value, started})
	return value, nil
}

// without is the answer while the store gives none.
func (c *cached[T]) without(held *cachedValue[T], err error) (T, error) {
	if held.youngerThan(max(CacheAge, c.outage)) {
		return held.value, nil
	}
	var none T
	return none, err
}

// drop makes the next get read the database: this process's own writes are in force at once, and who wrote knows that the store
// answers. It waits for a load under way, which may have read what was there before.
func (c *cached[T]) drop() {
	c.mu.Lock()
	c.value.Store(nil)
	c.trouble.Store(nil)
	c.mu.Unlock()
}
