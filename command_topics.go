package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/event"
)

func (a *app) topicsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "topics", Short: "Give a topic more partitions, or accept one that was recreated", Args: exactArgs(), RunE: showHelp}
	cmd.AddCommand(&cobra.Command{
		Use:   "adopt TOPIC...",
		Short: "Accept topics as they are now: a new epoch begins, and everything in them is read from its start",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("name the topics to adopt, of %v", productTopics)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStorage(cmd.Context(), needKafka, func(ctx context.Context, s *storage) error {
				for _, topic := range args {
					if err := a.adoptTopic(ctx, s, topic); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}, a.growCommand())
	return cmd
}

// adoptTopic opens the next epoch of a topic with the partitions that it has now.
func (a *app) adoptTopic(ctx context.Context, s *storage, topic string) error {
	if _, known, err := s.control.TopicEpoch(ctx, topic); err != nil {
		return fmt.Errorf("read epoch of topic %s: %w", topic, err)
	} else if !known {
		return usageError{fmt.Errorf("topic %q is none of Millrace's: %v", topic, productTopics)}
	}
	offsets, err := s.kafka.Offsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("read partitions of topic %s: %w", topic, err)
	}
	partitions := int32(len(offsets))
	if topic == event.TopicFeatures {
		if partitions, err = s.growFeed(ctx, partitions); err != nil {
			return err
		}
	}
	epoch, err := s.control.AdoptTopic(ctx, topic, partitions)
	if err != nil {
		return fmt.Errorf("adopt topic %s: %w", topic, err)
	}
	if _, err := fmt.Fprintf(a.stdout, "adopted %s: epoch %d, %d partitions\n", topic, epoch.Epoch, epoch.Partitions); err != nil || topic != event.TopicEvents {
		return err
	}
	feed, known, err := s.control.TopicEpoch(ctx, event.TopicFeatures)
	if err != nil || !known || feed.Partitions >= partitions {
		return err
	}
	return a.adoptTopic(ctx, s, event.TopicFeatures)
}

// growFeed gives the change feed the partitions of the events where it has fewer: a change is written to the partition of
// its event, and would wait for ever for one that is not there.
func (s *storage) growFeed(ctx context.Context, partitions int32) (int32, error) {
	events, known, err := s.control.TopicEpoch(ctx, event.TopicEvents)
	if err != nil || !known || partitions >= events.Partitions {
		return partitions, err
	}
	return events.Partitions, s.kafka.GrowTopic(ctx, event.TopicFeatures, events.Partitions)
}

// withStorage opens the data directory of a stopped installation, or shared worlds, for one command. A running process owns
// its data directory, and says so.
func (a *app) withStorage(ctx context.Context, n needs, use func(context.Context, *storage) error) error {
	cfg, err := a.installed(n)
	if err != nil {
		return err
	}
	log, err := a.logger(cfg)
	if err != nil {
		return err
	}
	cfg.KafkaListen = anyLoopbackPort // nobody else needs to find this broker
	open := func(cfg *Config) error {
		s, err := openStorage(ctx, cfg, log, n)
		if err != nil {
			return err
		}
		return joinClose(use(ctx, s), s)
	}
	if cfg.cluster() {
		return withCommandDir(cfg, open)
	}
	return open(cfg)
}
