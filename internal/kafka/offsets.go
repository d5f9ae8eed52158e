package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// OffsetRange is what can be read of a partition: Start is its first offset, End the offset of the next record, or of the
// first one in a transaction that is still open.
type OffsetRange struct {
	Start, End int64
}

// Offsets returns the range of every partition of a topic.
func (c *Client) Offsets(ctx context.Context, topic string) (map[int32]OffsetRange, error) {
	n, err := c.partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	ranges := make(map[int32]OffsetRange, n)
	for p := range n {
		if ranges[p], err = c.offsetRange(ctx, topic, p); err != nil {
			return nil, err
		}
	}
	return ranges, nil
}

// offsetRange asks for one partition at a time on purpose: the library splits a larger question into one connection per
// partition and bound.
func (c *Client) offsetRange(ctx context.Context, topic string, partition int32) (r OffsetRange, err error) {
	err = c.retry(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		res, err := c.api.ListOffsets(ctx, &kafkago.ListOffsetsRequest{IsolationLevel: kafkago.ReadCommitted, Topics: map[string][]kafkago.OffsetRequest{
			topic: {kafkago.FirstOffsetOf(int(partition)), kafkago.LastOffsetOf(int(partition))},
		}})
		if err != nil {
			return err
		}
		if len(res.Topics[topic]) != 1 {
			return fmt.Errorf("broker answered %d partitions for one", len(res.Topics[topic]))
		}
		p := res.Topics[topic][0]
		r = OffsetRange{Start: p.FirstOffset, End: p.LastOffset}
		return listed(p.Error)
	})
	if err != nil {
		return r, fmt.Errorf("list offsets of %s/%d: %w", topic, partition, err)
	}
	return r, nil
}

// listed is the error of a partition whose offsets were asked for. The library says Unknown where the connection broke, as it does when
// a broker has restarted.
func listed(err error) error {
	if errors.Is(err, kafkago.Unknown) {
		return fmt.Errorf("%w: %w", kafkago.NetworkException, err)
	}
	return err
}

// OffsetAt returns the offset of the first record of a partition that is of this time or later, or the partition's end.
func (c *Client) OffsetAt(ctx context.Context, topic string, partition int32, at time.Time) (offset int64, err error) {
	err = c.retry(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		res, err := c.api.ListOffsets(ctx, &kafkago.ListOffsetsRequest{IsolationLevel: kafkago.ReadCommitted, Topics: map[string][]kafkago.OffsetRequest{
			topic: {kafkago.TimeOffsetOf(int(partition), at)},
		}})
		if err != nil {
			return err
		}
		if len(res.Topics[topic]) != 1 {
			return fmt.Errorf("broker answered %d partitions for one", len(res.Topics[topic]))
		}
		p := res.Topics[topic][0]
		offset = -1
		for found := range p.Offsets { // at most one, and none where nothing is as late
			offset = found
		}
		return listed(p.Error)
	})
	if err == nil && offset < 0 {
		var r OffsetRange
		r, err = c.offsetRange(ctx, topic, partition)
		return r.End, err
	}
	if err != nil {
		return 0, fmt.Errorf("find a time in %s/%d: %w", topic, partition, err)
	}
	return offset, nil
}

// Committed returns the offsets that a group committed on a topic; partitions without a commit are missing. Commits are
// a hint for lag displays: the position of record is kept where the output is.
func (c *Client) Committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	n, err := c.partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	committed := make(map[int32]int64, n)
	err = c.retry(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		res, err := c.api.OffsetFetch(ctx, &kafkago.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: all}})
		if err != nil {
			return err
		}
		if errors.Is(res.Error, kafkago.GroupIdNotFound) {
			return nil // it never committed; brokers differ in saying so
		}
		if res.Error != nil {
			return res.Error
		}
		for _, p := range res.Topics[topic] {
			if p.Error != nil {
				return p.Error
			}
			if p.CommittedOffset >= 0 {
				committed[int32(p.Partition)] = p.CommittedOffset
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("fetch offsets of group %s on %s: %w", group, topic, err)
	}
	return committed, nil
}

// LagRecords is how many records of a topic lie past a group's commits, by partition. A partition without a commit
// counts from its start.
func (c *Client) LagRecords(ctx context.Context, group, topic string) (map[int32]int64, error) {
	ranges, err := c.Offsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	committed, err := c.Committed(ctx, group, topic)
	if err != nil {
		return nil, err
	}
	lag := make(map[int32]int64, len(ranges))
	for p, r := range ranges {
		lag[p] = max(0, r.End-max(r.Start, committed[p]))
	}
	return lag, nil
}
