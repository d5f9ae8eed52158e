package spool

import (
	"errors"
	"io"
	"os"
)

// Disk is what a spool asks of a file system for writing; nil in Config is the operating system's. Tests give one that fails.
type Disk interface {
	Create(path string) (File, error) // empties a file that is there
	Remove(path string) error
	SyncDir(path string) error // makes files found again that were created or removed in a directory
}

// File is a segment that is being written.
type File interface {
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

type osDisk struct{}

func (osDisk) Create(path string) (File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}

func (osDisk) Remove(path string) error { return os.Remove(path) }

func (osDisk) SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
