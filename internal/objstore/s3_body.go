package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// spoolBytes is from which size on a body that cannot be read twice waits in a file instead of memory.
const spoolBytes = 16 << 20

// putBody is what a put may have to send more than once.
type putBody struct {
	at    io.ReaderAt
	start int64
	size  int64
	spool *os.File // without a name; nil where there is none
}

// reader reads the body from its start.
func (b *putBody) reader() io.Reader { return io.NewSectionReader(b.at, b.start, b.size) }

func (b *putBody) close() error {
	if b.spool == nil {
		return nil
	}
	return b.spool.Close()
}

// rewindable checks that a body has the bytes that were announced before any is sent, and makes it readable again from its
// start. What can be read anywhere stays where it is: memory, or a file.
func rewindable(ctx context.Context, from io.Reader, size int64) (*putBody, error) {
	if seekable, ok := from.(interface {
		io.Seeker
		io.ReaderAt
	}); ok {
		return inPlace(seekable, size)
	}
	limited := &bounded{ctx: ctx, from: io.LimitReader(from, size+1)}
	if size < spoolBytes {
		content, err := io.ReadAll(limited)
		if err != nil {
			return nil, err
		}
		return &putBody{at: bytes.NewReader(content), size: size}, checkSize(int64(len(content)), size)
	}
	f, err := os.CreateTemp("", "millrace-put-*")
	if err != nil {
		return nil, fmt.Errorf("keep the body: %w", err)
	}
	n, err := io.Copy(f, limited)
	if err := errors.Join(os.Remove(f.Name()), err, checkSize(n, size)); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the body: %w", err), f.Close())
	}
	return &putBody{at: f, size: size, spool: f}, nil
}

func inPlace(from interface {
	io.Seeker
	io.ReaderAt
}, size int64) (*putBody, error) {
	start, err := from.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	end, err := from.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	return &putBody{at: from, start: start, size: size}, checkSize(end-start, size)
}

func checkSize(have, announced int64) error {
	if have < announced || have > announced {
		return fmt.Errorf("the body has not the %d bytes that were announced", announced)
	}
	return nil
}
