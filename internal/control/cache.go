package control

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// cached holds one small table in memory for at most CacheAge. Whole tables are kept, not single answers: a flood of
// unknown keys then costs neither memory nor queries, and the size is bounded by what operators created. At half of its age
// whoever comes first reads it again while the others go on with what there is: on a busy node nobody waits for the database.
type cached[T any] struct {
	load func(ctx context.Context) (T, error)

	value atomic.Pointer[cachedValue[T]] // nil: nothing loaded, or dropped by a write
	mu    sync.Mutex                     // held while the table is read, so that concurrent misses share one load
}

type cachedValue[T any] struct {
	value    T
	loadedAt time.Time
}

func (v *cachedValue[T]) youngerThan(age time.Duration) bool {
	return v != nil && time.Since(v.loadedAt) < age
}

// get returns the table as it was at most CacheAge ago. The value is shared: callers only read it.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	held := c.value.Load()
	if held.youngerThan(CacheAge / 2) {
		return held.value, nil
	}
	if !c.mu.TryLock() {
		if held.youngerThan(CacheAge) {
			return held.value, nil // somebody is reading it
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if held = c.value.Load(); held.youngerThan(CacheAge / 2) {
		return held.value, nil // somebody has read it meanwhile
	}
	started := time.Now() // age counts from before the query, or a write during it would stay unseen too long
	value, err := c.load(ctx)
	if err != nil {
		if held.youngerThan(CacheAge) {
			return held.value, nil
		}
		var none T
		return none, err
	}
	c.value.Store(&cachedValue[T]{value, started})
	return value, nil
}

// drop makes the next get read the database: this process's own writes are in force at once. It waits for a load under way,
// which may have read what was there before.
func (c *cached[T]) drop() {
	c.mu.Lock()
	c.value.Store(nil)
	c.mu.Unlock()
}
