package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
)

// headBytes is how much of an object is read before Get returns. Until then a fault is met by reading again from the
// start, so that an object no larger is never cut in two by a put in between.
const headBytes = 128 << 10

// errChanged means that an object was replaced while it was read.
var errChanged = errors.New("the object was replaced while it was read; read it again")

// Get implements Bucket. A body that breaks off or stands still is asked for again from where it did.
func (b *S3) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return nil, err
	}
	if length == 0 {
		if _, err := b.stat(ctx, key); err != nil {
			return nil, fmt.Errorf("get %s: %w", key, err)
		}
		return http.NoBody, nil
	}
	r := &s3Reader{bucket: b, ctx: ctx, key: key, at: offset, left: length}
	err := b.retry(ctx, func(ctx context.Context) error {
		r.etag, r.at, r.left = "", offset, length
		return r.readHead()
	})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, errors.Join(err, r.Close()))
	}
	return r, nil
}

// s3Reader reads one object from an offset on.
type s3Reader struct {
	bucket *S3
	ctx    context.Context
	key    string
	etag   string // of the object that is read
	at     int64  // the offset that body stands at
	left   int64  // how much is wanted from there; negative: the rest

	head bytes.Buffer // read and not yet given away
	body *s3Body      // nil before it is asked for, and after the end
	end  bool         // of the body
}

// readHead opens the body and reads its first bytes.
func (r *s3Reader) readHead() error {
	r.head.Reset()
	r.end = false
	if err := r.open(); err != nil {
		return err
	}
	buffer := make([]byte, headBytes)
	for r.head.Len() < headBytes && !r.end {
		n, err := r.readBody(buffer[:headBytes-r.head.Len()])
		r.head.Write(buffer[:n])
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

func (r *s3Reader) Read(p []byte) (n int, err error) {
	if r.head.Len() > 0 {
		return r.head.Read(p)
	}
	if r.end {
		return 0, io.EOF
	}
	err = r.bucket.retry(r.ctx, func(context.Context) error {
		if r.body == nil {
			if err := r.open(); err != nil {
				return err
			}
		}
		n, err = r.readBody(p)
		if n > 0 || errors.Is(err, io.EOF) {
			return nil // bytes first; a fault behind them shows in the next call
		}
		return err
	})
	switch {
	case err != nil:
		return n, fmt.Errorf("get %s at byte %d: %w", r.key, r.at, err)
	case n == 0 && r.end:
		return 0, io.EOF
	}
	return n, nil
}

// readBody reads from the body, which it closes at its end and after a fault.
func (r *s3Reader) readBody(p []byte) (int, error) {
	if r.end {
		return 0, io.EOF
	}
	n, err := r.body.Read(p)
	r.at += int64(n)
	if r.left >= 0 {
		r.left -= int64(n)
	}
	if err == nil {
		return n, nil
	}
	r.end = errors.Is(err, io.EOF)
	closeErr := r.closeBody()
	if r.end {
		return n, io.EOF
	}
	return n, errors.Join(err, closeErr)
}

// open asks for what is left.
func (r *s3Reader) open() error {
	if err := r.closeBody(); err != nil {
		return err
	}
	var options minio.GetObjectOptions
	switch {
	case r.left > 0:
		if err := options.SetRange(r.at, r.at+r.left-1); err != nil {
			return err
		}
	case r.left == 0:
		r.end = true
		return nil
	case r.at > 0:
		if err := options.SetRange(r.at, 0); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(r.ctx)
	body, info, _, err := r.bucket.core.GetObject(ctx, r.bucket.cfg.Bucket, r.bucket.object(r.key), options)
	if err != nil {
		cancel()
		if status(err) == http.StatusRequestedRangeNotSatisfiable { // the object ends before
			r.end = true
			return nil
		}
		return err
	}
	r.body = &s3Body{ReadCloser: body, cancel: cancel, limit: r.bucket.cfg.AnswerLimit}
	if r.etag != "" && info.ETag != r.etag {
		return errors.Join(errChanged, r.closeBody())
	}
	r.etag = info.ETag
	return nil
}

func (r *s3Reader) closeBody() error {
	body := r.body
	r.body = nil
	if body == nil {
		return nil
	}
	return body.Close()
}

// Close implements io.Closer.
func (r *s3Reader) Close() error {
	r.end = true
	r.head.Reset()
	if err := r.closeBody(); err != nil {
		return fmt.Errorf("get %s: %w", r.key, err)
	}
	return nil
}

// s3Body is the body of one answer, which ends with an error when nothing comes for a while.
type s3Body struct {
	io.ReadCloser
	cancel context.CancelFunc
	limit  time.Duration
}

func (b *s3Body) Read(p []byte) (int, error) {
	timer := time.AfterFunc(b.limit, b.cancel)
	n, err := b.ReadCloser.Read(p)
	if !timer.Stop() && err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("nothing came for %s", b.limit)
	}
	return n, err
}

func (b *s3Body) Close() error {
	b.cancel() // an answer that is not read to its end would be, by the connection
	return b.ReadCloser.Close()
}
