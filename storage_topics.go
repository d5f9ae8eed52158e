package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/stream"
)

// productTopics are the topics that every installation has.
var productTopics = []string{event.TopicEvents, event.TopicDead, event.TopicExposures, event.TopicFeatures, event.TopicItems,
	event.TopicSessions}

const (
	// topicsLease is held while topics are created: of several roles that start together one creates and counts the first
	// epoch, and no other takes the new topic for one that was lost.
	topicsLease = "topics/create"
	topicsTTL   = 15 * time.Second // a process that dies holding it delays the others by this much
	topicsPoll  = 100 * time.Millisecond
)

// ensureTopics creates the topics that are missing and refuses those that are not the ones Millrace knows. Partition
// counts are fixed at creation: the configured one counts for new topics only.
func (s *storage) ensureTopics(ctx context.Context) error {
	tick := time.NewTicker(topicsPoll)
	defer tick.Stop()
	for told := false; ; told = true {
		err := s.control.HoldLease(ctx, topicsLease, holder(), topicsTTL, func(ctx context.Context, _ control.Lease) error {
			return s.createTopics(ctx)
		})
		if !errors.Is(err, control.ErrLeaseHeld) {
			return err
		}
		if !told {
			s.log.Info("another process makes the topics, or has just died doing so; waiting for it", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (s *storage) createTopics(ctx context.Context) error {
	grows, err := s.control.Grows(ctx)
	if err != nil {
		return err
	}
	growing := stream.GrowingTopics(grows)
	var specs []kafka.TopicSpec
	for _, name := range productTopics {
		if slices.Contains(growing, name) {
			continue // it has the count of before or of after, and the stream goes on with it
		}
		known, ok, err := s.control.TopicEpoch(ctx, name)
		if err != nil {
			return fmt.Errorf("read epoch of topic %s: %w", name, err)
		}
		spec := s.topicSpec(name)
		if configured := spec.Partitions; ok && known.Partitions != configured {
			spec.Partitions = known.Partitions
			s.log.Warn("the configured number of partitions is ignored: the topic was made with another one", "topic", name,
				"configured", configured, "partitions", spec.Partitions)
		}
		specs = append(specs, spec)
	}
	created, err := s.kafka.EnsureTopics(ctx, specs)
	if err != nil {
		return err
	}
	var errs []error
	var recreated []string
	for _, spec := range specs {
		_, err := s.control.EnsureEpoch(ctx, spec.Name, spec.Partitions, slices.Contains(created, spec.Name))
		errs = append(errs, err)
		if errors.Is(err, control.ErrTopicRecreated) {
			recreated = append(recreated, spec.Name)
		}
	}
	if len(recreated) > 1 {
		errs = append(errs, fmt.Errorf("all of them at once: millrace topics adopt %s", strings.Join(recreated, " ")))
	}
	return errors.Join(errs...)
}

// compactedTopics hold whole rows by key, of which the newest counts.
var compactedTopics = []string{event.TopicFeatures, event.TopicItems}

// topicSpec is how a topic is made where it is missing.
func (s *storage) topicSpec(name string) kafka.TopicSpec {
	if s.broker != nil {
		return kafka.TopicSpec{Name: name, Partitions: int32(s.cfg.Broker.Partitions),
			Config: broker.TopicConfig(s.cfg.Broker.Retention, s.cfg.Broker.RetentionBytes)}
	}
	spec := kafka.TopicSpec{Name: name, Partitions: int32(s.cfg.Kafka.Partitions), Replication: s.cfg.Kafka.Replication,
		Config: map[string]string{"cleanup.policy": "delete", "retention.ms": millis(s.cfg.Kafka.Retention)}}
	if slices.Contains(compactedTopics, name) {
		spec.Config = map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": millis(s.cfg.Kafka.CompactionLag),
			"max.compaction.lag.ms": millis(2 * s.cfg.Kafka.CompactionLag)}
	}
	if spec.Replication > 1 { // what is acknowledged survives a broker, and writing goes on without one of three
		spec.Config["min.insync.replicas"] = strconv.Itoa(max(2, spec.Replication-1))
	}
	return spec
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// holder is what a lease of this process says about who has it.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("process %d on %s", os.Getpid(), host)
}
