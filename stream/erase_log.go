package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/lake"
)

// personalTopics are the topics whose records may name people.
func personalTopics() []string {
	return []string{event.TopicEvents, event.TopicExposures, event.TopicDead, event.TopicFeatures, event.TopicSessions}
}

// truncate deletes from the logs what the people left there, once everything that stands in them now has landed and was applied:
// then nobody needs it any more. Reject files go with them.
func (r *erasureRound) truncate(ctx context.Context) error {
	if err := r.s.Landed(ctx); err != nil {
		return err
	}
	if err := r.buryStrays(ctx); err != nil {
		return fmt.Errorf("topic %s: %w", event.TopicFeatures, err)
	}
	for _, topic := range personalTopics() {
		if err := r.truncateTopic(ctx, topic); err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
	}
	if err := r.s.cleanRejects(r.ledger); err != nil {
		return err
	}
	if err := r.s.at(stepErasureTruncated); err != nil {
		return err
	}
	return r.enter(ctx, control.ErasureProving)
}

// cut is what is to be deleted of a partition: everything from start up to, not including, an offset.
type cut struct {
	partition          int32
	start, before, end int64
}

// keptBytes is how much is written again at once.
const keptBytes = 4 << 20

func (r *erasureRound) truncateTopic(ctx context.Context, topic string) error {
	cuts, err := r.cuts(ctx, topic)
	if err != nil {
		return err
	}
	for _, c := range cuts {
		limit, err := r.s.needless(ctx, topic, c.partition, c.end)
		if err != nil {
			return err
		}
		if c.before > limit {
			return fmt.Errorf("partition %d: a record of an erased person stands at offset %d, and only those before %d have landed and were applied", c.partition, c.before-1, limit)
		}
		if err := r.keep(ctx, topic, c); err != nil {
			return err
		}
		if err := r.s.at(stepErasureFilled); err != nil {
			return err
		}
		if _, err := r.s.deps.Erasing.Log.DeleteRecords(ctx, topic, c.partition, c.before); err != nil && !errors.Is(err, kafka.ErrCompacted) {
			return err
		}
		if err := r.s.at(stepErasureCut); err != nil {
			return err
		}
	}
	return nil
}

