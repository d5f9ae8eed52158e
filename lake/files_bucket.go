package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/millrace/millrace/internal/objstore"
)

const (
	// spillBytes is from which size on a file that is being written waits on the disk instead of in memory for its upload.
	spillBytes = 8 << 20
	// bucketReadBytes is the read-ahead of one column of a file that is not read whole: an answer of a store costs some tens of
	// milliseconds, in which a megabyte comes.
	bucketReadBytes = 1 << 20
)

// bucketFiles are files in a bucket. Locations are those that other engines find them by.
type bucketFiles struct {
	bucket  *objstore.S3
	root    string // location of the bucket as it was opened
	scratch string // directory for what is too much for memory; empty is the system's
}

var _ files = bucketFiles{}

func (b bucketFiles) location(elem ...string) string {
	return b.root + "/" + strings.Join(elem, "/")
}

// key is the name of a location in the bucket.
func (b bucketFiles) key(location string) (string, error) {
	key, ok := strings.CutPrefix(location, b.root+"/")
	if !ok {
		return "", fmt.Errorf("%s is not below %s, where this lake is", location, b.root)
	}
	return key, nil
}

// bucketWriter collects a file, in memory and from spillBytes on in a file without a name, and puts it when it is closed.
type bucketWriter struct {
	ctx   context.Context
	files bucketFiles
	key   string

	buffer []byte
	spill  *os.File
	size   int64
}

func (b bucketFiles) create(ctx context.Context, location string) (newFile, error) {
	key, err := b.key(location)
	if err != nil {
		return nil, err
	}
	return &bucketWriter{ctx: ctx, files: b, key: key}, nil
}

// Write implements io.Writer.
func (w *bucketWriter) Write(p []byte) (int, error) {
	if len(w.buffer) > 0 && len(w.buffer)+len(p) > spillBytes {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	w.buffer = append(w.buffer, p...)
	w.size += int64(len(p))
	return len(p), nil
}

// flush moves the buffer to the disk.
func (w *bucketWriter) flush() (err error) {
	if w.spill == nil {
		if w.spill, err = unnamedFile(w.files.scratch, "upload-*"); err != nil {
			return fmt.Errorf("keep %s for its upload: %w", w.key, err)
		}
	}
	if _, err := w.spill.Write(w.buffer); err != nil {
		return fmt.Errorf("keep %s for its upload: %w", w.key, err)
	}
	w.buffer = w.buffer[:0]
	return nil
}

// Close implements io.Closer.
func (w *bucketWriter) Close() error {
	err := w.put()
	if errors.Is(err, objstore.ErrExists) {
		err = fmt.Errorf("%w: %w", fs.ErrExist, err)
	}
	return errors.Join(err, w.abandon())
}

func (w *bucketWriter) put() error {
	if w.spill == nil {
		return w.files.bucket.PutIfAbsent(w.ctx, w.key, strings.NewReader(string(w.buffer)), w.size)
	}
	if err := w.flush(); err != nil {
		return err
	}
	if _, err := w.spill.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("upload %s: %w", w.key, err)
	}
	return w.files.bucket.PutIfAbsent(w.ctx, w.key, w.spill, w.size)
}

func (w *bucketWriter) abandon() error {
	if w.spill == nil {
		return nil
	}
	return w.spill.Close()
}

// unnamedFile makes a file that has no name any more when it is open: whatever ends the process, nothing is left.
func unnamedFile(dir, pattern string) (*os.File, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (b bucketFiles) remove(ctx context.Context, location string) error {
	key, err := b.key(location)
	if err != nil {
		return err
	}
	return b.bucket.Delete(ctx, key)
}

func (b bucketFiles) list(ctx context.Context, below string, visit func(storedFile) error) error {
	prefix, err := b.key(below)
	if err != nil {
		return err
	}
	for info, err := range b.bucket.List(ctx, prefix+"/") {
		if err != nil {
			return err
		}
		if err := visit(storedFile{location: b.location(info.Key), bytes: info.Size, modified: info.Modified}); err != nil {
			return err
		}
	}
	return nil
}

func (bucketFiles) canonical() func(string) (string, error) {
	return func(location string) (string, error) { return location, nil }
}

func (b bucketFiles) checkPlace(recorded, here string) error {
	if strings.TrimSuffix(recorded, "/") == here {
		return nil
	}
	return fmt.Errorf("%w: the table was made at %s and is opened at %s. Name its old place, or give the lake another catalog; nothing "+
		"was changed", ErrMoved, recorded, here)
}

func (b bucketFiles) close() { b.bucket.Close() }

// tears implements files: a store has an object whole or not at all.
func (bucketFiles) tears() bool { return false }

func (b bucketFiles) readAhead(bytes int64) int {
	if bytes > wholeBytes {
		return bucketReadBytes
	}
	return localFiles{}.readAhead(bytes)
}
