package kafka

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

// Record batches, message format v2 (Kafka 0.11 and later), as on disk and on the wire. Offsets in bytes:
//
//	 0 baseOffset int64            43 producerId int64
//	 8 batchLength int32           51 producerEpoch int16
//	12 partitionLeaderEpoch int32  53 baseSequence int32
//	16 magic int8 (2)              57 records int32
//	17 crc uint32 (CRC-32C of the bytes from 21 on)
//	21 attributes int16            61 the records, compressed together or plain
//	23 lastOffsetDelta int32
//	27 baseTimestamp int64
//	35 maxTimestamp int64
const (
	batchPrefixSize = 12 // baseOffset and batchLength; batchLength counts what follows
	batchHeaderSize = 61
	batchMagic      = 2

	attrCompression   = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20

	// minRecordSize is the smallest encoded record: length, attributes, two deltas, two null lengths, no headers. It
	// bounds how many records a header may promise.
	minRecordSize = 7
	// maxArenaRecords bounds how many records' headers are allocated ahead: 4,096 one-header records are 160 KB.
	maxArenaRecords = 4096
	// maxParsedBytes ends a run of compressed batches once they have grown to this, since the broker counts compressed
	// bytes; what follows is fetched again. 48 partitions in a replay then hold 200 MB at most.
	maxParsedBytes = 4 << 20
)

// castagnoli is the table of CRC-32C; the standard library uses the processor's instruction for it.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CorruptError says that the bytes of a batch are not what a producer wrote. It is not retried: the log needs the
// operator.
type CorruptError struct {
	Topic     string
	Partition int32
	Offset    int64 // of the batch
	Reason    string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt record batch at %s/%d offset %d: %s", e.Topic, e.Partition, e.Offset, e.Reason)
}

// batchParser turns the record set of a fetch into the committed records from from on and below stable. next is where the
// following fetch starts. Records alias the input, or the inflated copy of a compressed batch.
type batchParser struct {
	*buffers
	topic     string
	partition int32
	from      int64
	stable    int64 // the last stable offset: what lies above may still be aborted
	aborts    aborts
	zstd      *zstd.Decoder

	next      int64
	parsed    int    // bytes of records, after decompression
	headerKey string // last header key seen; keys repeat from record to record
}

// parse reads the complete batches of raw, up to maxParsedBytes. A partial batch at the end is normal, since brokers cut
// at a byte count. A corrupt batch after good ones ends the run without an error: the next fetch begins with it and
// reports it.
func (p *batchParser) parse(raw []byte) error {
	p.next = p.from
	if n := promisedRecords(raw); cap(p.records) < n {
		p.records = make([]Record, 0, n)
	}
	for first := true; len(raw) >= batchHeaderSize && p.parsed < maxParsedBytes; first = false {
		base := int64(binary.BigEndian.Uint64(raw))
		if base >= p.stable {
			return nil
		}
		length := int64(int32(binary.BigEndian.Uint32(raw[8:])))
		if length < batchHeaderSize-batchPrefixSize {
			return p.corrupt(first, base, "batch length %d is shorter than a header", length)
		}
		size := batchPrefixSize + length
		if size > int64(len(raw)) {
			if first {
				return fmt.Errorf("batch of %d bytes at offset %d was cut to %d by the broker", size, base, len(raw))
			}
			return nil
		}
		if reason := p.batch(base, raw[:size:size]); reason != "" {
			return p.corrupt(first, base, "%s", reason)
		}
		raw = raw[size:]
	}
	return nil
}

func (p *batchParser) corrupt(first bool, base int64, format string, args ...any) error {
	if !first && p.next > p.from {
		return nil
	}
	return &CorruptError{Topic: p.topic, Partition: p.partition, Offset: base, Reason: fmt.Sprintf(format, args...)}
}

// batch reads one whole batch and answers what is wrong with it, or "". Nothing of a bad batch is kept.
func (p *batchParser) batch(base int64, b []byte) (reason string) {
	if b[16] != batchMagic {
		return fmt.Sprintf("message format v%d, only v2 is read", b[16])
	}
	if sum, want := crc32.Checksum(b[21:], castagnoli), binary.BigEndian.Uint32(b[17:]); sum != want {
		return fmt.Sprintf("checksum is %08x, header says %08x", sum, want)
	}
	attrs := binary.BigEndian.Uint16(b[21:])
	last := int64(int32(binary.BigEndian.Uint32(b[23:])))
	if base < 0 || last < 0 || base > math.MaxInt64-last-1 {
		return fmt.Sprintf("offsets %d + %d", base, last)
	}
	end := base + last + 1
	if end <= p.next {
		return "" // the broker starts at the batch that holds the offset; earlier ones hold nothing new
	}
	producer := int64(binary.BigEndian.Uint64(b[43:]))
	p.aborts.upTo(end)
	switch {
	case attrs&attrControl != 0:
		reason = p.aborts.marker(producer, b[batchHeaderSize:])
	case attrs&attrTransactional != 0 && p.aborts.of(producer):
	default:
		kept := len(p.records)
		if reason = p.batchRecords(base, end, attrs, b); reason != "" {
			p.records = p.records[:kept]
		}
	}
	if reason == "" {
		p.next = end
	}
	return reason
}