// cuts finds the last record of the people in each partition of a topic.
func (r *erasureRound) cuts(ctx context.Context, topic string) ([]cut, error) {
	ranges, err := r.s.deps.Log.Offsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	last := make(map[int32]int64)
	records := newRecordRows()
	err = r.s.eachRecordIn(ctx, topic, ranges, func(rec *kafka.Record) error {
		if records.covered(rec, r.ledger) {
			last[rec.Partition] = rec.Offset
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var cuts []cut
	for _, partition := range slices.Sorted(maps.Keys(last)) {
		cuts = append(cuts, cut{partition, ranges[partition].Start, last[partition] + 1, ranges[partition].End})
	}
	return cuts, nil
}

// ownRecord is a copy that does not share memory with its fetch.
func ownRecord(r *kafka.Record) kafka.Record {
	own := kafka.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Time, Key: slices.Clone(r.Key), Value: slices.Clone(r.Value)}
	for _, h := range r.Headers {
		own.Headers = append(own.Headers, kafka.Header{Key: h.Key, Value: slices.Clone(h.Value)})
	}
	return own
}

// keep writes once more what others have before the cut and cannot be told from elsewhere, the dead letters; and a filler where
// the cut would empty the partition. A crash writes them again: a letter tells of its source.
func (r *erasureRound) keep(ctx context.Context, topic string, c cut) error {
	kept, err := r.keepLetters(ctx, topic, c)
	if err != nil || kept || c.before < c.end {
		return err
	}
	return r.writeAgain(ctx, []kafka.Record{{Topic: topic, Partition: c.partition, Time: time.Now(),
		Headers: []kafka.Header{{Key: event.HeaderSchema, Value: []byte(FillerSchema)}}}})
}

// keepLetters writes the dead letters of others before the cut once more, and reports whether there are any.
func (r *erasureRound) keepLetters(ctx context.Context, topic string, c cut) (kept bool, err error) {
	if topic != event.TopicDead {
		return false, nil
	}
	var letters []kafka.Record
	bytes := 0
	records := newRecordRows()
	before := map[int32]kafka.OffsetRange{c.partition: {Start: c.start, End: c.before}}
	err = r.s.eachRecordIn(ctx, topic, before, func(rec *kafka.Record) error {
		if isFiller(rec) || records.covered(rec, r.ledger) {
			return nil
		}
		kept = true
		letters, bytes = append(letters, ownRecord(rec)), bytes+len(rec.Value)
		if bytes < keptBytes {
			return nil
		}
		full := letters
		letters, bytes = nil, 0
		return r.writeAgain(ctx, full)
	})
	if err == nil && len(letters) > 0 {
		err = r.writeAgain(ctx, letters)
	}
	return kept, err
}

func (r *erasureRound) writeAgain(ctx context.Context, records []kafka.Record) error {
	if err := produce(ctx, r.s.deps.Producer, r.s.log, records); err != nil {
		return fmt.Errorf("write %d records again: %w", len(records), err)
	}
	return nil
}

// needless is the offset up to which a partition's records are of no use to the stream any more: the smaller of the lake's fence
// and the state's position. Other topics are for readers alone.
func (s *Stream) needless(ctx context.Context, topic string, partition int32, end int64) (int64, error) {
	var table string
	switch topic {
	case event.TopicEvents:
		table = lake.TableEvents
	case event.TopicExposures:
		table = lake.TableExposures
	default:
		return end, nil
	}
	in, err := s.layoutOf(ctx, topic)
	if err != nil {
		return 0, err
	}
	fences, err := s.deps.Lake.Next(ctx, table)
	if err != nil {
		return 0, err
	}
	// A partition hands rows to the lake when they are applied and published, so its state stands at the fence or behind it;
	// where it is here it is asked all the same.
	limit := fences[lake.FenceKey{Topic: topic, Epoch: in.epoch, Partition: partition}].Next
	if topic != event.TopicEvents {
		return limit, nil
	}
	f, err := s.freeze(ctx, partition, in.epoch)
	if errors.Is(err, ErrNotOwned) {
		return limit, nil
	}
	if err != nil {
		return 0, err
	}
	return min(limit, f.Offset), f.close()
}

// eachRecord calls f with the records of a topic that stand in it now, from an offset of each partition on.
func (s *Stream) eachRecord(ctx context.Context, topic string, from func(partition int32, start int64) int64, f func(*kafka.Record) error) error {
	ranges, err := s.deps.Log.Offsets(ctx, topic)
	if err != nil {
		return err
	}
	for partition, r := range ranges {
		ranges[partition] = kafka.OffsetRange{Start: from(partition, r.Start), End: r.End}
	}
	return s.eachRecordIn(ctx, topic, ranges, f)
}

// eachRecordIn calls f with the records of ranges of a topic. A record is valid during the call.
func (s *Stream) eachRecordIn(ctx context.Context, topic string, ranges map[int32]kafka.OffsetRange, f func(*kafka.Record) error) error {
	for partition, r := range ranges {
		for next := r.Start; next < r.End; {
			res, err := s.deps.Log.Fetch(ctx, kafka.FetchRequest{Topic: topic, Partition: partition, Offset: next})
			var below *kafka.ErrBelowStart
			if errors.As(err, &below) {
				next = below.Start // retention was faster
				continue
			}
			if err != nil {
				return err
			}
			for i := range res.Records {
				if res.Records[i].Offset >= r.End {
					break
				}
				if err := f(&res.Records[i]); err != nil {
					res.Release()
					return err
				}
			}
			next = res.Next
			res.Release()
		}
	}
	return nil
}
