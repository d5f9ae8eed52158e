package stream

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// An event may stand in another partition than its key belongs in: a collector that was stopped while the topic grew wakes
// with events for the old count, another program spreads keys in its own way. Its visitor lives elsewhere, and so do the
// ids that tell whether it came before. So the owner of the partition where it stands writes it once more, to the partition
// where it belongs, and moves past it as past a dead letter: after that is acknowledged. A crash in between writes it
// again, and its event_id tells. What stands in the right partition is judged there alone.

// home is the partition that an event belongs in.
func (l layout) home(e *event.Event) int32 {
	var key [event.MaxKeyBytes]byte
	return kafka.PartitionFor(e.AppendKey(key[:0]), l.partitions)
}

// read decodes a record and says which partition it belongs in.
func (l layout) read(reader *event.Reader, r *kafka.Record) (e *event.Event, home int32, bad *poison) {
	if e, bad = decodeEvent(reader, r); bad != nil {
		return nil, 0, bad
	}
	if home = l.home(e); home != r.Partition && recordBytes(r) > letterBytes {
		// Another program may write larger records than our producer.
		return nil, 0, &poison{reasonInvalid, fmt.Sprintf("stands in partition %d, belongs in %d, and is too large to be moved there", r.Partition, home)}
	}
	return e, home, nil
}

// recordBytes is what a record takes in a batch, at most.
func recordBytes(r *kafka.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += letterHeaderBytes + len(h.Key) + len(h.Value)
	}
	return n
}

// forwards are records on their way to the partitions that they belong in.
type forwards struct {
	records []kafka.Record
	size    int
}

func (f *forwards) add(r *kafka.Record, home int32) {
	moved := kafka.Record{Topic: r.Topic, Partition: home, Time: r.Time, Key: r.Key, Value: r.Value, Headers: r.Headers}
	f.records = append(f.records, moved)
	f.size += recordBytes(r)
}

// forward returns when records are acknowledged where they belong.
func (s *Stream) forward(ctx context.Context, f forwards) error {
	if len(f.records) == 0 {
		return nil
	}
	if err := produce(ctx, s.deps.Producer, s.log, f.records); err != nil {
		return fmt.Errorf("move %d records to the partitions that they belong in: %w", len(f.records), err)
	}
	s.metrics.forwarded.Add(float64(len(f.records)))
	return nil
}
