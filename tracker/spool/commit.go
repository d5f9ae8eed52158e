package spool

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// commit writes what is pending as one frame and syncs it. The caller holds mu and becomes the committer: mu is free while the
// disk works.
func (s *Spool) commit() {
	group, entries, size := s.takeGroup()
	number := s.nextFrame
	s.nextFrame++ // never given twice, not even after an error: the disk may keep what it said it could not take
	s.committing = true
	now := s.cfg.Now()
	f, seg, created := s.active, s.lastSegment(), false
	s.mu.Unlock()

	var err error
	if f == nil {
		f, seg, err = s.begin(number, now)
		created = err == nil
	}
	var added int64
	if err == nil {
		buf := appendFrame(nil, number, now, entries)
		added = int64(len(buf))
		if err = s.writeFrame(f, seg.size, buf); err != nil {
			err = errors.Join(err, s.abandon(f, seg, created))
		}
	}

	s.mu.Lock()
	s.committing = false
	s.pendBytes -= size
	if err != nil {
		s.active = nil
	} else {
		s.written(seg, f, created, number, added, int64(len(entries)))
	}
	for _, a := range group {
		a.number, a.err, a.done = number, err, true
	}
	s.changed.Broadcast()
}

// takeGroup takes what one frame may hold off the pending calls.
func (s *Spool) takeGroup() (group []*appending, entries [][]byte, size int64) {
	n := 0
	for _, a := range s.pending {
		if n > 0 && size+a.size > maxGroupBytes {
			break
		}
		size += a.size
		entries = append(entries, a.entries...)
		n++
	}
	group = s.pending[:n:n]
	s.pending = s.pending[n:]
	return group, entries, size
}

func (s *Spool) lastSegment() *segment {
	if len(s.segments) == 0 {
		return nil
	}
	return s.segments[len(s.segments)-1]
}

// begin creates the segment of a frame; its name is on disk when it returns.
func (s *Spool) begin(number uint64, now time.Time) (File, *segment, error) {
	seg := &segment{path: filepath.Join(s.cfg.Dir, segmentName(number)), first: number, last: number - 1, size: segmentHeaderSize, oldest: now}
	f, err := s.cfg.Disk.Create(seg.path)
	if err != nil {
		return nil, nil, fmt.Errorf("create segment: %w", err)
	}
	if _, err = f.WriteAt(segmentHeader(), 0); err == nil {
		err = s.cfg.Disk.SyncDir(s.cfg.Dir)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("create segment: %w", errors.Join(err, s.abandon(f, seg, true)))
	}
	return f, seg, nil
}

// writeFrame puts a frame behind the others of a segment, on disk.
func (s *Spool) writeFrame(f File, at int64, buf []byte) error {
	if _, err := f.WriteAt(buf, at); err != nil {
		return fmt.Errorf("write to spool: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync spool: %w", err)
	}
	return nil
}

// abandon ends a segment whose disk has failed: after a failed sync nobody knows what of it is on disk, so nothing more is
// written to it. What was acknowledged before stays; one that holds nothing is removed, or a full disk would fill with names.
func (s *Spool) abandon(f File, seg *segment, created bool) error {
	if created {
		return errors.Join(f.Close(), s.cfg.Disk.Remove(seg.path))
	}
	// Truncating frees the space of half a frame. Where it fails, too, opening will cut it.
	return errors.Join(f.Truncate(seg.size), f.Close())
}

// written notes a frame that is on disk. The caller holds mu.
func (s *Spool) written(seg *segment, f File, created bool, number uint64, added, entries int64) {
	if created {
		s.segments = append(s.segments, seg)
		s.bytes += segmentHeaderSize
	}
	seg.last = number
	seg.size += added
	s.bytes += added
	s.waiting += entries
	s.active = f
	if seg.size >= s.cfg.SegmentBytes {
		s.active = nil
		if err := f.Close(); err != nil {
			s.cfg.Log.Warn("close a segment of the spool", "error", err) // its frames are synced
		}
	}
	select {
	case s.grown <- struct{}{}:
	default:
	}
}

// sealActive closes the segment that is being written. The caller holds mu, and nobody commits.
func (s *Spool) sealActive() error {
	if s.active == nil {
		return nil
	}
	f := s.active
	s.active = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close segment: %w", err)
	}
	return nil
}
