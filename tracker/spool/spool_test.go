package spool

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func open(t testing.TB, cfg Config) *Spool {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t testing.TB, s *Spool, entries ...string) uint64 {
	t.Helper()
	number, err := s.Append(toBytes(entries))
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func toBytes(texts []string) (out [][]byte) {
	for _, text := range texts {
		out = append(out, []byte(text))
	}
	return out
}

// drain reads everything and says that it is done.
func drain(t testing.TB, s *Spool) (all []string) {
	t.Helper()
	for {
		c, err := s.Next(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if c.Last == 0 {
			return all
		}
		for _, e := range c.Entries {
			all = append(all, string(e))
		}
		if err := s.Done(c); err != nil {
			t.Fatal(err)
		}
	}
}

func requireEntries(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("read %d entries %.60q..., want %d %.60q...", len(got), got, len(want), want)
	}
}

// numbered are entries that tell where they belong.
func numbered(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("entry %d %s", i, strings.Repeat("x", i%50)))
	}
	return out
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// TestQueue appends and reads over many segments, with restarts between, and frees the disk of what is drained.
func TestQueue(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), SegmentBytes: 2 << 10}
	s := open(t, cfg)
	for i := range 100 {
		put(t, s, numbered(3*i, 3*i+3)...)
	}
	if n := len(segments(t, cfg.Dir)); n < 4 {
		t.Fatalf("%d segments", n)
	}
	if st := s.Stats(); st.Entries != 300 || st.Bytes < 5_000 {
		t.Errorf("stats %+v", st)
	}
	var got []string
	for range 10 { // a part before the restart
		c, err := s.Next(1)
		if err != nil || len(c.Entries) != 3 {
			t.Fatalf("%d entries, %v", len(c.Entries), err)
		}
		for _, e := range c.Entries {
			got = append(got, string(e))
		}
		if err := s.Done(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	if st := s.Stats(); st.Entries != 270 {
		t.Errorf("%d entries wait after the restart, want 270", st.Entries)
	}
	put(t, s, numbered(300, 310)...)
	got = append(got, drain(t, s)...)
	requireEntries(t, got, numbered(0, 310))
	if cursor, _ := s.Cursor(); cursor != s.End() || s.Stats().Entries != 0 {
		t.Errorf("cursor %d, end %d, %+v", cursor, s.End(), s.Stats())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left := segments(t, cfg.Dir); len(left) != 0 {
		t.Errorf("drained segments are left: %v", left)
	}
	s = open(t, cfg) // numbers go on, or a lane would take a new frame for an old one
	if n := put(t, s, "next"); n != 102 {
		t.Errorf("frame %d after 101", n)
	}
	requireEntries(t, drain(t, s), []string{"next"})
}

// TestRewind reads again what was not said to be done.
func TestRewind(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	put(t, s, "a")
	put(t, s, "b")
	c, err := s.Next(1)
	if err != nil || string(c.Entries[0]) != "a" {
		t.Fatal(c, err)
	}
	if err := s.Done(c); err != nil {
		t.Fatal(err)
	}
	if c, err = s.Next(1); err != nil || string(c.Entries[0]) != "b" {
		t.Fatal(c, err)
	}
	s.Rewind()
	put(t, s, "c")
	requireEntries(t, drain(t, s), []string{"b", "c"})
}

// TestTornEnd cuts the file at every byte of the last frame, as a crash in the middle of a write does: what was acknowledged
// before is whole, and writing goes on.
func TestTornEnd(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	put(t, s, "first", "second")
	whole := s.Stats().Bytes
	put(t, s, "third")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := segments(t, dir)[0]
	full, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := whole; cut < int64(len(full)); cut++ {
		torn := slices.Clone(full[:cut])
		if cut%2 == 1 {
			torn = append(torn, make([]byte, 4096)...) // a file that has grown before its bytes came
		}
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, Config{Dir: dir})
		put(t, s, "after")
		requireEntries(t, drain(t, s), []string{"first", "second", "after"})
		if err := errors.Join(s.Close(), os.Remove(filepath.Join(dir, cursorName))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamage flips a byte in the middle: the frame is lost and told of, all others are read.
func TestDamage(t *testing.T) {
	for name, when := range map[string]bool{"before opening": true, "while open": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var log bytes.Buffer
			cfg := Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))}
			s := open(t, cfg)
			put(t, s, "a")
			at := s.Stats().Bytes
			put(t, s, "b")
			put(t, s, "c")
			path := segments(t, dir)[0]
			damage := func() {
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				b[at+frameHeaderSize] ^= 1
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if when {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				damage()
				s = open(t, cfg)
			} else {
				damage()
			}
			requireEntries(t, drain(t, s), []string{"a", "c"})
			if !strings.Contains(log.String(), "damaged") {
				t.Errorf("nobody is told: %s", log.String())
			}
			if st := s.Stats(); st.Entries != 0 {
				t.Errorf("%d entries wait for ever", st.Entries)
			}
		})
	}
}

