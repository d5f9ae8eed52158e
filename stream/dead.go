package stream

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// Headers of a dead letter, beside those of the original record. Its key and value are the original bytes, unless they
// are too large.
const (
	HeaderReason    = "millrace-reason"    // empty, format or invalid
	HeaderDetail    = "millrace-detail"    // what exactly was wrong, for people
	HeaderTopic     = "millrace-topic"     // where the record stood
	HeaderEpoch     = "millrace-epoch"     // decimal
	HeaderPartition = "millrace-partition" // decimal
	HeaderOffset    = "millrace-offset"    // decimal
	// HeaderTruncated says that the letter could not hold the whole record: the original length of the value in bytes. Its
	// value is the beginning then. HeaderDropped is the number of original headers (and of the key, as one) left out.
	HeaderTruncated = "millrace-truncated"
	HeaderDropped   = "millrace-dropped"
)

const (
	// letterBytes bounds a letter, framing included. Other programs write records of up to 1 MiB, what brokers accept by
	// default, but our own producer takes half of it in a batch, which has a header too.
	letterBytes = kafka.DefaultMaxBatchBytes - 4<<10
	// letterHeadBytes bounds the key and the original headers of a letter together; all of them are dropped above it.
	letterHeadBytes = 64 << 10
	// letterDetailBytes bounds the detail: enough to say what was wrong with which field.
	letterDetailBytes = 1 << 10
	// letterHeaderBytes is what a header takes beside its texts, at most.
	letterHeaderBytes = 16
	// letterOwnBytes is reserved for the headers that this file adds.
	letterOwnBytes = letterDetailBytes + 2<<10
	// letterBatchBytes is how much is produced at once: a compressed batch of poison may hold more than a producer buffers.
	letterBatchBytes = 4 << 20
)

// deadLetter is a record that cannot be used, and why.
type deadLetter struct {
	record *kafka.Record
	epoch  int64
	poison *poison
}

// bury writes dead letters and returns when they are acknowledged: only then may the position move past them. After a
// crash a letter may be written again; its source headers tell.
func (s *Stream) bury(ctx context.Context, letters []deadLetter) error {
	var records []kafka.Record
	size := 0
	for i, d := range letters {
		records = append(records, d.letter())
		if size += len(records[len(records)-1].Value); size < letterBatchBytes && i < len(letters)-1 {
			continue
		}
		if err := produce(ctx, s.deps.Producer, s.log, records); err != nil {
			return fmt.Errorf("write %d dead letters: %w", len(records), err)
		}
		records, size = records[:0], 0
	}
	for _, d := range letters {
		s.metrics.dead.WithLabelValues(d.record.Topic, d.poison.reason).Inc()
	}
	return nil
}

// letter is the record to write for a dead letter. It always fits into a batch of the producer. Its time is when it was
// written, because retention counts from it: a record with a wrong time must not take its letter along.
func (d deadLetter) letter() kafka.Record {
	out := kafka.Record{Topic: event.TopicDead, Partition: -1, Time: time.Now(), Key: d.record.Key, Value: d.record.Value}
	head := len(d.record.Key)
	for _, h := range d.record.Headers {
		head += letterHeaderBytes + len(h.Key) + len(h.Value)
	}
	add := func(key, value string) {
		out.Headers = append(out.Headers, kafka.Header{Key: key, Value: []byte(value)})
	}
	if head <= letterHeadBytes {
		out.Headers = append(out.Headers, d.record.Headers...)
	} else {
		out.Key, head = nil, 0
		add(HeaderDropped, strconv.Itoa(len(d.record.Headers)+1))
	}
	add(HeaderReason, d.poison.reason)
	add(HeaderDetail, strings.ToValidUTF8(d.poison.detail[:min(len(d.poison.detail), letterDetailBytes)], ""))
	add(HeaderTopic, d.record.Topic)
	add(HeaderEpoch, strconv.FormatInt(d.epoch, 10))
	add(HeaderPartition, strconv.Itoa(int(d.record.Partition)))
	add(HeaderOffset, strconv.FormatInt(d.record.Offset, 10))
	if room := letterBytes - letterOwnBytes - head; len(out.Value) > room {
		add(HeaderTruncated, strconv.Itoa(len(out.Value)))
		out.Value = out.Value[:room]
	}
	return out
}
