// Package spool is the collector's memory on disk for events that Kafka does not take at the moment: a queue of entries in
// segments (FORMAT.md), each on disk before it is acknowledged, bounded in bytes, read in the order in which it was written.
// It moves bytes and knows no event.
package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	// DefaultMaxBytes holds about seven million events of 600 bytes: an hour of outage at 2,000 events a second.
	DefaultMaxBytes = 4 << 30
	// DefaultSegmentBytes is the size at which a segment is closed; its space is free again when all of it is drained.
	DefaultSegmentBytes = 32 << 20

	// maxGroupBytes is what one group commit takes together: some ten milliseconds of a disk.
	maxGroupBytes = 4 << 20
	// keepBytes is up to how large a drained segment is written on, so that a spool that is nearly empty makes no file for each
	// event.
	keepBytes = 1 << 20
)

var (
	// ErrFull says that the spool holds all that it may. Nothing was taken.
	ErrFull = errors.New("spool is full")
	// ErrClosed says that the spool was closed. Nothing was taken.
	ErrClosed = errors.New("spool is closed")
	// ErrTooLarge says that the entries of one call exceed a frame. Nothing was taken.
	ErrTooLarge = errors.New("entries are larger than a frame may be")
)

// Config says where a spool is and how large it gets; a size of zero is the default of the same name.
type Config struct {
	Dir          string // created where it is missing; one process at a time
	MaxBytes     int64
	SegmentBytes int64
	Disk         Disk
	Log          *slog.Logger
	Now          func() time.Time // nil is time.Now
}

// Spool is a queue on disk. Append may be called by many at once; Next and Done belong to one reader.
type Spool struct {
	cfg Config

	mu         sync.Mutex
	changed    *sync.Cond    // a group commit ended
	moved      chan struct{} // closed and replaced when the cursor moves
	grown      chan struct{} // holds a token when there may be something to read
	closed     bool
	segments   []*segment // by age
	active     File       // of the last segment; nil when the next frame begins another. The committer's while committing
	nextFrame  uint64
	cursor     uint64 // the number of the last frame that was drained
	bytes      int64  // in segments
	waiting    int64  // entries behind the cursor
	pending    []*appending
	pendBytes  int64 // of pending calls and of the group that is being written
	committing bool
	saved      savedCursor

	at place // of the reader
}

// segment is one file. Its fields are guarded by Spool.mu; size counts whole frames that are on disk.
type segment struct {
	path        string
	first, last uint64 // numbers of its frames; first > last for none
	size        int64
	oldest      time.Time // when its first frame was written
}

// appending is a call of Append until its group is on disk.
type appending struct {
	entries [][]byte
	size    int64
	number  uint64
	err     error
	done    bool
}

// Open reads what is there: a torn end is cut, since it was never acknowledged, and damage in the middle is passed over and
// told to the log.
func Open(cfg Config) (*Spool, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.SegmentBytes == 0 {
		cfg.SegmentBytes = min(DefaultSegmentBytes, max(cfg.MaxBytes/8, 64<<10))
	}
	if cfg.Disk == nil {
		cfg.Disk = osDisk{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Spool{cfg: cfg, grown: make(chan struct{}, 1), moved: make(chan struct{})}
	s.changed = sync.NewCond(&s.mu)
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create spool directory: %w", err)
	}
	if err := s.recover(); err != nil {
		return nil, fmt.Errorf("open spool in %s: %w", cfg.Dir, err)
	}
	if s.waiting > 0 {
		s.grown <- struct{}{}
	}
	return s, nil
}

// Append returns when entries are on disk, all of them or none, with the number of their frame: they are drained when the
// cursor has reached it. Callers at the same time share one write and one sync. After an error of the disk the next call tries
// anew, so whoever makes room needs no restart.
func (s *Spool) Append(entries [][]byte) (uint64, error) {
	a := &appending{entries: entries}
	for _, e := range entries {
		a.size += int64(entrySize(e))
	}
	if a.size > maxFrameBytes {
		return 0, ErrTooLarge
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, ErrClosed
	case s.bytes+s.pendBytes+a.size+frameHeaderSize+segmentHeaderSize > s.cfg.MaxBytes:
		return 0, ErrFull
	}
	s.pending = append(s.pending, a)
	s.pendBytes += a.size
	for !a.done {
		if s.committing {
			s.changed.Wait()
			continue
		}
		s.commit()
	}
	return a.number, a.err
}

// Stats is how much waits in a spool.
type Stats struct {
	Entries int64         // that are not drained
	Bytes   int64         // of the disk, which drained ones take, too, until their segment is removed
	Oldest  time.Duration // how long the oldest has waited, to a segment
}

// Stats says how much waits.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Entries: s.waiting, Bytes: s.bytes}
	if s.waiting > 0 && len(s.segments) > 0 {
		st.Oldest = s.cfg.Now().Sub(s.segments[0].oldest)
	}
	return st
}

// End is the number of the newest frame on disk, or of the newest that is drained.
func (s *Spool) End() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end()
}

func (s *Spool) end() uint64 {
	if seg := s.lastSegment(); seg != nil {
		return max(s.cursor, seg.last)
	}
	return s.cursor
}

// Cursor is the number of the newest frame that is drained, and a channel that is closed when it moves on.
func (s *Spool) Cursor() (uint64, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursor, s.moved
}

// Grown holds a token when there may be something to read.
func (s *Spool) Grown() <-chan struct{} { return s.grown }

// Close keeps the cursor, so that the next Open goes on from it, and frees what is drained. Calls of Append that wait end first;
// the reader must have ended.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for s.committing || len(s.pending) > 0 {
		s.changed.Wait()
	}
	s.at.close()
	return errors.Join(s.sealActive(), s.dropDrained(), s.saveCursor(true))
}
