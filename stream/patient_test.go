package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/onlinestore"
)

// moodyStore fails writes as it is told.
type moodyStore struct {
	onlinestore.Store

	mu   sync.Mutex
	err  error
	puts int
}

func (s *moodyStore) Put(context.Context, []onlinestore.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	return s.err
}

// heal lets writes succeed from now on, and returns how many there were.
func (s *moodyStore) heal() (puts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = nil
	return s.puts
}

func TestPatientWaitsWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &moodyStore{err: fmt.Errorf("put: %w", onlinestore.ErrUnavailable)}
		p := &patient{Store: store, log: slog.New(slog.DiscardHandler)}
		done := make(chan error, 1)
		go func() { done <- p.Put(t.Context(), nil) }()
		<-time.After(30 * time.Second) // of fake time
		synctest.Wait()
		if p.away() != 30*time.Second {
			t.Errorf("away for %v, want 30s", p.away())
		}
		// Pauses of 50 ms, doubled up to 2 s: neither hammering nor asleep.
		if puts := store.heal(); puts < 15 || puts > 25 {
			t.Errorf("%d attempts in 30 s", puts)
		}
		<-time.After(onlineRetryMax)
		synctest.Wait()
		if err := <-done; err != nil || p.away() != 0 {
			t.Errorf("put ended with %v, away for %v", err, p.away())
		}
	})
}

func TestPatientGivesUpWhereWaitingIsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denied := errors.New("wrong password")
		p := &patient{Store: &moodyStore{err: denied}, log: slog.New(slog.DiscardHandler)}
		if err := p.Put(t.Context(), nil); !errors.Is(err, denied) {
			t.Errorf("an error that does not pass: %v", err)
		}
		p.Store = &moodyStore{err: onlinestore.ErrUnavailable}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := p.Put(ctx, nil); err == nil || time.Since(start) != time.Second {
			t.Errorf("put ended with %v after %v, want an error when its context ends", err, time.Since(start))
		}
	})
}
