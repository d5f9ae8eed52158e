package spool

import (
	"errors"
	"fmt"
	"os"
)

// place is where the reader stands.
type place struct {
	seg    *segment
	file   *os.File
	offset int64
}

// Chunk is entries in the order in which they were appended. Last is the number of the frame that the last one is in.
type Chunk struct {
	Entries [][]byte
	Last    uint64
}

// Next reads whole frames from behind the last call's, up to about maxBytes, at least one; an empty chunk means that nothing
// waits. What is damaged is passed over and told to the log.
func (s *Spool) Next(maxBytes int) (Chunk, error) {
	var c Chunk
	for size := 0; size < maxBytes; {
		f, ok, err := s.nextFrameOf()
		if err != nil {
			return Chunk{}, fmt.Errorf("read spool: %w", err)
		}
		if !ok {
			break
		}
		entries, err := splitEntries(f.payload)
		if err != nil {
			return Chunk{}, fmt.Errorf("read spool: frame %d has a good checksum and cannot be read: %w", f.number, err)
		}
		c.Entries, c.Last = append(c.Entries, entries...), f.number
		size += len(f.payload)
	}
	return c, nil
}

// Rewind lets the next call of Next read again what was not said to be done.
func (s *Spool) Rewind() { s.at.close() }

// nextFrameOf reads the frame behind the reader's place; false means that it stands at the end.
func (s *Spool) nextFrameOf() (frame, bool, error) {
	for {
		size, lastOf, ok, err := s.findPlace()
		if err != nil || !ok {
			return frame{}, false, err
		}
		file := segmentFile{s.at.file, size}
		f, next, err := file.frameAt(s.at.offset)
		if errors.Is(err, errDamaged) {
			var at int64
			f, at, next, err = file.findFrame(s.at.offset)
			if errors.Is(err, errDamaged) { // to the end of the segment
				s.cfg.Log.Error("a part of the spool is damaged and lost", "segment", s.at.seg.path, "bytes", size-s.at.offset)
				s.at.offset = size
				return frame{number: lastOf}, true, nil // the cursor goes past it with the rest
			}
			s.cfg.Log.Error("a part of the spool is damaged and lost", "segment", s.at.seg.path, "bytes", at-s.at.offset)
		}
		if err != nil {
			return frame{}, false, err
		}
		s.at.offset = next
		if cursor, _ := s.Cursor(); f.number > cursor {
			return f, true, nil
		}
	}
}

// findPlace moves the reader to the next segment where it has read one to its end, and answers how much of it may be read and the
// number of its last frame.
func (s *Spool) findPlace() (size int64, last uint64, ok bool, err error) {
	s.mu.Lock()
	seg := s.at.seg
	if seg != nil && s.at.offset < seg.size {
		defer s.mu.Unlock()
		return seg.size, seg.last, true, nil
	}
	var next *segment
	for _, candidate := range s.segments {
		if candidate.last > s.cursor && (seg == nil || candidate.first > seg.last) && candidate != seg {
			next = candidate
			size, last = candidate.size, candidate.last
			break
		}
	}
	s.mu.Unlock()
	if next == nil {
		return 0, 0, false, nil
	}
	s.at.close()
	f, err := os.Open(next.path)
	if err != nil {
		return 0, 0, false, err
	}
	s.at = place{seg: next, file: f, offset: segmentHeaderSize}
	return size, last, true, nil
}

func (p *place) close() {
	if p.file != nil {
		_ = p.file.Close() // only read
	}
	*p = place{}
}

// Done says that everything up to the end of a chunk is safe elsewhere. Segments that hold nothing else are removed.
func (s *Spool) Done(c Chunk) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor = max(s.cursor, c.Last)
	s.waiting -= int64(len(c.Entries))
	if s.cursor == s.end() {
		s.waiting = 0 // also of what was damaged
	}
	close(s.moved)
	s.moved = make(chan struct{})
	return errors.Join(s.dropDrained(), s.saveCursor(false))
}

// dropDrained removes segments of which all is drained: but the one that is being written while it is small. The caller holds mu.
func (s *Spool) dropDrained() error {
	var errs []error
	for len(s.segments) > 0 && s.segments[0].last <= s.cursor {
		seg := s.segments[0]
		if len(s.segments) == 1 && s.active != nil {
			if s.committing || seg.size < keepBytes {
				break
			}
			errs = append(errs, s.sealActive())
		}
		if s.at.seg == seg {
			s.at.close()
		}
		if err := s.cfg.Disk.Remove(seg.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove drained segment: %w", err))
			break
		}
		s.segments = s.segments[1:]
		s.bytes -= seg.size
	}
	return errors.Join(errs...)
}
