package control

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errAway = errors.New("the store is away")

// source is a table in a store that answers, fails, or hangs.
type source struct {
	value atomic.Int64
	state atomic.Int32 // 0 answers, 1 fails, 2 hangs
	reads atomic.Int64
}

func (s *source) load(ctx context.Context) (int64, error) {
	s.reads.Add(1)
	switch s.state.Load() {
	case 1:
		return 0, errAway
	case 2:
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return s.value.Load(), nil
}

// What was read last serves while the store is away, however it is away; a change is in force as soon as it answers, and no
// earlier than a second too late while it does.
func TestCacheOutlivesAnOutage(t *testing.T) {
	for name, state := range map[string]int32{"refuses": 1, "hangs": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{}
				s.value.Store(1)
				c := &cached[int64]{load: s.load, outage: time.Hour}
				want := func(value int64, within time.Duration) {
					t.Helper()
					begin := time.Now()
					if got, err := c.get(t.Context()); err != nil || got != value || time.Since(begin) > within {
						t.Fatalf("got %d, %v after %s, want %d", got, err, time.Since(begin), value)
					}
				}
				want(1, 0)
				s.value.Store(2)
				<-time.After(CacheAge/2 - 1)
				want(1, 0)
				<-time.After(1)
				want(2, 0)
				s.state.Store(state)
				<-time.After(CacheAge)
				want(2, loadLimit) // who finds out
				reads := s.reads.Load()
				for range 100 {
					want(2, 0) // nobody else waits
				}
				if s.reads.Load() != reads {
					t.Error("every request asks a store that does not answer")
				}
				<-time.After(outagePause)
				asking := make(chan struct{})
				go func() { // asks again; the others still do not wait
					defer close(asking)
					want(2, loadLimit)
				}()
				synctest.Wait()
				want(2, 0)
				<-asking
				s.value.Store(3)
				s.state.Store(0)
				<-time.After(outagePause)
				want(3, 0)
			})
		})
	}
}

// An outage ends some time, and a table that must be right is not served from before one at all.
func TestCacheDoesNotLastForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		lasting, strict := &cached[int64]{load: s.load, outage: time.Hour}, &cached[int64]{load: s.load}
		for _, c := range []*cached[int64]{lasting, strict} {
			if _, err := c.get(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s.state.Store(1)
		<-time.After(CacheAge)
		for range 3 {
			if _, err := strict.get(t.Context()); !errors.Is(err, errAway) {
				t.Errorf("a table that must be right: %v", err)
			}
		}
		if n := s.reads.Load(); n != 3 {
			t.Errorf("%d readings: every request asks a store that does not answer", n)
		}
		<-time.After(time.Hour)
		if _, err := lasting.get(t.Context()); !errors.Is(err, errAway) {
			t.Errorf("after an hour: %v", err)
		}
	})
}

// What this process revoked stays revoked, whatever happens to the store afterwards.
func TestCacheForgetsWhatWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := &cached[int64]{load: s.load, outage: time.Hour}
		if _, err := c.get(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.drop()
		s.state.Store(1)
		if got, err := c.get(t.Context()); !errors.Is(err, errAway) {
			t.Errorf("%d, %v", got, err)
		}
	})
}

// A caller that goes away says nothing of the store.
func TestCacheIgnoresCallersThatGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := &cached[int64]{load: s.load, outage: time.Hour}
		gone, leave := context.WithCancel(t.Context())
		s.state.Store(2)
		go leave()
		if _, err := c.get(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		s.state.Store(0)
		if _, err := c.get(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
