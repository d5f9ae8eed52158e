package state

import (
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// ErrClosed means that a state was closed while a snapshot of it was still in use: its partition went to another owner.
var ErrClosed = errors.New("the state is closed")

// Snapshot is a frozen state. It ends with the state that it is of: afterwards reads fail with ErrClosed.
type Snapshot struct {
	reader
	frozen *pebble.Snapshot
	of     *readers
}

// Snapshot is the state as it is now; later batches do not show. Close it soon: it keeps old files alive.
func (db *DB) Snapshot() *Snapshot {
	frozen := db.db.NewSnapshot()
	db.readers.add(frozen)
	return &Snapshot{reader: reader{frozen, db.readers}, frozen: frozen, of: db.readers}
}

// Close frees the snapshot.
func (s *Snapshot) Close() error { return s.of.remove(s.frozen) }

// readers are the snapshots of a state and those who read them just now. Whoever reads may be far away from the state's
// owner, who closes it when the partition is taken away: the database below must not be read then.
type readers struct {
	reading sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	snapshots map[*pebble.Snapshot]struct{}
}

func newReaders() *readers { return &readers{snapshots: make(map[*pebble.Snapshot]struct{})} }

func (r *readers) add(s *pebble.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snapshots[s] = struct{}{}
}

func (r *readers) remove(s *pebble.Snapshot) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, open := r.snapshots[s]; !open {
		return nil // freed with the state
	}
	delete(r.snapshots, s)
	return s.Close()
}

// enter lets somebody read until leave is called. A nil *readers lets everybody.
func (r *readers) enter() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.reading.Add(1)
	return nil
}

func (r *readers) leave() {
	if r != nil {
		r.reading.Done()
	}
}

// over reports whether who reads should stop.
func (r *readers) over() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// close turns everybody away, waits for those who read, and frees the snapshots.
func (r *readers) close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.reading.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for s := range r.snapshots {
		errs = append(errs, s.Close())
	}
	clear(r.snapshots)
	return errors.Join(errs...)
}
