package kafka

import (
	"encoding/binary"
	"io"
	"sync"
)

// What one fetch needs is what the next one needs: the bytes of the answer, those of its compressed batches, records and
// headers. A reader that gives them back (FetchResult.Release) makes no garbage. Who keeps records for ever simply does
// not, and the next fetch makes new ones.

const (
	// keptRawBytes and keptInflatedBytes bound what waits for the next fetch: twice the usual. A large value that came
	// once must not stay for ever.
	keptRawBytes      = 2 * DefaultMaxBytes
	keptInflatedBytes = 2 * maxParsedBytes
	// keptRecords is the same for records and for headers: at 128 and 40 bytes each some 10 MB, and 64 bytes a record in
	// what a fetch inflates at most.
	keptRecords = 1 << 16
)

var (
	rawPool     sync.Pool // of *recordSet; the library makes the response, so it is no field of a client
	buffersPool sync.Pool // of *buffers
)

// recordSet is the records of a fetch response as the broker sent them. The library calls ReadFrom to decode it.
type recordSet []byte

// ReadFrom reads the length and that many bytes, into memory that was used before if there is some.
func (s *recordSet) ReadFrom(r io.Reader) (int64, error) {
	var length [4]byte
	if n, err := io.ReadFull(r, length[:]); err != nil {
		return int64(n), err
	}
	size := max(0, int(int32(binary.BigEndian.Uint32(length[:])))) // -1 is null
	if used, ok := rawPool.Get().(*recordSet); ok && cap(*used) >= size {
		*s = (*used)[:size]
	} else {
		*s = make([]byte, size)
	}
	n, err := io.ReadFull(r, *s)
	return int64(len(length) + n), err
}

// buffers is what the records of one fetch consist of.
type buffers struct {
	raw      recordSet
	inflated []byte
	records  []Record
	headers  []Header // arena of which the records' headers are parts
}

func newBuffers() *buffers {
	if b, ok := buffersPool.Get().(*buffers); ok {
		return b
	}
	return &buffers{}
}

// release gives everything to later fetches.
func (b *buffers) release() {
	if raw := b.raw; cap(raw) <= keptRawBytes {
		rawPool.Put(&raw)
	}
	b.raw = nil
	if cap(b.inflated) > keptInflatedBytes {
		b.inflated = nil
	}
	if cap(b.records) > keptRecords {
		b.records = nil
	}
	if cap(b.headers) > keptRecords {
		b.headers = nil
	}
	clear(b.records) // a reader that goes on all the same meets nothing, instead of other records
	clear(b.headers)
	b.inflated, b.records, b.headers = b.inflated[:0], b.records[:0], b.headers[:0]
	buffersPool.Put(b)
}
