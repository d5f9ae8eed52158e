package tracker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// entryVersion begins every entry of the spool; the layout is in spool/FORMAT.md.
const entryVersion = 1

var errEntry = errors.New("the entry is cut or damaged")

// encodeEntry is a record of an event as the spool keeps it. Its partition is chosen when it is drained: the topic may have grown.
func encodeEntry(r *kafka.Record) []byte {
	schema := schemaOf(r)
	b := make([]byte, 0, 1+3*binary.MaxVarintLen64+len(schema)+len(r.Key)+len(r.Value))
	b = append(b, entryVersion)
	b = binary.AppendVarint(b, r.Time.UnixMilli())
	b = binary.AppendUvarint(b, uint64(len(schema)))
	b = append(b, schema...)
	b = binary.AppendUvarint(b, uint64(len(r.Key)))
	b = append(b, r.Key...)
	return append(b, r.Value...)
}

func schemaOf(r *kafka.Record) []byte {
	for i := range r.Headers {
		if r.Headers[i].Key == event.HeaderSchema {
			return r.Headers[i].Value
		}
	}
	return nil
}

// decodeEntry is the inverse of encodeEntry; the record shares the entry's bytes.
func decodeEntry(b []byte) (kafka.Record, error) {
	if len(b) == 0 {
		return kafka.Record{}, errEntry
	}
	if b[0] != entryVersion {
		return kafka.Record{}, fmt.Errorf("the entry has version %d, this program reads %d", b[0], entryVersion)
	}
	ms, n := binary.Varint(b[1:])
	if n <= 0 {
		return kafka.Record{}, errEntry
	}
	schema, rest, ok := cutField(b[1+n:])
	if !ok {
		return kafka.Record{}, errEntry
	}
	key, value, ok := cutField(rest)
	if !ok {
		return kafka.Record{}, errEntry
	}
	return kafka.Record{
		Topic: event.TopicEvents, Partition: -1, Time: time.UnixMilli(ms), Key: key, Value: value,
		Headers: []kafka.Header{{Key: event.HeaderSchema, Value: schema}},
	}, nil
}

// cutField takes a field with its length off the front.
func cutField(b []byte) (field, rest []byte, ok bool) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return nil, nil, false
	}
	end := n + int(length)
	return b[n:end:end], b[end:], true
}
