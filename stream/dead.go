package stream

import (
	"context"
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// Headers of a dead letter, beside those of the original record. Its key and value are the original bytes.
const (
	HeaderReason    = "millrace-reason"    // empty, format or invalid
	HeaderDetail    = "millrace-detail"    // what exactly was wrong, for people
	HeaderTopic     = "millrace-topic"     // where the record stood
	HeaderEpoch     = "millrace-epoch"     // decimal
	HeaderPartition = "millrace-partition" // decimal
	HeaderOffset    = "millrace-offset"    // decimal
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
	if len(letters) == 0 {
		return nil
	}
	records := make([]kafka.Record, len(letters))
	for i, d := range letters {
		headers := append([]kafka.Header(nil), d.record.Headers...)
		for _, h := range [...]struct{ key, value string }{
			{HeaderReason, d.poison.reason}, {HeaderDetail, d.poison.detail}, {HeaderTopic, d.record.Topic},
			{HeaderEpoch, strconv.FormatInt(d.epoch, 10)}, {HeaderPartition, strconv.Itoa(int(d.record.Partition))},
			{HeaderOffset, strconv.FormatInt(d.record.Offset, 10)},
		} {
			headers = append(headers, kafka.Header{Key: h.key, Value: []byte(h.value)})
		}
		records[i] = kafka.Record{Topic: event.TopicDead, Partition: -1, Time: d.record.Time, Key: d.record.Key, Value: d.record.Value, Headers: headers}
		s.metrics.dead.WithLabelValues(d.record.Topic, d.poison.reason).Inc()
	}
	if err := s.deps.Producer.Produce(ctx, records); err != nil {
		return fmt.Errorf("write %d dead letters: %w", len(records), err)
	}
	return nil
}
