package tracker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// maxZstdWindow is what RFC 8878 asks every decoder to support; larger windows cost memory before the first byte.
const maxZstdWindow = 8 << 20

// maxPooledBody keeps rare large bodies from staying in memory: a full batch of the beacon fits.
const maxPooledBody = 128 << 10

const tooLargeHint = "split the events over several requests of at most 500 events and 1 MiB, counted after decompression"

// bodyReader reuses buffers and decompressors between requests; a decompressor alone has tens of kilobytes of tables.
type bodyReader struct {
	buffers, gzips, zstds sync.Pool
}

// buffer hands out an empty buffer; release takes it back.
func (b *bodyReader) buffer() *bytes.Buffer {
	if buf, ok := b.buffers.Get().(*bytes.Buffer); ok {
		return buf
	}
	return new(bytes.Buffer)
}

func (b *bodyReader) release(buf *bytes.Buffer) {
	if buf.Cap() <= maxPooledBody {
		buf.Reset()
		b.buffers.Put(buf)
	}
}

// read reads a request body, decompressed, into buf. Both the bytes on the wire and the bytes that come out are
// limited, so that a small body cannot unfold into a large one.
func (b *bodyReader) read(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer) *httpserver.Problem {
	body := io.Reader(http.MaxBytesReader(w, r.Body, event.MaxBodyBytes))
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	var err error
	switch encoding {
	case "", "identity":
		err = fill(buf, body)
	case "gzip", "x-gzip":
		err = b.gunzip(buf, body)
	case "zstd":
		err = b.unzstd(buf, body)
	default:
		return &httpserver.Problem{
			Type: problemEncoding, Title: "Content encoding not supported", Status: http.StatusUnsupportedMediaType,
			Detail: fmt.Sprintf("the body is encoded as %.40q", encoding), Hint: "send it plain, or as gzip or zstd",
		}
	}
	var tooLong *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLong), errors.Is(err, errTooLong):
		return &httpserver.Problem{
			Type: problemType(event.CodeBodyTooLarge), Title: "Request too large", Status: http.StatusRequestEntityTooLarge,
			Detail: fmt.Sprintf("the body has more than %d bytes", event.MaxBodyBytes), Hint: tooLargeHint,
		}
	}
	return &httpserver.Problem{
		Type: httpserver.ProblemUnreadable, Title: "Body unreadable", Status: http.StatusBadRequest,
		Detail: "the body broke off or is not what Content-Encoding says: " + err.Error(),
		Hint:   "send the request again; the event ids keep it from counting twice",
	}
}

var errTooLong = errors.New("body too long after decompression")

// fill reads everything, up to the limit.
func fill(buf *bytes.Buffer, r io.Reader) error {
	n, err := buf.ReadFrom(io.LimitReader(r, event.MaxBodyBytes+1))
	if err == nil && n > event.MaxBodyBytes {
		return errTooLong
	}
	return err
}

func (b *bodyReader) gunzip(buf *bytes.Buffer, body io.Reader) error {
	z, ok := b.gzips.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	defer b.gzips.Put(z)
	if err := z.Reset(body); err != nil {
		return err
	}
	return fill(buf, z)
}

func (b *bodyReader) unzstd(buf *bytes.Buffer, body io.Reader) error {
	z, ok := b.zstds.Get().(*zstd.Decoder)
	if !ok {
		var err error
		// One goroutine, the caller's: requests run side by side already, and nothing is left running in the pool.
		z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return fmt.Errorf("make zstd decoder: %w", err)
		}
	}
	defer b.zstds.Put(z)
	if err := z.Reset(body); err != nil {
		return err
	}
	return fill(buf, z)
}
