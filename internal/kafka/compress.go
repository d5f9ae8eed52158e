package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

const (
	// minCompressBytes is the smallest body worth compressing: below it there is hardly a second record to find
	// repetitions in. Larger ones shrink 3- to 10-fold, which the broker's disk and its restart time see most.
	minCompressBytes = 1 << 10
	// maxInflatedBytes bounds one decompressed batch. Brokers accept 1 MiB compressed by default; JSON shrinks 10-fold,
	// and more than 64-fold is an attack or damage.
	maxInflatedBytes = 64 << 20
	// zstdWorkers is how many batches are compressed or inflated at once; each keeps some 3 MB of state.
	zstdWorkers = 2

	attrZstd = 4 // in a batch's attributes
)

func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(zstdWorkers),
		zstd.WithEncoderCRC(false)) // the batch has a checksum of its own
}

// newDecoder returns a decoder for whole batches. It is never closed: used this way it has no goroutines, and closing it
// under a Fetch would panic.
func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(zstdWorkers), zstd.WithDecoderMaxMemory(maxInflatedBytes))
}

// compress shrinks the records if that helps. It is called once, after the last add.
func (b *batchBuilder) compress(encoder *zstd.Encoder) {
	records := b.buf[lengthPrefixSize+batchHeaderSize:]
	if len(records) < minCompressBytes {
		return
	}
	scratch, ok := scratchPool.Get().(*[]byte)
	if !ok {
		scratch = new([]byte)
	}
	small := encoder.EncodeAll(records, (*scratch)[:0])
	if len(small) < len(records) {
		b.buf = b.buf[:lengthPrefixSize+batchHeaderSize+copy(records, small)]
		b.attrs = attrZstd
	}
	*scratch = small
	scratchPool.Put(scratch)
}

// scratchPool keeps what batches are compressed into, a *[]byte of at most a batch; it is copied back at once.
var scratchPool sync.Pool

// inflate decompresses a batch: zstd, which our own producer writes, in one go and into memory that later fetches use
// again, the others through the library.
func (p *batchParser) inflate(c compress.Compression, b []byte) (out []byte, err error) {
	if c == compress.Zstd {
		from := len(p.inflated)
		p.makeRoom(b)
		out, err = p.zstd.DecodeAll(b, p.inflated) // bounded by the decoder's own limit
		if err == nil {
			p.inflated, out = out, out[from:]
		}
	} else {
		out, err = inflateStream(c, b)
	}
	if err != nil {
		return nil, fmt.Errorf("inflate %s: %w", c, err)
	}
	return out, nil
}

// makeRoom grows the memory for a batch as an append would. The decoder makes room for exactly the batch that it is given, so
// that a fetch of a thousand small ones would copy everything a thousand times, and take gigabytes over it.
func (p *batchParser) makeRoom(b []byte) {
	var h zstd.Header
	if err := h.Decode(b); err == nil && h.HasFCS && h.FrameContentSize <= maxInflatedBytes {
		p.inflated = slices.Grow(p.inflated, int(h.FrameContentSize))
	}
}

func inflateStream(c compress.Compression, b []byte) ([]byte, error) {
	codec := c.Codec()
	if codec == nil {
		return nil, errors.New("unknown compression")
	}
	r := codec.NewReader(bytes.NewReader(b))
	out, err := io.ReadAll(io.LimitReader(r, maxInflatedBytes+1))
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err == nil && len(out) > maxInflatedBytes {
		err = fmt.Errorf("more than %d bytes", maxInflatedBytes)
	}
	return out, err
}
