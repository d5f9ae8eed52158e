package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	kafkago "github.com/segmentio/kafka-go"
)

// TopicSpec is a topic as the product needs it. Config holds Kafka's topic settings by name.
type TopicSpec struct {
	Name        string
	Partitions  int32
	Replication int // copies of each partition; 0 is the brokers' default
	Config      map[string]string
}

// Reach returns when a broker answers, or with the last error when ctx ends or a minute has passed.
func (c *Client) Reach(ctx context.Context) error {
	return c.retry(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		_, err := c.api.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{}})
		return err
	})
}

// PartitionCountError says that a topic exists with another number of partitions than the product needs. Keys would
// land elsewhere and state would split, so nothing starts on such a topic.
type PartitionCountError struct {
	Topic      string
	Have, Want int32
}

func (e *PartitionCountError) Error() string {
	return fmt.Sprintf("topic %s has %d partitions, but Millrace made it with %d: restore it from its backup, "+
		"or run `millrace topics adopt %s` to go on with the topic as it is now", e.Topic, e.Have, e.Want, e.Topic)
}

// EnsureTopics creates the topics that do not exist, waits until all of them have leaders, and verifies their partition
// counts (*PartitionCountError). It returns the names it created; settings of topics that existed stay as they are.
func (c *Client) EnsureTopics(ctx context.Context, specs []TopicSpec) (created []string, err error) {
	err = c.retry(ctx, func(ctx context.Context) error {
		made, err := c.createTopics(ctx, specs)
		created = append(created, made...)
		return err
	})
	if err != nil {
		return created, fmt.Errorf("create topics: %w", err)
	}
	for _, s := range specs {
		have, err := c.partitions(ctx, s.Name)
		if err != nil {
			return created, err
		}
		if have != s.Partitions {
			return created, &PartitionCountError{Topic: s.Name, Have: have, Want: s.Partitions}
		}
	}
	return created, nil
}

func (c *Client) createTopics(ctx context.Context, specs []TopicSpec) (created []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req := &kafkago.CreateTopicsRequest{}
	for _, s := range specs {
		t := kafkago.TopicConfig{Topic: s.Name, NumPartitions: int(s.Partitions), ReplicationFactor: s.Replication}
		if s.Replication == 0 {
			t.ReplicationFactor = -1
		}
		for name, value := range s.Config {
			t.ConfigEntries = append(t.ConfigEntries, kafkago.ConfigEntry{ConfigName: name, ConfigValue: value})
		}
		slices.SortFunc(t.ConfigEntries, func(a, b kafkago.ConfigEntry) int { return strings.Compare(a.ConfigName, b.ConfigName) })
		req.Topics = append(req.Topics, t)
	}
	res, err := c.api.CreateTopics(ctx, req)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, s := range specs {
		switch err := res.Errors[s.Name]; {
		case err == nil:
			created = append(created, s.Name)
		case !errors.Is(err, kafkago.TopicAlreadyExists):
			failed = append(failed, fmt.Errorf("topic %s: %w", s.Name, err))
		}
	}
	return created, errors.Join(failed...)
}

// partitions is the number of partitions of a topic, every one of which has a leader. It waits for a topic that is
// being created.
func (c *Client) partitions(ctx context.Context, topic string) (n int32, err error) {
	err = c.retry(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		res, err := c.api.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{topic}})
		if err != nil {
			return err
		}
		t := res.Topics[0]
		if t.Error != nil {
			return t.Error
		}
		for _, p := range t.Partitions {
			if p.Error != nil {
				return p.Error
			}
		}
		n = int32(len(t.Partitions))
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read partitions of topic %s: %w", topic, err)
	}
	return n, nil
}
