package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Retention by time. kfake has it too, but it removes the last batch of an idle partition like any other, and a restart
// then numbers records from 0 again, which to every stored position looks like a lost log. So its retention.ms is turned
// off, and Run removes what is too old except the last record of each partition. A topic says how old that is in
// delete.retention.ms, a setting that means nothing else under the delete policy. Retention by size stays with kfake: it
// removes old batches only until the rest fits, which leaves the last one.
const (
	retentionKey = "delete.retention.ms"
	// retentionInterval is how often records are removed. Retention is counted in days.
	retentionInterval = 10 * time.Minute
	// minRetentionBytes keeps room for several batches of 1 MiB, so that size never removes the last one.
	minRetentionBytes = 16 << 20
	// segmentsPerPartition is into how many files a full partition is cut: removal frees whole files.
	segmentsPerPartition = 8
)

// TopicConfig is the configuration of a topic on the embedded broker: what is older than retention, by the records' own
// time, or beyond maxBytes in a partition is removed, the last record of a partition excepted. Neither asks whether
// anybody has read a record: a producer that runs more than maxBytes ahead of a reader costs the reader what it has not
// read, so bulk producers must wait for their readers. The policy is always delete, because kfake's compaction is not
// crash safe. After a kill the broker reads every log once into memory, so maxBytes times all partitions bounds that as
// well as the disk.
func TopicConfig(retention time.Duration, maxBytes int64) map[string]string {
	maxBytes = max(maxBytes, minRetentionBytes)
	return map[string]string{
		"cleanup.policy":  "delete",
		"retention.ms":    "-1",
		retentionKey:      strconv.FormatInt(retention.Milliseconds(), 10),
		"retention.bytes": strconv.FormatInt(maxBytes, 10),
		"segment.bytes":   strconv.FormatInt(maxBytes/segmentsPerPartition, 10),
	}
}

// Run removes what retention lets go of until ctx ends, and then returns nil; or it returns the error with which the
// disk refused an append. After such an error the broker answers no one: what it holds in memory may differ from what a
// restart would find.
func (b *Broker) Run(ctx context.Context) error {
	ticker := time.NewTicker(retentionInterval)
	defer ticker.Stop()
	for {
		if err := b.retain(ctx, time.Now()); err != nil && ctx.Err() == nil {
			b.log.Warn("apply retention", "error", err) // the next pass catches up
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-b.failed:
			return err
		case <-ticker.C:
		}
	}
}

// retain removes records older than their topic's retention, as of now.
func (b *Broker) retain(ctx context.Context, now time.Time) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addr))
	if err != nil {
		return err
	}
	defer client.Close()
	meta, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client) // nil topics are all topics
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	var failed []error
	for _, t := range meta.Topics {
		info := b.cluster.TopicInfo(*t.Topic)
		if info == nil || info.Configs[retentionKey] == nil {
			continue
		}
		keep, err := strconv.ParseInt(*info.Configs[retentionKey], 10, 64)
		if err == nil {
			err = b.retainTopic(ctx, client, *t.Topic, int32(len(t.Partitions)), now.Add(-time.Duration(keep)*time.Millisecond))
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("topic %s: %w", *t.Topic, err))
		}
	}
	return errors.Join(failed...)
}

func (b *Broker) retainTopic(ctx context.Context, client *kgo.Client, topic string, partitions int32, oldest time.Time) error {
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for p := range partitions {
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition, partition.Timestamp = p, oldest.UnixMilli()
		t.Partitions = append(t.Partitions, partition)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.Topics = -1, []kmsg.ListOffsetsRequestTopic{t}
	res, err := req.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("find old records: %w", err)
	}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("partition %d: find old records: %w", p.Partition, err)
			}
			info := b.cluster.PartitionInfo(topic, p.Partition)
			if info == nil {
				continue // deleted meanwhile
			}
			start := info.HighWatermark - 1 // the last record stays
			if p.Offset >= 0 {
				start = min(start, p.Offset) // the first that is young enough; -1 says there is none
			}
			if start <= info.LogStartOffset {
				continue
			}
			if err := b.cluster.DeleteRecords(topic, p.Partition, start); err != nil {
				return fmt.Errorf("partition %d: remove records before %d: %w", p.Partition, start, err)
			}
		}
	}
	return nil
}
