package control

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/sqldb"
)

// useWritten is how often the last uses of keys are written down. A request only notes the time in memory.
const useWritten = time.Minute

// keyUse is when a key was used last by this process, in Unix milliseconds.
type keyUse struct{ last, written atomic.Int64 }

func (u *keyUse) note(now time.Time) { u.last.Store(now.UnixMilli()) }

// keyUses are those of all keys that were in force since the start: at most MaxKeys.
type keyUses struct {
	mu   sync.Mutex // guards byID
	byID map[string]*keyUse
}

func (u *keyUses) of(id string) *keyUse {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byID[id] == nil {
		u.byID[id] = &keyUse{}
	}
	return u.byID[id]
}

// KeepKeyUse writes down when keys were used last, every minute until ctx ends, and once more then. What it cannot write waits
// for the next time, and what cannot be written at the end is lost: a process that stops does not wait for a store that is away.
func (s *Store) KeepKeyUse(ctx context.Context) error { return keepUse(ctx, s.WriteKeyUse) }

func keepUse(ctx context.Context, write func(context.Context) error) error {
	tick := time.NewTicker(useWritten)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if err := write(last); err != nil && !sqldb.Unavailable(err) && last.Err() == nil {
				return err
			}
			return nil
		case <-tick.C:
			if err := write(ctx); err != nil && !sqldb.Unavailable(err) && ctx.Err() == nil {
				return err
			}
		}
	}
}

// WriteKeyUse writes down what was noted since it was called last.
func (s *Store) WriteKeyUse(ctx context.Context) error {
	s.use.mu.Lock()
	used := make(map[string]*keyUse, len(s.use.byID))
	for id, u := range s.use.byID {
		if u.last.Load() > u.written.Load() {
			used[id] = u
		}
	}
	s.use.mu.Unlock()
	var errs []error
	for id, u := range used {
		last := u.last.Load()
		_, err := s.db.ExecContext(ctx, `UPDATE keys SET last_used_at = ? WHERE id = ? AND last_used_at < ?`, last, id, last)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		u.written.Store(last)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write down the last uses of keys: %w", err)
	}
	return nil
}