func (p *batchParser) batchRecords(base, end int64, attrs uint16, b []byte) (reason string) {
	body := b[batchHeaderSize:]
	if codec := attrs & attrCompression; codec != 0 {
		inflated, err := p.inflate(compress.Compression(codec), body)
		if err != nil {
			return err.Error()
		}
		body = inflated
	}
	p.parsed += len(body)
	n := int(int32(binary.BigEndian.Uint32(b[57:])))
	if n < 0 || n > len(body)/minRecordSize {
		return fmt.Sprintf("%d records in %d bytes", n, len(body))
	}
	baseTime := int64(binary.BigEndian.Uint64(b[27:]))
	var appendTime time.Time
	if attrs&attrLogAppendTime != 0 {
		appendTime = time.UnixMilli(int64(binary.BigEndian.Uint64(b[35:]))).UTC()
	}
	for i := range n {
		r := Record{Topic: p.topic, Partition: p.partition, Time: appendTime}
		d := recordDecoder{b: body}
		body = p.record(&d, &r, base, baseTime)
		if d.bad {
			return fmt.Sprintf("record %d of %d does not decode", i, n)
		}
		if r.Offset < base || r.Offset >= end {
			return fmt.Sprintf("record %d has offset %d outside its batch", i, r.Offset)
		}
		if r.Offset >= p.from {
			p.records = append(p.records, r)
		}
	}
	if len(body) != 0 {
		return fmt.Sprintf("%d bytes after the last record", len(body))
	}
	return ""
}

// record decodes the record at the front of d into r and answers the bytes after it.
func (p *batchParser) record(d *recordDecoder, r *Record, base, baseTime int64) (rest []byte) {
	length := d.varint()
	if d.bad || length < 0 || length > int64(len(d.b)) {
		d.bad = true
		return nil
	}
	rest, d.b = d.b[length:], d.b[:length]
	d.bytes(1) // attributes, unused by the format
	timeDelta := d.varint()
	r.Offset = base + d.varint()
	if r.Time.IsZero() {
		r.Time = time.UnixMilli(baseTime + timeDelta).UTC()
	}
	r.Key = d.nullable()
	r.Value = d.nullable()
	if n := d.varint(); n > 0 && !d.bad {
		r.Headers = p.recordHeaders(d, n)
	} else if n < 0 {
		d.bad = true
	}
	d.bad = d.bad || len(d.b) != 0
	return rest
}

func (p *batchParser) recordHeaders(d *recordDecoder, n int64) []Header {
	if n > int64(len(d.b))/2 { // a header has at least two lengths
		d.bad = true
		return nil
	}
	if cap(p.headers)-len(p.headers) < int(n) {
		// As many headers for each record to come, and more than last time, so that an arena that is used again becomes
		// large enough. Records decoded before keep their part of the arena before.
		left := cap(p.records) - len(p.records)
		p.headers = make([]Header, 0, max(int(n)*max(1, min(left, maxArenaRecords)), min(2*cap(p.headers), keptRecords)))
	}
	from := len(p.headers)
	for range n {
		key := d.nullable()
		value := d.nullable()
		if key == nil {
			d.bad = true
		}
		if d.bad {
			return nil
		}
		if string(key) != p.headerKey {
			p.headerKey = string(key)
		}
		p.headers = append(p.headers, Header{Key: p.headerKey, Value: value})
	}
	return p.headers[from:len(p.headers):len(p.headers)]
}

// promisedRecords is how many records the batch headers of a record set announce, so that they are allocated at once.
// It trusts no header beyond what the bytes could hold; a compressed batch may hold more and grows the slice.
func promisedRecords(raw []byte) int {
	total := int64(0)
	for len(raw) >= batchHeaderSize {
		size := batchPrefixSize + int64(int32(binary.BigEndian.Uint32(raw[8:])))
		if size < batchHeaderSize || size > int64(len(raw)) {
			break
		}
		n := int64(int32(binary.BigEndian.Uint32(raw[57:])))
		total += max(0, min(n, size/minRecordSize))
		raw = raw[size:]
	}
	return int(total)
}

// recordDecoder reads the variable-length fields of a record; bad is sticky.
type recordDecoder struct {
	b   []byte
	bad bool
}

// varint reads a zigzag variable-length integer.
func (d *recordDecoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *recordDecoder) bytes(n int64) []byte {
	if d.bad || n < 0 || n > int64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

// nullable reads a length and that many bytes; -1 is nil.
func (d *recordDecoder) nullable() []byte {
	n := d.varint()
	if n == -1 {
		return nil
	}
	return d.bytes(n)
}
