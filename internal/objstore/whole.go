package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Whole is an object in memory.
type Whole struct {
	// Bytes are read-only, and there while the Whole is reachable: who keeps a slice of them keeps the Whole too.
	Bytes  []byte
	mapped bool
}

// Rest gives the pages of a mapping back until they are used again: each comes from the system's memory then, or from the disk. What was
// read once to be checked does not count as this process's memory so. It does nothing for bytes that are no mapping.
func (w *Whole) Rest() {
	if w.mapped {
		_ = unix.Madvise(w.Bytes, unix.MADV_DONTNEED) // where the system does not heed it, the pages stay
	}
	runtime.KeepAlive(w)
}

// ReadWhole brings an object into memory; ErrNotFound where there is none. A file of a directory is mapped, without being
// read: pages come when they are used. That holds for objects that nobody replaces or shortens in place, as no method of a Bucket
// does; a disk that fails under a mapping ends the process.
func ReadWhole(ctx context.Context, b Bucket, key string) (*Whole, error) {
	if local, ok := b.(*Local); ok {
		return local.mapped(ctx, key)
	}
	size := int64(-1)
	for info, err := range b.List(ctx, key) {
		if err != nil {
			return nil, err
		}
		if info.Key == key {
			size = info.Size
		}
		break // the key itself is the first that begins with it
	}
	if size < 0 {
		return nil, fmt.Errorf("get %s: %w", key, ErrNotFound)
	}
	body, err := b.Get(ctx, key, 0, size)
	if err != nil {
		return nil, err
	}
	whole := &Whole{Bytes: make([]byte, size)}
	_, err = io.ReadFull(body, whole.Bytes)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return whole, nil
}

// mapped maps a file, which may be removed meanwhile, until nobody can reach the Whole any more.
func (b *Local) mapped(ctx context.Context, key string) (*Whole, error) {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return nil, err
	}
	f, err := os.Open(b.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("get %s: %w", key, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	whole, err := mapFile(f)
	if err := errors.Join(err, f.Close()); err != nil { // a mapping outlives its file
		return nil, fmt.Errorf("map %s: %w", key, err)
	}
	return whole, nil
}

func mapFile(f *os.File) (*Whole, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 { // nothing can be mapped of an empty file
		return &Whole{}, err
	}
	bytes, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	whole := &Whole{Bytes: bytes, mapped: true}
	runtime.AddCleanup(whole, func(mapping []byte) {
		_ = unix.Munmap(mapping) // it cannot fail for what Mmap returned
	}, bytes)
	return whole, nil
}
