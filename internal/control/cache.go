package control

import (
	"context"
	"sync"
	"time"
)

// cached holds one small table in memory for at most CacheAge. Whole tables are kept, not single answers: a flood of
// unknown keys then costs neither memory nor queries, and the size is bounded by what operators created.
type cached[T any] struct {
	load func(ctx context.Context) (T, error)

	mu       sync.Mutex // guards the fields below; also makes concurrent misses share one load
	value    T
	loadedAt time.Time // zero: nothing loaded, or dropped by a write
}

// get returns the table as it was at most CacheAge ago. The value is shared: callers only read it.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	started := time.Now() // age counts from before the query, or a write during it would stay unseen too long
	if !c.loadedAt.IsZero() && started.Sub(c.loadedAt) < CacheAge {
		return c.value, nil
	}
	value, err := c.load(ctx)
	if err != nil {
		var none T
		return none, err
	}
	c.value, c.loadedAt = value, started
	return value, nil
}

// drop makes the next get read the database: this process's own writes are in force at once.
func (c *cached[T]) drop() {
	c.mu.Lock()
	c.loadedAt = time.Time{}
	c.mu.Unlock()
}
