package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// batchBuilder encodes records into one v2 batch (layout in batch.go) as they come, so that the accumulator keeps no
// reference to the caller's bytes. The buffer starts with the int32 length that the Produce request puts before it.
type batchBuilder struct {
	buf       []byte
	attrs     uint16 // compression
	records   int32
	firstTime int64 // Unix milliseconds
	maxTime   int64
}

const lengthPrefixSize = 4

// recordSize is an upper bound of what add appends for r, in bytes.
func recordSize(r *Record) int {
	n := 5 + 1 + binary.MaxVarintLen64 + 5 + 5 + len(r.Key) + 5 + len(r.Value) + 5
	for i := range r.Headers {
		n += 10 + len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// size is what the batch would take on the wire, in bytes.
func (b *batchBuilder) size() int { return len(b.buf) }

func (b *batchBuilder) add(r *Record) {
	t := r.Time.UnixMilli()
	if b.records == 0 {
		b.buf = append(b.buf[:0], make([]byte, lengthPrefixSize+batchHeaderSize)...)
		b.firstTime, b.maxTime = t, math.MinInt64
	}
	b.maxTime = max(b.maxTime, t)
	timeDelta, offsetDelta := t-b.firstTime, int64(b.records)

	length := 1 + varintLen(timeDelta) + varintLen(offsetDelta) + nullableLen(r.Key) + nullableLen(r.Value) + varintLen(int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		length += varintLen(int64(len(h.Key))) + len(h.Key) + nullableLen(h.Value)
	}
	buf := binary.AppendVarint(b.buf, int64(length))
	buf = append(buf, 0) // attributes, unused by the format
	buf = binary.AppendVarint(buf, timeDelta)
	buf = binary.AppendVarint(buf, offsetDelta)
	buf = appendNullable(buf, r.Key)
	buf = appendNullable(buf, r.Value)
	buf = binary.AppendVarint(buf, int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		buf = binary.AppendVarint(buf, int64(len(h.Key)))
		buf = append(buf, h.Key...)
		buf = appendNullable(buf, h.Value)
	}
	b.buf = buf
	b.records++
}

// producerState makes a batch idempotent: the broker answers a repeated (id, epoch, sequence) with the offset of the
// first. An id of -1 turns it off.
type producerState struct {
	id       int64
	epoch    int16
	sequence int32
}

// seal fills in the header and answers the whole: length prefix and batch.
func (b *batchBuilder) seal(s producerState) []byte {
	batch := b.buf[lengthPrefixSize:]
	binary.BigEndian.PutUint32(b.buf, uint32(len(batch)))
	binary.BigEndian.PutUint64(batch, 0) // the broker assigns offsets
	binary.BigEndian.PutUint32(batch[8:], uint32(len(batch)-batchPrefixSize))
	binary.BigEndian.PutUint32(batch[12:], math.MaxUint32) // leader epoch unknown
	batch[16] = batchMagic
	binary.BigEndian.PutUint16(batch[21:], b.attrs)
	binary.BigEndian.PutUint32(batch[23:], uint32(b.records-1))
	binary.BigEndian.PutUint64(batch[27:], uint64(b.firstTime))
	binary.BigEndian.PutUint64(batch[35:], uint64(b.maxTime))
	binary.BigEndian.PutUint64(batch[43:], uint64(s.id))
	binary.BigEndian.PutUint16(batch[51:], uint16(s.epoch))
	binary.BigEndian.PutUint32(batch[53:], uint32(s.sequence))
	binary.BigEndian.PutUint32(batch[57:], uint32(b.records))
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], castagnoli))
	return b.buf
}

func varintLen(v int64) int {
	n := 1
	for u := uint64(v)<<1 ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}

func nullableLen(p []byte) int {
	if p == nil {
		return 1
	}
	return varintLen(int64(len(p))) + len(p)
}

func appendNullable(buf, p []byte) []byte {
	if p == nil {
		return binary.AppendVarint(buf, -1)
	}
	buf = binary.AppendVarint(buf, int64(len(p)))
	return append(buf, p...)
}
