package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// localFiles are files below a directory. It differs from the library's own file system in one thing: a file that was closed
// without an error is on the disk, and so is the directory entry that names it.
//
// Locations are file:// URIs, as every other Iceberg engine writes them.
type localFiles struct {
	dir string // absolute and without symbolic links
}

var _ files = localFiles{}

// openLocalFiles makes the directory where it is missing.
func openLocalFiles(dir string) (localFiles, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return localFiles{}, err
	}
	if err := mkdirDurable(dir); err != nil {
		return localFiles{}, err
	}
	// The metadata records this path, and maintenance compares it with what it finds on the disk.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return localFiles{}, err
	}
	return localFiles{dir}, nil
}

func (l localFiles) location(elem ...string) string {
	return location(filepath.Join(append([]string{l.dir}, elem...)...))
}

// location names a local path as Iceberg metadata does; path must be absolute.
func location(path string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}

// localPath is the inverse of location.
func localPath(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil {
		return "", fmt.Errorf("parse location: %w", err)
	}
	if u.Scheme != "file" || u.Path == "" {
		return "", fmt.Errorf("location %q is not a local file", location)
	}
	return filepath.FromSlash(u.Path), nil
}

func (localFiles) open(_ context.Context, location string, bytes int64) (openFile, error) {
	path, err := localPath(location)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if bytes < 0 {
		info, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		bytes = info.Size()
	}
	return localFile{f, bytes}, nil
}

type localFile struct {
	*os.File
	size int64
}

func (f localFile) bytes() int64 { return f.size }

func (localFiles) remove(_ context.Context, location string) error {
	path, err := localPath(location)
	if err != nil {
		return err
	}
	return os.Remove(path)
}

// durableFile syncs itself and its directory when it is closed.
type durableFile struct {
	*os.File
}

// create makes the directories above, too. An existing file is an error: every name in the lake is used once.
func (localFiles) create(_ context.Context, location string) (newFile, error) {
	path, err := localPath(location)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		if err := mkdirDurable(filepath.Dir(path)); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	}
	if err != nil {
		return nil, err
	}
	return &durableFile{f}, nil
}

// Close implements io.Closer.
func (f *durableFile) Close() error {
	if err := f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync %s: %w", f.Name(), err), f.File.Close())
	}
	if err := f.File.Close(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(f.Name()))
}

// abandon leaves what was written to the sweep.
func (f *durableFile) abandon() error { return f.File.Close() }

// mkdirDurable makes a directory and its parents and syncs each directory that got a new entry.
func mkdirDurable(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := mkdirDurable(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := d.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync directory %s: %w", dir, err), d.Close())
	}
	return d.Close()
}

// list tells files by their paths without symbolic links.
func (localFiles) list(ctx context.Context, below string, visit func(storedFile) error) error {
	dir, err := localPath(below)
	if err != nil {
		return err
	}
	dir, err = filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) { // another process has just deleted it
			return nil
		}
		if err != nil {
			return err
		}
		return visit(storedFile{location: location(path), bytes: info.Size(), modified: info.ModTime()})
	})
}

// canonical resolves symbolic links. It remembers each directory, of which a table has few.
func (localFiles) canonical() func(string) (string, error) {
	known := make(map[string]string)
	return func(at string) (string, error) {
		path, err := localPath(at)
		if err != nil {
			return "", err
		}
		dir := filepath.Dir(path)
		real, ok := known[dir]
		if !ok {
			real, err = filepath.EvalSymlinks(dir)
			if errors.Is(err, fs.ErrNotExist) { // then nothing of it is on the disk to be found
				real, err = dir, nil
			}
			if err != nil {
				return "", fmt.Errorf("resolve location: %w", err)
			}
			known[dir] = real
		}
		return location(filepath.Join(real, filepath.Base(path))), nil
	}
}

func (l localFiles) checkPlace(recorded, here string) error {
	from, err := localPath(recorded)
	if err != nil {
		return fmt.Errorf("%w: the table was made at %s and is opened in %s", ErrMoved, recorded, l.dir)
	}
	to, err := localPath(here)
	if err != nil {
		return err
	}
	there := from
	if real, err := filepath.EvalSymlinks(from); err == nil {
		there = real
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("resolve recorded location: %w", err)
	}
	if real, err := filepath.EvalSymlinks(to); err == nil {
		to = real
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("resolve location: %w", err)
	}
	if filepath.Clean(there) == to {
		return nil
	}
	made := filepath.Dir(filepath.Dir(filepath.Clean(from)))
	return fmt.Errorf("%w: the table was made in %s and is opened in %s. Move the lake directory back to %s, or, where nothing "+
		"is left at that path, put a symbolic link there that leads to %s; nothing was changed", ErrMoved, from, to, made, l.dir)
}

// readBufferBytes is the read-ahead of one column of a large file, minReadBufferBytes that of the smallest. Some fifty
// columns have one each, so that a small file would be opened for nothing but large buffers.
const readBufferBytes, minReadBufferBytes = 256 << 10, 4 << 10

func (localFiles) close() {}

// tears implements files: every file was synced, but disks forget what they have acknowledged.
func (localFiles) tears() bool { return true }

func (localFiles) readAhead(bytes int64) int {
	return int(min(readBufferBytes, max(minReadBufferBytes, bytes/16)))
}
