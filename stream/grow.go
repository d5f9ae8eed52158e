package stream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/lake"
)

const (
	// defaultGrowSettle is how long after the door was closed events may still be on their way: every collector knows within
	// control.CacheAge, and a request that was let in before waits at most ten seconds for its acknowledgement. What comes
	// still later is moved to where it belongs, one by one (forward.go).
	defaultGrowSettle = control.CacheAge + 10*time.Second
	// growLease is how long a process that grows a topic may be silent before another one goes on.
	growLease = 15 * time.Second
	// growLeaseName is the one lease of all grows.
	growLeaseName = "topics-grow"
)

// Moments of a grow at which a test may kill the process.
const (
	stepSettled   = "intake closed"
	stepDrained   = "drained"
	stepRaising   = "raising"
	stepFeedGrown = "partitions of the change feed raised"
	stepRaised    = "partitions raised"
	stepFenced    = "fences of the next epoch set"
	stepEpochOpen = "next epoch open"
	stepFollowed  = "states follow"
	stepGrown     = "grown"
)

// Grows keeps which topics are being grown and how far that has come; *control.Store does.
type Grows interface {
	StartGrow(ctx context.Context, topic string, partitions int32, first control.GrowStep) error
	Grows(ctx context.Context) ([]control.Grow, error)
	RaiseGrow(ctx context.Context, topic string) error
	OpenGrownEpoch(ctx context.Context, topic string, with ...string) error
	FinishGrow(ctx context.Context, topic string) error
	LeaseHolder(ctx context.Context, name string) (string, error)
	HoldLease(ctx context.Context, name, holder string, ttl time.Duration, work func(context.Context, control.Lease) error) error
}

// Growable raises the partition count of a topic; *kafka.Client does. A topic that has it already is left alone.
type Growable interface {
	GrowTopic(ctx context.Context, topic string, partitions int32) error
}

// Grow asks for a topic to have more partitions. The stream does it, in whatever process: here or in another one, now or
// after a crash. It goes through the steps of control.GrowStep.
//
// The topics of events and of exposures may grow. The change feed has the partitions of the events, and grows with them;
// the catalogue's rows are ordered by key and the dead letters are few, so theirs stay.
func (s *Stream) Grow(ctx context.Context, topic string, partitions int32) error {
	switch topic {
	case event.TopicEvents:
		return s.deps.Grows.StartGrow(ctx, topic, partitions, control.GrowClosing)
	case event.TopicExposures:
		// No state is keyed by it and nobody relies on its order: nothing has to stand still.
		return s.deps.Grows.StartGrow(ctx, topic, partitions, control.GrowRaising)
	}
	return fmt.Errorf("topic %s cannot be grown: only %s (%s grows with it) and %s can", topic, event.TopicEvents, event.TopicFeatures, event.TopicExposures)
}

// GrowStatus is how far the growing of a topic has come. Step is empty when nothing is under way, Holder when no process is
// at work on it.
type GrowStatus struct {
	Topic      string           `json:"topic"`
	Step       control.GrowStep `json:"step,omitempty"`
	Holder     string           `json:"holder,omitempty"`
	Epoch      int64            `json:"epoch"`
	Partitions int32            `json:"partitions"`
	States     RebuildStatus    `json:"states"`
}

// GrowStatus tells how far a topic has come.
func (s *Stream) GrowStatus(ctx context.Context, topic string) (GrowStatus, error) {
	status := GrowStatus{Topic: topic}
	grows, err := s.deps.Grows.Grows(ctx)
	if err != nil {
		return status, err
	}
	for _, g := range grows {
		if g.Topic == topic {
			status.Step = g.Step
		}
	}
	if status.Holder, err = s.deps.Grows.LeaseHolder(ctx, growLeaseName); err != nil {
		return status, err
	}
	epoch, _, err := s.deps.Epochs.TopicEpoch(ctx, topic)
	if err != nil {
		return status, err
	}
	status.Epoch, status.Partitions = epoch.Epoch, epoch.Partitions
	status.States, err = s.RebuildStatus(ctx, 0)
	return status, err
}

