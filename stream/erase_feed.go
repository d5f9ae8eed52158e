package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// StoreUncompacted is what Holdings call records of the change feed that a tombstone has followed and that Kafka has not compacted
// away yet.
const StoreUncompacted = event.TopicFeatures + " until compaction"

// compactionPoll is how often an erasure looks whether Kafka has compacted the change feed, which takes it an hour or two.
const compactionPoll = 10 * time.Second

// errUncompacted means that an erasure waits for Kafka alone.
var errUncompacted = errors.New("records of " + event.TopicFeatures + " with a tombstone behind them are left: Kafka removes them within max.compaction.lag.ms " +
	"of this topic; where that is not set, set it to kafka.compaction_lag twice")

// grave is a key of the change feed in its partition.
type grave struct {
	partition int32
	key       string
}

// feedRemains looks through the change feed for people: live are their records that nothing has followed, buried those that a tombstone
// has.
func (s *Stream) feedRemains(ctx context.Context, ledger *erasure.Ledger) (live int64, buried map[grave]int64, err error) {
	ranges, err := s.deps.Log.Offsets(ctx, event.TopicFeatures)
	if err != nil {
		return 0, nil, err
	}
	standing := make(map[grave]int64)
	buried = make(map[grave]int64)
	records := newRecordRows()
	err = s.eachRecordIn(ctx, event.TopicFeatures, ranges, func(r *kafka.Record) error {
		at := grave{r.Partition, string(r.Key)}
		switch {
		case len(r.Value) == 0:
			if n := standing[at]; n > 0 {
				buried[at] += n
				delete(standing, at)
			}
		case records.covered(r, ledger):
			standing[at]++
		}
		return nil
	})
	for _, n := range standing {
		live += n
	}
	return live, buried, err
}

// surveyFeed is the part of the survey that is about the change feed.
func (s *Stream) surveyFeed(ctx context.Context, ledger *erasure.Ledger, h Holdings) error {
	live, buried, err := s.feedRemains(ctx, ledger)
	if err != nil {
		return fmt.Errorf("topic %s: %w", event.TopicFeatures, err)
	}
	h[event.TopicFeatures], h[StoreUncompacted] = live, 0
	for _, n := range buried {
		h[StoreUncompacted] += n
	}
	return nil
}

// stir writes tombstones once more behind what Kafka has not compacted away yet: it closes a segment, which it must before it compacts
// that, only when something is written to it.
func (r *erasureRound) stir(ctx context.Context) error {
	_, buried, err := r.s.feedRemains(ctx, r.ledger)
	if err != nil {
		return err
	}
	var graves []kafka.Record
	for at := range buried {
		graves = append(graves, tombstone(at))
	}
	return r.writeAgain(ctx, graves)
}

// tombstone is the record of the change feed that says that a key has no row any more.
func tombstone(at grave) kafka.Record {
	return kafka.Record{Topic: event.TopicFeatures, Partition: at.partition, Time: time.Now(), Key: []byte(at.key),
		Headers: []kafka.Header{{Key: event.HeaderSchema, Value: []byte(FeatureSchema)}}}
}
