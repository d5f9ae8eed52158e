package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzSegment opens and reads whatever stands in a segment. Nothing may crash it, what it answers must be frames with a good
// checksum, and the frames that were written before the hostile bytes must be among them.
func FuzzSegment(f *testing.F) {
	now := time.UnixMilli(1_772_366_400_000)
	whole := appendFrame(nil, 1, now, [][]byte{[]byte("a"), nil})
	f.Add([]byte{}, false)
	f.Add(whole, true)
	f.Add(whole[:len(whole)-1], true)
	f.Add(append(bytes.Clone(whole), appendFrame(nil, 2, now, [][]byte{[]byte("b")})...), false)
	f.Add([]byte(frameMagic+frameMagic+"\xff\xff\x00\x00"), true)
	first := appendFrame(nil, 1, now, [][]byte{[]byte("before")})
	f.Fuzz(func(t *testing.T, hostile []byte, sound bool) {
		var segment []byte
		if sound {
			segment = append(segmentHeader(), first...)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, segmentName(1)), append(segment, hostile...), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Dir: dir})
		if err != nil {
			if sound && bytes.Contains(hostile, []byte(frameMagic)) {
				return // a frame with a good checksum and bad entries
			}
			if !sound && len(hostile) >= segmentHeaderSize {
				return // another version
			}
			t.Fatal(err)
		}
		defer s.Close()
		c, err := s.Next(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if sound && (len(c.Entries) == 0 || string(c.Entries[0]) != "before") {
			t.Fatalf("the frame before the hostile bytes is lost: %q", c.Entries)
		}
		total := 0
		for _, e := range c.Entries {
			total += len(e)
		}
		if total > len(segment)+len(hostile) {
			t.Fatalf("%d bytes out of %d", total, len(segment)+len(hostile))
		}
		if err := s.Done(c); err != nil {
			t.Fatal(err)
		}
	})
}
