package stream

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/state"
)

// A process keeps the states of partitions that went to others, in case they come back. One that was made for an earlier
// generation than is wanted is of no use any more, and may know people who were erased since.

// placePoll is how often the owner of a partition looks whether its directory is free: removing one takes milliseconds.
const placePoll = 10 * time.Millisecond

// takePlace gives the directory of a partition to whoever asks, as soon as nobody has it. leave gives it back.
func (s *Stream) takePlace(ctx context.Context, number int32) (leave func(), err error) {
	for !s.tryPlace(number) {
		if err := pause(ctx, placePoll); err != nil {
			return nil, err
		}
	}
	return func() { s.leavePlace(number) }, nil
}

func (s *Stream) tryPlace(number int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places[number] {
		return false
	}
	s.places[number] = true
	return true
}

func (s *Stream) leavePlace(number int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.places, number)
	s.tidied = 0 // what was left there may be older than wanted
}

// removeLeft removes the states of partitions that this process does not own if they are older than wanted. It looks once a
// generation, and again when a partition was given up.
func (s *Stream) removeLeft(want basis) error {
	s.mu.Lock()
	tidied := s.tidied
	s.mu.Unlock()
	if tidied >= want.Generation {
		return nil
	}
	var errs []error
	for _, number := range Held(s.cfg.StateDir)[event.TopicEvents] {
		if s.tryPlace(number) {
			errs = append(errs, s.removeOlder(number, want))
			s.leavePlace(number)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidied = want.Generation
	return nil
}

// removeOlder removes the state of a partition that nobody has open if it was made for an earlier generation.
func (s *Stream) removeOlder(number int32, want basis) error {
	db, err := s.openLive(number)
	if errors.Is(err, state.ErrLocked) {
		return nil // another process of this machine has it
	}
	if err != nil {
		return err
	}
	have, _, err := readBasis(db)
	if err = errors.Join(err, db.Close()); err != nil || have.Generation >= want.Generation {
		return err
	}
	s.log.Info("removing the state of a partition that went to another process and is of an earlier generation", "partition", number,
		"generation", have.Generation, "wanted", want.Generation)
	old := s.besideDir(oldPrefix, number)
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := rename(s.stateDir(number), old); err != nil {
		return err
	}
	return os.RemoveAll(old)
}