// TestFull refuses beyond the limit, keeps what it has, and takes again when some of it is drained.
func TestFull(t *testing.T) {
	const limit = 64 << 10
	s := open(t, Config{Dir: t.TempDir(), MaxBytes: limit, SegmentBytes: 8 << 10})
	taken := 0
	entry := strings.Repeat("x", 1000)
	for ; ; taken++ {
		if _, err := s.Append(toBytes([]string{entry})); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); taken < 55 || st.Bytes > limit {
		t.Fatalf("full after %d entries with %d bytes", taken, st.Bytes)
	}
	for range 10 {
		c, err := s.Next(1)
		if err == nil {
			err = s.Done(c)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "again")
	if got := drain(t, s); len(got) != taken-10+1 || got[len(got)-1] != "again" {
		t.Errorf("%d entries, the last %.10q", len(got), got[len(got)-1])
	}
	if _, err := s.Append([][]byte{make([]byte, maxFrameBytes)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("an entry beyond a frame: %v", err)
	}
}

// TestGroupCommit lets many append at once: each one's entries stay in order, and they share syncs.
func TestGroupCommit(t *testing.T) {
	const callers, calls = 32, 20
	disk := &faultyDisk{}
	s := open(t, Config{Dir: t.TempDir(), Disk: disk})
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for call := range calls {
				if _, err := s.Append(toBytes([]string{fmt.Sprintf("%d/%d", caller, call)})); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	next := map[string]int{}
	for _, e := range drain(t, s) {
		caller, call, _ := strings.Cut(e, "/")
		if call != fmt.Sprint(next[caller]) {
			t.Fatalf("caller %s: %s comes as number %d", caller, call, next[caller])
		}
		next[caller]++
	}
	if len(next) != callers {
		t.Errorf("%d callers", len(next))
	}
	if disk.syncs.Load() >= callers*calls {
		t.Errorf("%d syncs for %d calls: nobody shared one", disk.syncs.Load(), callers*calls)
	}
}

// TestGolden holds the layout: what an older program has spooled must be read by this one.
func TestGolden(t *testing.T) {
	dir := t.TempDir()
	for from, to := range map[string]string{"v1.spool": segmentName(7), "v1.cursor": cursorName} {
		b, err := os.ReadFile(filepath.Join("testdata", from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, Config{Dir: dir})
	requireEntries(t, drain(t, s), []string{"third, after the cursor", "", "fifth \xff"})
	if s.End() != 9 {
		t.Errorf("ends with frame %d, want 9", s.End())
	}
}

// TestUnknownVersion touches nothing.
func TestUnknownVersion(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, segmentName(1))
	header := slices.Concat([]byte(segmentMagic), []byte{2, 0, 0, 0})
	header = append(header, checksum(header)...)
	if err := os.WriteFile(path, append(header, "from the future"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("opened: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.HasSuffix(b, []byte("future")) {
		t.Errorf("the file was changed: %q, %v", b, err)
	}
}
