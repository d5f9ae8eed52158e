package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// temporary is the directory of objects that are being written. No key reaches it.
	temporary = ".tmp"
	// leftoverAge is when a file there belongs to a process that died: no write takes a day.
	leftoverAge = 24 * time.Hour

	dirMode = 0o700
)

// Local is a bucket in a directory, which may be on a file system that several machines share. Writes go to a file beside,
// are synced, and get their name in one step; names are synced too.
type Local struct {
	dir string
}

// OpenLocal opens the bucket in dir and makes it where it is missing. What processes that died have left half-written
// is removed once it is a day old.
func OpenLocal(dir string) (*Local, error) {
	b := &Local{dir: dir}
	if err := makeDirs(b.temporary()); err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	if err := b.sweep(time.Now().Add(-leftoverAge)); err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	return b, nil
}

func (b *Local) temporary() string { return filepath.Join(b.dir, temporary) }

func (b *Local) path(key string) string { return filepath.Join(b.dir, filepath.FromSlash(key)) }

// sweep removes temporary files that were last written before a time.
func (b *Local) sweep(before time.Time) error {
	entries, err := os.ReadDir(b.temporary())
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && info.ModTime().Before(before) {
			err = os.Remove(filepath.Join(b.temporary(), entry.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another process may sweep too
			return err
		}
	}
	return nil
}

// Put implements Bucket.
func (b *Local) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return b.put(ctx, key, body, size, os.Rename)
}

// PutIfAbsent implements Bucket.
func (b *Local) PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) error {
	return b.put(ctx, key, body, size, os.Link)
}

// put writes a temporary file and gives it its name. A rename replaces what has the name, a link refuses to.
func (b *Local) put(ctx context.Context, key string, body io.Reader, size int64, name func(from, to string) error) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	from, err := b.write(ctx, body, size)
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	defer os.Remove(from) // after a rename there is nothing to remove
	to := b.path(key)
	if err := makeDirs(filepath.Dir(to)); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if err := name(from, to); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("put %s: %w", key, ErrExists)
	} else if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if err := syncDir(filepath.Dir(to)); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// write makes a temporary file of exactly size bytes, on disk.
func (b *Local) write(ctx context.Context, body io.Reader, size int64) (path string, err error) {
	f, err := os.CreateTemp(b.temporary(), "put-*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	n, err := io.Copy(f, &bounded{ctx: ctx, from: io.LimitReader(body, size+1)})
	switch {
	case err != nil:
		return "", err
	case n != size:
		return "", fmt.Errorf("the body has not the %d bytes that were announced", size)
	}
	return f.Name(), f.Sync()
}

// bounded ends a long copy when its context does.
type bounded struct {
	ctx  context.Context
	from io.Reader
}

func (r *bounded) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// Get implements Bucket.
func (b *Local) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
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
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(fmt.Errorf("get %s: %w", key, err), f.Close())
	}
	if length < 0 {
		return f, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, length), f}, nil
}

// List implements Bucket.
func (b *Local) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		err := b.walk(ctx, "", prefix, func(i Info) bool { return yield(i, nil) })
		if err != nil && !errors.Is(err, fs.SkipAll) {
			yield(Info{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

// walk lists below a directory, which is "" or ends in a slash, in the order of keys: a directory's name counts with its
// slash. It ends with fs.SkipAll when f wants no more.
func (b *Local) walk(ctx context.Context, dir, prefix string, f func(Info) bool) error {
	entries, err := os.ReadDir(b.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	sortAsKeys(entries)
	for _, entry := range entries {
		key := dir + keyName(entry)
		if strings.HasPrefix(entry.Name(), ".") || !strings.HasPrefix(key, prefix) && !strings.HasPrefix(prefix, key) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if entry.IsDir() {
			if err := b.walk(ctx, key, prefix, f); err != nil {
				return err
			}
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(key, prefix) {
			continue
		}
		if err != nil {
			return err
		}
		if !f(Info{Key: key, Size: info.Size(), Modified: info.ModTime()}) {
			return fs.SkipAll
		}
	}
	return nil
}

// Delete implements Bucket. Directories stay: another process may be about to put something there.
func (b *Local) Delete(ctx context.Context, key string) error {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return err
	}
	if err := os.Remove(b.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}
