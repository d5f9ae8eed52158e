package stream

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// simDisk is the operating system's file system that remembers how much of every file was synced, so that the files can be
// had as a power cut at any moment leaves them. The states of one process live on it. Directory entries are taken for
// synced.
type simDisk struct {
	vfs.FS
	synced func(file string, before bool) // called around every sync

	mu    sync.Mutex
	files map[string]*simFile
}

func newSimDisk(synced func(file string, before bool)) *simDisk {
	return &simDisk{FS: vfs.Default, synced: synced, files: make(map[string]*simFile)}
}

// simFile is a file that is written.
type simFile struct {
	vfs.File
	name       string
	disk       *simDisk
	size, safe int64
	info       os.FileInfo // tells another file of this name, where a directory was moved
}

func (d *simDisk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	d.files[name] = &simFile{File: f, name: name, disk: d, info: info}
	return d.files[name], nil
}

// ReuseForWrite gives a new file: bytes of an old one in place of unsynced ones would hide what is lost.
func (d *simDisk) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.Remove(old); err != nil {
		return nil, err
	}
	return d.Create(name, category)
}

func (d *simDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, name)
	return d.FS.Remove(name)
}

func (d *simDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f, ok := d.files[from]; ok {
		delete(d.files, from)
		d.files[to] = f
	}
	return d.FS.Rename(from, to)
}

func (f *simFile) Write(b []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n, err := f.File.Write(b)
	f.size += int64(n)
	return n, err
}

func (f *simFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *simFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *simFile) sync(sync func() error) error {
	f.disk.synced(f.name, true)
	f.disk.mu.Lock()
	size := f.size
	err := sync()
	if err == nil {
		f.safe = max(f.safe, size)
	}
	f.disk.mu.Unlock()
	f.disk.synced(f.name, false)
	return err
}

// cut copies a directory as it is after a power cut at this moment: of what was not synced, part in 100 is there.
func (d *simDisk) cut(from, to string, part int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := os.MkdirAll(from, 0o700); err != nil { // a process that has not begun yet has none
		return err
	}
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the history of a rebuild is not on this disk, and goes as it likes
		}
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, below), 0o700)
		}
		length := int64(-1)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if f, ok := d.files[path]; ok && os.SameFile(f.info, info) {
			length = f.safe + (f.size-f.safe)*int64(part)/100
		}
		return copyFile(path, filepath.Join(to, below), length)
	})
}

// copyFile copies the first bytes of a file, all of them if length is negative.
func copyFile(from, to string, length int64) error {
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	var r io.Reader = in
	if length >= 0 {
		r = io.LimitReader(in, length)
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}
