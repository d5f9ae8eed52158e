package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// Timer is something that is due at a time, in Unix milliseconds on whatever clock its group has. Group, time and name make a
// timer. They lie in this order, so that the due ones are found without looking at the others.
type Timer struct {
	Group string // no byte 0 in it
	At    int64
	Name  string // not empty
	Value []byte
}

// SetTimer keeps a timer, or replaces its value.
func (b *Batch) SetTimer(t Timer) { b.set(t.key(), t.Value) }

// ChangeTimers forgets some timers and keeps others, together, and without moving the position. It may not run beside the
// owner's batches.
func (db *DB) ChangeTimers(forget, keep []Timer) error {
	batch := db.db.NewBatch()
	var errs []error
	for _, t := range forget {
		errs = append(errs, batch.Delete(t.key(), nil))
	}
	for _, t := range keep {
		errs = append(errs, batch.Set(t.key(), t.Value, nil))
	}
	if err := errors.Join(append(errs, batch.Commit(pebble.NoSync))...); err != nil {
		return fmt.Errorf("change timers: %w", err)
	}
	return nil
}

// ForgetTimers forgets all timers of a group up to a time.
func (db *DB) ForgetTimers(group string, until int64) error {
	if err := db.db.DeleteRange(timerGroup(group), timerTime(group, until+1), pebble.NoSync); err != nil {
		return fmt.Errorf("forget timers: %w", err)
	}
	return nil
}

// FirstTimer lies before every timer of a group.
func FirstTimer(group string) Timer { return Timer{Group: group, At: math.MinInt64} }

// Due returns up to limit timers of a group that lie behind one and are due by a time, the soonest first.
func (r reader) Due(behind Timer, until int64, limit int) (due []Timer, err error) {
	prefix := len(timerGroup(behind.Group)) - 1 // span cuts the kind off
	err = r.span(append(behind.key(), 0), timerTime(behind.Group, until+1), func(key string, value []byte) error {
		if len(due) == limit {
			return errEnough
		}
		if len(key) < prefix+8 {
			return errDamaged
		}
		at := int64(binary.BigEndian.Uint64([]byte(key[prefix:prefix+8])) ^ 1<<63)
		due = append(due, Timer{Group: behind.Group, At: at, Name: key[prefix+8:], Value: bytes.Clone(value)})
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("look for timers: %w", err)
	}
	return due, nil
}

// errEnough ends a scan early.
var errEnough = errors.New("enough was read")

// TimerGroups returns the groups that have timers. It jumps from one to the next, however many timers they have.
func (r reader) TimerGroups() (groups []string, err error) {
	if err := r.others.enter(); err != nil {
		return nil, err
	}
	defer r.others.leave()
	lower := []byte{kindTimer}
	it, err := r.from.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: prefixEnd(lower)})
	if err != nil {
		return nil, fmt.Errorf("look for groups of timers: %w", err)
	}
	for ok := it.First(); ok; {
		group, _, found := bytes.Cut(it.Key()[1:], []byte{0})
		if !found {
			return nil, errors.Join(errDamaged, it.Close())
		}
		groups = append(groups, string(group))
		ok = it.SeekGE(prefixEnd(timerGroup(groups[len(groups)-1])))
	}
	if err := it.Close(); err != nil {
		return nil, fmt.Errorf("look for groups of timers: %w", err)
	}
	return groups, nil
}

func timerGroup(group string) []byte { return append(append([]byte{kindTimer}, group...), 0) }

// timerTime is big endian with the sign turned, so that times before 1970 lie before the others.
func timerTime(group string, at int64) []byte {
	return binary.BigEndian.AppendUint64(timerGroup(group), uint64(at)^1<<63)
}

func (t Timer) key() []byte { return append(timerTime(t.Group, t.At), t.Name...) }
