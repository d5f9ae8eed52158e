package stream

import (
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/control"
)

// watchEpochs sends partitions of an earlier epoch than the running one to read on in that, until ctx ends. It is a watch of
// its own, because a grow waits for it, and a rebuild may take long.
func (s *Stream) watchEpochs(ctx context.Context) error {
	s.watch(ctx, s.followEpochs, func(err error) time.Duration {
		s.log.Error("epochs of topics cannot be read; trying again", "error", err, "pause", s.rebuildPoll)
		return s.rebuildPoll
	})
	return nil
}

func (s *Stream) followEpochs(ctx context.Context) error {
	for _, topic := range Topics() {
		epoch, ok, err := s.deps.Epochs.TopicEpoch(ctx, topic)
		if err != nil {
			return err
		}
		if ok {
			s.landing.retire(topic, epoch.Epoch)
		}
	}
	return nil
}

// awaitPartition returns when the running epoch of a topic has a partition. The group tells of the partitions of a growing
// topic as soon as the brokers do, and they belong to the epoch that is opened when all else is ready: until then nobody
// may own them. Where no grow is under way, somebody has changed the count behind our back.
func (s *Stream) awaitPartition(ctx context.Context, id partitionID) error {
	for told := false; ; told = true {
		growing, err := s.growing(ctx, id.topic) // asked before the epoch: one that ends in between has opened the next
		if err != nil {
			return err
		}
		in, err := s.layoutOf(ctx, id.topic)
		switch {
		case err != nil:
			return err
		case id.partition < in.partitions:
			return nil
		case !growing:
			ranges, err := s.deps.Log.Offsets(ctx, id.topic)
			if err != nil {
				return err
			}
			return &control.PartitionsChangedError{Topic: id.topic, Known: in.partitions, Seen: max(id.partition+1, int32(len(ranges)))}
		case !told:
			s.log.Info("a new partition waits for its epoch", "topic", id.topic, "partition", id.partition, "epoch", in.epoch)
		}
		if err := pause(ctx, retryMin); err != nil {
			return err
		}
	}
}

func (s *Stream) growing(ctx context.Context, topic string) (bool, error) {
	if s.deps.Grows == nil {
		return false, nil
	}
	grows, err := s.deps.Grows.Grows(ctx)
	return slices.ContainsFunc(grows, func(g control.Grow) bool { return g.Topic == topic }), err
}
