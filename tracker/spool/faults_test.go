package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

func checksum(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli))
}

// faultyDisk is the real one until it is told to fail. It remembers what was synced, to take the rest away as a power cut does.
type faultyDisk struct {
	create, write, sync, remove atomic.Pointer[error]
	syncs                       atomic.Int64

	mu    sync.Mutex
	files map[string]*faultyFile
}

type faultyFile struct {
	disk   *faultyDisk
	file   File
	path   string
	size   int64 // written
	synced int64
	named  bool // its directory was synced
}

func fail(p *atomic.Pointer[error]) error {
	if err := p.Load(); err != nil {
		return *err
	}
	return nil
}

func (d *faultyDisk) Create(path string) (File, error) {
	if err := fail(&d.create); err != nil {
		return nil, err
	}
	f, err := osDisk{}.Create(path)
	if err != nil {
		return nil, err
	}
	file := &faultyFile{disk: d, file: f, path: path}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files == nil {
		d.files = map[string]*faultyFile{}
	}
	d.files[path] = file
	return file, nil
}

func (d *faultyDisk) Remove(path string) error {
	if err := fail(&d.remove); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.files, path)
	d.mu.Unlock()
	return osDisk{}.Remove(path)
}

func (d *faultyDisk) SyncDir(path string) error {
	if err := fail(&d.sync); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		f.named = true
	}
	return osDisk{}.SyncDir(path)
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	if err := fail(&f.disk.write); err != nil {
		n, _ := f.file.WriteAt(b[:len(b)/2], at) // a full disk takes a part
		f.size = max(f.size, at+int64(n))
		return n, err
	}
	f.size = max(f.size, at+int64(len(b)))
	return f.file.WriteAt(b, at)
}

func (f *faultyFile) Sync() error {
	if err := fail(&f.disk.sync); err != nil {
		return err
	}
	f.disk.syncs.Add(1)
	f.synced = f.size
	return nil // no power goes while a test runs
}

func (f *faultyFile) Truncate(size int64) error {
	if err := fail(&f.disk.write); err != nil {
		return err
	}
	f.size = size
	return f.file.Truncate(size)
}

func (f *faultyFile) Close() error { return f.file.Close() }

// cut takes away what was not synced.
func (d *faultyDisk) cut(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for path, f := range d.files {
		var err error
		if f.named {
			err = os.Truncate(path, f.synced)
		} else {
			err = os.Remove(path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskErrors fails each step for a while: the calls meanwhile are told, those before and after lose nothing, and no restart
// is needed. Then the same after a restart.
func TestDiskErrors(t *testing.T) {
	for name, step := range map[string]func(*faultyDisk) *atomic.Pointer[error]{
		"create": func(d *faultyDisk) *atomic.Pointer[error] { return &d.create },
		"write":  func(d *faultyDisk) *atomic.Pointer[error] { return &d.write },
		"sync":   func(d *faultyDisk) *atomic.Pointer[error] { return &d.sync },
	} {
		t.Run(name, func(t *testing.T) {
			disk := &faultyDisk{}
			cfg := Config{Dir: t.TempDir(), Disk: disk, SegmentBytes: 1 << 10}
			s := open(t, cfg)
			var acknowledged []string
			append := func(i int) error {
				entry := fmt.Sprintf("%d %s", i, string(make([]byte, 100)))
				_, err := s.Append([][]byte{[]byte(entry)})
				if err == nil {
					acknowledged = append(acknowledged, entry)
				}
				return err
			}
			full := error(syscall.ENOSPC)
			for round := range 3 {
				for i := range 25 {
					if err := append(100*round + i); err != nil {
						t.Fatal(err)
					}
				}
				step(disk).Store(&full)
				failed := 0
				for i := range 20 { // a new segment is needed within as many
					if err := append(100*round + 50 + i); errors.Is(err, syscall.ENOSPC) {
						failed++
					} else if err != nil {
						t.Fatal(err)
					}
				}
				step(disk).Store(nil)
				if failed == 0 {
					t.Fatal("the disk never failed")
				}
			}
			if files := len(segments(t, cfg.Dir)); files > 30 {
				t.Errorf("%d files are left of failures", files)
			}
			requireEntries(t, drain(t, s), acknowledged)
			if err := append(1000); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, cfg)
			requireEntries(t, drain(t, s), acknowledged[len(acknowledged)-1:])
		})
	}
}

// TestPowerCut takes away everything that was not synced, at different moments: what was acknowledged is there.
func TestPowerCut(t *testing.T) {
	for acknowledged := range 30 {
		disk := &faultyDisk{}
		cfg := Config{Dir: t.TempDir(), Disk: disk, SegmentBytes: 500}
		s := open(t, cfg)
		var want []string
		for i := range acknowledged {
			want = append(want, fmt.Sprintf("entry %d of some length", i))
			put(t, s, want[i])
		}
		broken := errors.New("power")
		disk.sync.Store(&broken) // what comes now is written, and no more
		if _, err := s.Append(toBytes([]string{"never acknowledged"})); err == nil {
			t.Fatal("acknowledged without a sync")
		}
		disk.cut(t)
		again := open(t, Config{Dir: cfg.Dir})
		requireEntries(t, drain(t, again), want)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCursorLost drains again what it cannot know to be drained, and passes over nothing.
func TestCursorLost(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"missing": os.Remove,
		"torn":    func(path string) error { return os.Truncate(path, 5) },
		"damaged": func(path string) error { return os.WriteFile(path, make([]byte, cursorSize), 0o600) },
	} {
		dir := t.TempDir()
		s := open(t, Config{Dir: dir})
		put(t, s, "a")
		c, err := s.Next(1)
		if err == nil {
			err = s.Done(c)
		}
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "b")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := spoil(filepath.Join(dir, cursorName)); err != nil {
			t.Fatal(err)
		}
		s = open(t, Config{Dir: dir})
		if got := drain(t, s); len(got) == 0 || got[len(got)-1] != "b" {
			t.Errorf("%s: %q", name, got)
		}
	}
}
