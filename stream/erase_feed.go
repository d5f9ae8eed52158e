package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// remains are what the change feed has of a person under one key. live records have nothing behind them, buried ones have: a tombstone,
// or the row of somebody who came back under the same id.
type remains struct {
	live, buried int64
	dead         bool // the last record of the key is a tombstone
}

// feedRemains looks through the change feed for people.
func (s *Stream) feedRemains(ctx context.Context, ledger *erasure.Ledger) (map[grave]*remains, error) {
	ranges, err := s.deps.Log.Offsets(ctx, event.TopicFeatures)
	if err != nil {
		return nil, err
	}
	found := make(map[grave]*remains)
	records := newRecordRows()
	err = s.eachRecordIn(ctx, event.TopicFeatures, ranges, func(r *kafka.Record) error {
		at := grave{r.Partition, string(r.Key)}
		of := found[at]
		switch {
		case records.covered(r, ledger):
			if of == nil {
				of = &remains{}
				found[at] = of
			}
			of.live, of.dead = of.live+1, false
		case of != nil:
			of.live, of.buried, of.dead = 0, of.buried+of.live, len(r.Value) == 0
		}
		return nil
	})
	return found, err
}

// surveyFeed is the part of the survey that is about the change feed.
func (s *Stream) surveyFeed(ctx context.Context, ledger *erasure.Ledger, h Holdings) error {
	found, err := s.feedRemains(ctx, ledger)
	if err != nil {
		return fmt.Errorf("topic %s: %w", event.TopicFeatures, err)
	}
	h[event.TopicFeatures], h[StoreUncompacted] = 0, 0
	for _, of := range found {
		h[event.TopicFeatures] += of.live
		h[StoreUncompacted] += of.buried
	}
	return nil
}

// stir writes tombstones once more behind what Kafka has not compacted away yet: it closes a segment, which it must before it compacts
// that, only when something is written to it. Behind the row of somebody who came back there is none to be written.
func (r *erasureRound) stir(ctx context.Context) error {
	found, err := r.s.feedRemains(ctx, r.ledger)
	if err != nil {
		return err
	}
	var graves []kafka.Record
	for at, of := range found {
		if of.dead {
			graves = append(graves, tombstone(at))
		}
	}
	return r.writeAgain(ctx, graves)
}

// buryStrays writes tombstones behind records of the people in partitions where their keys do not belong any more, because the topic
// has been given more since: the sweep of the partition where a key belongs now writes there alone. Such a tombstone says that
// nothing of the key is left in its partition.
func (r *erasureRound) buryStrays(ctx context.Context) error {
	in, err := r.s.layoutNow(ctx)
	if err != nil {
		return err
	}
	found, err := r.s.feedRemains(ctx, r.ledger)
	if err != nil {
		return err
	}
	var graves []kafka.Record
	for at, of := range found {
		end := strings.LastIndexByte(at.key, ':') // before the number of the profile
		if of.live > 0 && end > 0 && kafka.PartitionFor([]byte(at.key[:end]), in.partitions) != at.partition {
			graves = append(graves, tombstone(at))
		}
	}
	if len(graves) == 0 {
		return nil
	}
	return r.writeAgain(ctx, graves)
}

// tombstone is the record of the change feed that says that a key has no row any more.
func tombstone(at grave) kafka.Record {
	return kafka.Record{Topic: event.TopicFeatures, Partition: at.partition, Time: time.Now(), Key: []byte(at.key),
		Headers: []kafka.Header{{Key: event.HeaderSchema, Value: []byte(FeatureSchema)}}}
}
