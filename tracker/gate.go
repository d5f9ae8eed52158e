package tracker

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// ErrIntakeClosed means that no events are taken for the moment, because their topic is being grown. Nothing was written.
var ErrIntakeClosed = errors.New("no events are taken while their topic is being grown")

// Intake says whether events are taken; *control.Store does, at most control.CacheAge old.
type Intake interface {
	Intake(ctx context.Context) (control.Intake, error)
}

// Gate is the door to the events topic that every event passes, live or imported. It is closed while the topic is grown,
// and it spreads events over the partitions that the control store knows: a producer learns of new ones later, and would
// go on to write to the old.
type Gate struct {
	Producer Producer
	Intake   Intake
}

// Produce writes records of events, or fails with ErrIntakeClosed.
func (g Gate) Produce(ctx context.Context, records []kafka.Record) error {
	in, err := g.Intake.Intake(ctx)
	if err != nil {
		return err
	}
	if in.Closed {
		return ErrIntakeClosed
	}
	for i := range records {
		if r := &records[i]; in.Partitions > 0 && r.Topic == event.TopicEvents {
			r.Partition = kafka.PartitionFor(r.Key, in.Partitions)
		}
	}
	return g.Producer.Produce(ctx, records)
}

// gatePoll is how often a writer that waits for the gate looks again.
const gatePoll = time.Second

// Patient is a gate that lets its writer wait until it opens: an import has time.
type Patient struct{ Gate }

// Produce writes records of events when the gate is open and the producer knows all partitions.
func (p Patient) Produce(ctx context.Context, records []kafka.Record) error {
	for {
		err := p.Gate.Produce(ctx, records)
		if !errors.Is(err, ErrIntakeClosed) && !errors.Is(err, kafka.ErrNoPartition) {
			return err
		}
		select {
		case <-time.After(gatePoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