// watchGrows takes topics that are to be grown through their steps until ctx ends, one process at a time.
func (s *Stream) watchGrows(ctx context.Context) error {
	if s.deps.Grows == nil || s.deps.Topics == nil {
		return nil
	}
	s.watch(ctx, s.growWanted, func(err error) time.Duration {
		if errors.Is(err, control.ErrLeaseHeld) {
			return s.rebuildPoll // another process grows it
		}
		s.log.Error("a topic could not be grown; trying again", "error", err, "pause", retryMax)
		return retryMax
	})
	return nil
}

func (s *Stream) growWanted(ctx context.Context) error {
	grows, err := s.deps.Grows.Grows(ctx)
	if err != nil || len(grows) == 0 {
		return err
	}
	holder := fmt.Sprintf("pid %d", os.Getpid())
	return s.deps.Grows.HoldLease(ctx, growLeaseName, holder, growLease, func(ctx context.Context, _ control.Lease) error {
		grows, err := s.deps.Grows.Grows(ctx) // the holder before may have finished
		if err != nil {
			return err
		}
		for _, g := range grows {
			if err := s.grow(ctx, g); err != nil {
				return fmt.Errorf("grow topic %s to %d partitions (step %s): %w", g.Topic, g.Partitions, g.Step, err)
			}
		}
		return nil
	})
}

// grow goes on from the step that a grow is in to its end.
func (s *Stream) grow(ctx context.Context, g control.Grow) error {
	s.log.Info("growing a topic", "topic", g.Topic, "partitions", g.Partitions, "step", g.Step)
	switch g.Step {
	case control.GrowClosing:
		if err := s.drainTopic(ctx, g); err != nil {
			return err
		}
		fallthrough
	case control.GrowRaising:
		if err := s.at(stepRaising); err != nil {
			return err
		}
		if err := s.raiseTopic(ctx, g); err != nil {
			return err
		}
		fallthrough
	case control.GrowRebuilding:
		if g.Topic == event.TopicEvents {
			if err := s.awaitStates(ctx); err != nil {
				return err
			}
		}
		if err := s.at(stepFollowed); err != nil {
			return err
		}
		if err := s.deps.Grows.FinishGrow(ctx, g.Topic); err != nil {
			return err
		}
		s.log.Info("a topic has grown", "topic", g.Topic, "partitions", g.Partitions)
		return s.at(stepGrown)
	}
	return fmt.Errorf("step %q is unknown: a newer version of millrace began this; run that version", g.Step)
}

// drainTopic returns when no event is on its way to the topic and everything in it has landed, wherever the stream runs.
func (s *Stream) drainTopic(ctx context.Context, g control.Grow) error {
	if err := pause(ctx, s.growSettle-g.Age); err != nil {
		return err
	}
	if err := s.at(stepSettled); err != nil {
		return err
	}
	for {
		left, err := s.notLanded(ctx, g.Topic)
		if err != nil {
			return err
		}
		if left == 0 {
			break
		}
		if err := pause(ctx, s.rebuildPoll); err != nil {
			return err
		}
	}
	if err := s.at(stepDrained); err != nil {
		return err
	}
	return s.deps.Grows.RaiseGrow(ctx, g.Topic)
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// notLanded counts the offsets of a topic that have not landed in its running epoch.
func (s *Stream) notLanded(ctx context.Context, topic string) (left int64, err error) {
	epoch, _, err := s.deps.Epochs.TopicEpoch(ctx, topic)
	if err != nil {
		return 0, err
	}
	ranges, err := s.deps.Log.Offsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	fences, err := s.deps.Lake.Next(ctx, tableOf(topic))
	if err != nil {
		return 0, err
	}
	for p, r := range ranges {
		next := r.Start
		if f, ok := fences[lake.FenceKey{Topic: topic, Epoch: epoch.Epoch, Partition: p}]; ok {
			next = f.Next
		}
		left += max(0, r.End-next)
	}
	return left, nil
}

func tableOf(topic string) string {
	switch topic {
	case event.TopicExposures:
		return lake.TableExposures
	case event.TopicItems:
		return lake.TableItems
	default:
		return lake.TableEvents
	}
}

// awaitStates returns when the state of every partition follows the running epoch and is published, wherever it is owned.
func (s *Stream) awaitStates(ctx context.Context) error {
	for {
		status, err := s.RebuildStatus(ctx, 0)
		if err != nil {
			return err
		}
		if status.Done == status.Partitions {
			return nil
		}
		if err := pause(ctx, s.rebuildPoll); err != nil {
			return err
		}
	}
}
