package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/millrace/millrace/internal/objstore"
)

const (
	// tailBytes is how much of a file's end is read at once: the footer of a data file, whole files of metadata mostly.
	tailBytes = 512 << 10
	// wholeBytes is up to which size a file is read whole when more than its end is wanted: what one request brings is cheaper
	// than fifty that pick columns. Manifests and the files of single commits are rarely larger.
	wholeBytes = 16 << 20
)

// bucketFile reads an object in ranges.
type bucketFile struct {
	ctx    context.Context
	bucket *objstore.S3
	key    string
	size   int64

	mu     sync.Mutex
	kept   []byte // the end of the file as far as it has been read
	keptAt int64  // offset of its first byte
}

// open asks for the size where it is not known; the list of one object has it.
func (b bucketFiles) open(ctx context.Context, location string, bytes int64) (openFile, error) {
	key, err := b.key(location)
	if err != nil {
		return nil, err
	}
	if bytes < 0 {
		if bytes, err = b.size(ctx, key); err != nil {
			return nil, err
		}
	}
	return &bucketFile{ctx: ctx, bucket: b.bucket, key: key, size: bytes, keptAt: bytes}, nil
}

func (b bucketFiles) size(ctx context.Context, key string) (int64, error) {
	for info, err := range b.bucket.List(ctx, key) {
		if err != nil {
			return 0, err
		}
		if info.Key == key {
			return info.Size, nil
		}
		break // a longer name: this one, which sorts before, is not there
	}
	return 0, fmt.Errorf("open %s: %w", b.location(key), fs.ErrNotExist)
}

func (f *bucketFile) bytes() int64 { return f.size }

// ReadAt implements io.ReaderAt.
func (f *bucketFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.size {
		return 0, io.EOF
	}
	var short error
	if left := f.size - off; int64(len(p)) > left {
		p, short = p[:left], io.EOF
	}
	kept, err := f.keep(off)
	if err != nil {
		return 0, err
	}
	if kept != nil {
		return copy(p, kept), short
	}
	if err := f.read(p, off); err != nil {
		return 0, err
	}
	return len(p), short
}

// keep returns the file from an offset on where that is kept, or worth keeping.
func (f *bucketFile) keep(off int64) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off < f.keptAt {
		from := max(0, f.size-tailBytes)
		if off < from {
			from = 0
		}
		if f.size-from > wholeBytes {
			return nil, nil
		}
		kept := make([]byte, f.size-from)
		if err := f.read(kept, from); err != nil {
			return nil, err
		}
		f.kept, f.keptAt = kept, from
	}
	return f.kept[off-f.keptAt:], nil
}

// read fills p.
func (f *bucketFile) read(p []byte, off int64) (err error) {
	body, err := f.bucket.Get(f.ctx, f.key, off, int64(len(p)))
	if errors.Is(err, objstore.ErrNotFound) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if _, err := io.ReadFull(body, p); err != nil {
		return fmt.Errorf("read %s from byte %d: %w", f.key, off, err)
	}
	return nil
}

// Close implements io.Closer.
func (f *bucketFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept, f.keptAt = nil, f.size
	return nil
}
