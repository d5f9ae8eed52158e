package kafka

import (
	"context"
	"errors"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"
)

// ErrCompacted means that a topic is compacted only: Kafka deletes nothing from its front, and removes what has a tombstone when
// its cleaner comes by.
var ErrCompacted = errors.New("the topic is compacted: its records go by tombstones only")

// DeleteRecords deletes everything before an offset of a partition and returns where the log starts then, which is further where
// retention has been faster. Nobody reads a deleted record any more; its bytes go with the log's segment. An offset past the end
// is an *ErrAboveEnd.
func (c *Client) DeleteRecords(ctx context.Context, topic string, partition int32, before int64) (start int64, err error) {
	err = c.retry(ctx, func(ctx context.Context) error {
		start, err = c.deleteRecords(ctx, topic, partition, before)
		if errors.Is(err, kafkago.OffsetOutOfRange) {
			start, err = c.deletedBefore(ctx, topic, partition, before)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete records of %s/%d before %d: %w", topic, partition, before, err)
	}
	return start, nil
}

func (c *Client) deleteRecords(ctx context.Context, topic string, partition int32, before int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	res, err := roundTrip[*deleteRecordsResponse](ctx, c, &deleteRecordsRequest{
		TimeoutMs: int32(requestTimeout.Milliseconds()),
		Topics:    []deleteRecordsTopic{{Name: topic, Partitions: []deleteRecordsPartition{{Partition: partition, Offset: before}}}},
	})
	if err != nil {
		return 0, err
	}
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("broker answered %d topics for one partition", len(res.Topics))
	}
	p := res.Topics[0].Partitions[0]
	switch code := kafkago.Error(p.ErrorCode); code {
	case 0:
		return p.LowWatermark, nil
	case kafkago.PolicyViolation:
		return 0, fmt.Errorf("%w (%w)", ErrCompacted, code)
	default:
		return 0, code
	}
}

// deletedBefore tells a log that starts later already from one that ends earlier.
func (c *Client) deletedBefore(ctx context.Context, topic string, partition int32, before int64) (int64, error) {
	r, err := c.offsetRange(ctx, topic, partition)
	switch {
	case err != nil:
		return 0, err
	case r.Start >= before:
		return r.Start, nil
	case r.End < before:
		return 0, &ErrAboveEnd{Topic: topic, Partition: partition, Offset: before, Start: r.Start, End: r.End}
	}
	return 0, kafkago.OffsetNotAvailable // it moved meanwhile
}
