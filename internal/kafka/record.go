// Package kafka is the product's only way to Kafka: topics, offsets, fetch, produce and group membership over
// kafka-go's Transport. It moves bytes and knows no event. Reading goes through an own Fetch with an own parser of
// record batches (batch.go) and writing through an own accumulator (producer.go), because the high-level Reader and
// Writer of the library skip out-of-range offsets silently and acknowledge nothing by default.
package kafka

import (
	"encoding/binary"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record of a topic. Offset is set by Fetch and ignored by Produce; a negative Partition lets Produce
// choose by the key. Time has millisecond precision. A nil Key or Value is Kafka's null and differs from an empty one.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time
	Key       []byte
	Value     []byte
	Headers   []Header
}

// Hash is the identity of a record in its partition, kept beside stored positions so that a log that was recreated is
// noticed: xxHash64 over offset, time, key and value. Headers are left out, since a mirror may add its own.
func Hash(r Record) uint64 {
	var d xxhash.Digest
	d.Reset()
	var b [8]byte
	number := func(n int64) {
		binary.LittleEndian.PutUint64(b[:], uint64(n))
		_, _ = d.Write(b[:]) // a digest never fails
	}
	bytes := func(p []byte) {
		if p == nil {
			number(-1)
			return
		}
		number(int64(len(p)))
		_, _ = d.Write(p)
	}
	number(r.Offset)
	number(r.Time.UnixMilli())
	bytes(r.Key)
	bytes(r.Value)
	return d.Sum64()
}
