package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	icebergio "github.com/apache/iceberg-go/io"
)

// durableFS is the file system that Iceberg sees. It differs from the library's own in one thing: a file that was closed
// without an error is on the disk, and so is the directory entry that names it. Iceberg publishes names, so every named
// file must outlive a power cut before its name is published.
//
// Locations are file:// URIs, as every other Iceberg engine writes them.
type durableFS struct{}

var _ icebergio.WriteFileIO = durableFS{}

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

func durable(context.Context) (icebergio.IO, error) { return durableFS{}, nil }

func (durableFS) Open(name string) (icebergio.File, error) {
	path, err := localPath(name)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

func (durableFS) ReadFile(name string) ([]byte, error) {
	path, err := localPath(name)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func (durableFS) Remove(name string) error {
	path, err := localPath(name)
	if err != nil {
		return err
	}
	return os.Remove(path)
}

func (durableFS) Create(name string) (icebergio.FileWriter, error) {
	path, err := localPath(name)
	if err != nil {
		return nil, err
	}
	return createDurable(path)
}

func (durableFS) WriteFile(name string, content []byte) error {
	path, err := localPath(name)
	if err != nil {
		return err
	}
	return writeDurable(path, content)
}

// durableFile syncs itself and its directory when it is closed.
type durableFile struct {
	*os.File
}

// createDurable creates a new file. An existing one is an error: every name in the lake is used once.
func createDurable(path string) (*durableFile, error) {
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

func (f *durableFile) Close() error {
	if err := f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync %s: %w", f.Name(), err), f.File.Close())
	}
	if err := f.File.Close(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(f.Name()))
}

func writeDurable(path string, content []byte) error {
	f, err := createDurable(path)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), f.File.Close())
	}
	return f.Close()
}

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
