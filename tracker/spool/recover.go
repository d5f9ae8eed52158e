package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	segmentSuffix = ".spool"
	cursorName    = "cursor"
	// cursorEvery is how often the cursor is kept. What is drained and not noted is drained again after a crash, which only makes
	// duplicates.
	cursorEvery = time.Second
	cursorSize  = 12 // the number and its checksum
)

// segmentName is that of the segment whose first frame has a number; names sort by it.
func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }

// savedCursor is the state of the cursor's file.
type savedCursor struct {
	number uint64
	at     time.Time
}

// recover finds the segments, cuts torn ends and finds out where to go on.
func (s *Spool) recover() error {
	s.cursor = readCursor(filepath.Join(s.cfg.Dir, cursorName))
	s.saved.number = s.cursor
	s.nextFrame = s.cursor + 1
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries { // by name, so by age
		number, isSegment := strings.CutSuffix(e.Name(), segmentSuffix)
		first, err := strconv.ParseUint(number, 10, 64)
		if !isSegment || err != nil {
			continue
		}
		if err := s.recoverSegment(filepath.Join(s.cfg.Dir, e.Name()), first); err != nil {
			return fmt.Errorf("segment %s: %w", e.Name(), err)
		}
	}
	return s.dropDrained()
}

// recoverSegment reads a segment through and adds it, or removes it where it holds nothing.
func (s *Spool) recoverSegment(path string, first uint64) error {
	seg := &segment{path: path, first: first, last: first - 1, size: segmentHeaderSize}
	waiting, err := s.survey(seg)
	if err != nil {
		return err
	}
	if seg.last < seg.first {
		if err := s.cfg.Disk.Remove(path); err != nil {
			return fmt.Errorf("remove a segment that holds nothing: %w", err)
		}
		return nil
	}
	s.segments = append(s.segments, seg)
	s.bytes += seg.size
	s.waiting += waiting
	s.nextFrame = max(s.nextFrame, seg.last+1)
	return nil
}

// survey finds the frames of a segment and cuts what follows the last of them.
func (s *Spool) survey(seg *segment) (waiting int64, err error) {
	f, err := os.OpenFile(seg.path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	file := segmentFile{f, info.Size()}
	header := make([]byte, min(segmentHeaderSize, file.size))
	if _, err := f.ReadAt(header, 0); err != nil {
		return 0, err
	}
	if err := checkSegmentHeader(header); err != nil && !errors.Is(err, errDamaged) {
		return 0, err
	}
	for offset := int64(segmentHeaderSize); ; offset = seg.size {
		fr, at, next, err := file.findFrame(offset)
		if errors.Is(err, errDamaged) {
			break
		}
		if err != nil {
			return 0, err
		}
		if at > offset {
			s.cfg.Log.Error("a part of the spool is damaged and lost", "segment", seg.path, "bytes", at-offset)
		}
		entries, err := splitEntries(fr.payload)
		if err != nil {
			return 0, fmt.Errorf("frame %d has a good checksum and cannot be read: %w", fr.number, err)
		}
		if seg.last < seg.first {
			seg.oldest = fr.written
		}
		if fr.number > s.cursor {
			waiting += int64(len(entries))
		}
		seg.last, seg.size = max(seg.last, fr.number), next
	}
	if torn := file.size - seg.size; torn > 0 && seg.last >= seg.first {
		s.cfg.Log.Warn("the end of the spool was torn when the process died; none of it was acknowledged", "segment", seg.path, "bytes", torn)
		return waiting, f.Truncate(seg.size)
	}
	return waiting, nil
}

// readCursor reads the cursor's file; 0, which is before everything, where there is none or it is torn.
func readCursor(path string) uint64 {
	b, err := os.ReadFile(path)
	if err != nil || len(b) != cursorSize || crc32.Checksum(b[:8], castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// saveCursor keeps the cursor, at most every cursorEvery unless it must be now. The caller holds mu.
func (s *Spool) saveCursor(now bool) error {
	if s.cursor == s.saved.number || !now && s.cfg.Now().Sub(s.saved.at) < cursorEvery {
		return nil
	}
	b := binary.LittleEndian.AppendUint64(nil, s.cursor)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	path := filepath.Join(s.cfg.Dir, cursorName)
	// Without a sync: a power cut may bring the file before, which only makes duplicates, and a torn one is told by its sum.
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return fmt.Errorf("keep the cursor of the spool: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("keep the cursor of the spool: %w", err)
	}
	s.saved = savedCursor{s.cursor, s.cfg.Now()}
	return nil
}
