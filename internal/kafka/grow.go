package kafka

import (
	"context"
	"errors"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"
)

// GrowTopic raises the partition count of a topic and returns when every partition has a leader. A topic that has the
// count already is left alone, so that a caller which crashed in between asks again. Fewer than it has is an error,
// since Kafka takes no partition away.
//
// Keys move to other partitions with it. Whoever calls it has stopped the writers and rebuilds what was keyed.
func (c *Client) GrowTopic(ctx context.Context, topic string, partitions int32) error {
	have, err := c.partitions(ctx, topic)
	if err == nil && have < partitions {
		err = c.retry(ctx, func(ctx context.Context) error { return c.createPartitions(ctx, topic, partitions) })
	}
	if err == nil {
		err = c.awaitPartitions(ctx, topic, partitions)
	}
	if err != nil {
		return fmt.Errorf("grow topic %s to %d partitions: %w", topic, partitions, err)
	}
	return nil
}

func (c *Client) createPartitions(ctx context.Context, topic string, partitions int32) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	res, err := c.api.CreatePartitions(ctx, &kafkago.CreatePartitionsRequest{
		Topics: []kafkago.TopicPartitionsConfig{{Name: topic, Count: partitions}},
	})
	switch {
	case err != nil:
		return err
	case errors.Is(res.Errors[topic], kafkago.InvalidPartitionNumber):
		return nil // it has as many or more by now: an earlier answer was lost, or what was read before is old
	}
	return res.Errors[topic]
}

// awaitPartitions returns when the brokers tell of this many partitions: they learn of new ones one after the other.
func (c *Client) awaitPartitions(ctx context.Context, topic string, partitions int32) error {
	return c.retry(ctx, func(ctx context.Context) error {
		have, err := c.partitions(ctx, topic)
		switch {
		case err != nil:
			return err
		case have > partitions:
			return fmt.Errorf("it has %d, and Kafka takes none away", have)
		case have < partitions:
			return fmt.Errorf("the brokers tell of %d: %w", have, kafkago.UnknownTopicOrPartition)
		}
		return nil
	})
}
