package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/lake"
)

// raiseTopic gives the topic its partitions and opens its next epoch, first in the lake and then in the control store.
// Each part may be done already.
func (s *Stream) raiseTopic(ctx context.Context, g control.Grow) error {
	var with []string
	if g.Topic == event.TopicEvents {
		with = append(with, event.TopicFeatures) // before the events, so that no change lacks its partition
	}
	for _, topic := range append(with, g.Topic) {
		if topic == g.Topic {
			if err := s.at(stepFeedGrown); err != nil {
				return err
			}
		}
		if err := s.deps.Topics.GrowTopic(ctx, topic, g.Partitions); err != nil {
			return err
		}
	}
	if err := s.at(stepRaised); err != nil {
		return err
	}
	if err := s.openFences(ctx, g); err != nil {
		return fmt.Errorf("set the fences of the next epoch: %w", err)
	}
	if err := s.at(stepFenced); err != nil {
		return err
	}
	if err := s.deps.Grows.OpenGrownEpoch(ctx, g.Topic, with...); err != nil {
		return err
	}
	return s.at(stepEpochOpen)
}

// openFences closes the running epoch in the lake and opens the next one where it ended, in one commit. A stream that
// lands at the same moment wins or loses as a whole; if it wins, this reads the fences again.
func (s *Stream) openFences(ctx context.Context, g control.Grow) error {
	epoch, _, err := s.deps.Epochs.TopicEpoch(ctx, g.Topic)
	if err != nil {
		return err
	}
	for {
		fences, err := s.nextFences(ctx, g, epoch.Epoch)
		if err == nil && len(fences) > 0 {
			err = s.deps.Lake.Commit(ctx, lake.Landing{Fences: fences})
		}
		var moved *lake.FenceMovedError
		if !errors.As(err, &moved) && !errors.Is(err, errUnseen) {
			return err
		}
		s.log.Info("the stream landed meanwhile, or the brokers do not know all partitions yet; reading the fences again", "topic", g.Topic, "error", err)
		if err := pause(ctx, retryMin); err != nil {
			return err
		}
	}
}

// nextFences are the fences that close an epoch and open the next; none where that is done.
func (s *Stream) nextFences(ctx context.Context, g control.Grow, epoch int64) ([]lake.Fence, error) {
	have, err := s.deps.Lake.Next(ctx, tableOf(g.Topic))
	if err != nil {
		return nil, err
	}
	ranges, err := s.deps.Log.Offsets(ctx, g.Topic)
	if err != nil {
		return nil, err
	}
	var fences []lake.Fence
	for p := range g.Partitions {
		r, ok := ranges[p]
		if !ok {
			return nil, fmt.Errorf("partition %d: %w", p, errUnseen)
		}
		old := lake.Fence{Topic: g.Topic, Epoch: epoch, Partition: p, Next: r.Start}
		if f, landed := have[old.Key()]; landed {
			if old = f; old.Next == lake.ClosedEpoch {
				continue
			}
		}
		fences = append(fences,
			lake.Fence{Topic: g.Topic, Epoch: epoch, Partition: p, From: old.Next, Next: lake.ClosedEpoch},
			lake.Fence{Topic: g.Topic, Epoch: epoch + 1, Partition: p, From: old.Next, Next: old.Next, Hash: old.Hash})
	}
	return fences, nil
}

// GrowingTopics names those of topics that are just being given their partitions, and those that grow with them: until the
// stream has done that, their count is neither wrong nor right.
func GrowingTopics(grows []control.Grow) []string {
	var names []string
	for _, g := range grows {
		if g.Step != control.GrowRaising {
			continue
		}
		names = append(names, g.Topic)
		if g.Topic == event.TopicEvents {
			names = append(names, event.TopicFeatures)
		}
	}
	return names
}
