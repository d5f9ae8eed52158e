package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// firstEpoch is that of a topic which Millrace has known from its first record on: what its log lacks in front is lost.
const firstEpoch = 1

// LogChangedError means that a log is not the one that was read before: it ends before a position that was reached in it,
// or holds another record there. Going on would skip new events silently.
type LogChangedError struct {
	Topic     string
	Partition int32
	Epoch     int64
	Reached   string // whose position: "the lake" or "the state of features"
	Offset    int64  // next offset to read
	End       int64  // of the log
	Want, Got uint64 // hashes of the record before Offset; both 0 when the log is too short
}

func (e *LogChangedError) Error() string {
	what := fmt.Sprintf("the log ends at offset %d, but %s has read it up to %d", e.End, e.Reached, e.Offset)
	if e.Want != e.Got {
		what = fmt.Sprintf("the record at offset %d is another (hash %016x) than %s has read (hash %016x)", e.Offset-1, e.Got, e.Reached, e.Want)
	}
	return fmt.Sprintf("topic %s partition %d (epoch %d) was recreated or rewritten: %s; restore the log from its backup, "+
		"or run `millrace topics adopt %s` to go on with the log as it is now", e.Topic, e.Partition, e.Epoch, what, e.Topic)
}

// origin is where a partition of a topic stands in Kafka and in the lake when this process takes it over.
type origin struct {
	id     partitionID
	layout // of the running epoch
	log    kafka.OffsetRange
	landed state.Position // the fence, or where the epoch began where nothing has landed in it
}

func (o origin) fenceKey() lake.FenceKey {
	return lake.FenceKey{Topic: o.id.topic, Epoch: o.epoch, Partition: o.id.partition}
}

// What a growing topic may show for a moment, because control store, lake and brokers are not changed as one.
var (
	// errEpochClosed means that an epoch is over in the lake, and the control store has not opened the next one yet.
	errEpochClosed = errors.New("the epoch is closed, the next one is not open yet")
	// errUnseen means that the brokers, or what this client remembers of them, do not tell of a partition that the epoch has.
	errUnseen = errors.New("the brokers do not tell of the partition")
)

// unseenPatience is how long a partition may be missing before that is taken for the truth: the layout of a cluster is
// remembered for two seconds, and brokers learn of a new partition one after the other.
const unseenPatience = time.Minute

// origin reads where a partition stands and checks the fence against the log. It waits while a growing topic is between two
// epochs.
func (s *Stream) origin(ctx context.Context, id partitionID, table string) (origin, error) {
	for unseen := time.Now().Add(unseenPatience); ; {
		o, err := s.standsAt(ctx, id, table)
		wait := errors.Is(err, errEpochClosed) || errors.Is(err, errUnseen) && time.Now().Before(unseen)
		if !wait {
			return o, err
		}
		if err := pause(ctx, retryMin); err != nil {
			return o, err
		}
	}
}

func (s *Stream) standsAt(ctx context.Context, id partitionID, table string) (origin, error) {
	o := origin{id: id}
	var err error
	if o.layout, err = s.layoutOf(ctx, id.topic); err != nil {
		return o, err
	}
	// The fence is read before the log's end: the owner before us may still land, and a fence that is newer than the end
	// would look like a log that was recreated.
	fences, err := s.deps.Lake.Next(ctx, table)
	if err != nil {
		return o, err
	}
	ranges, err := s.deps.Log.Offsets(ctx, id.topic)
	if err != nil {
		return o, err
	}
	var ok bool
	if o.log, ok = ranges[id.partition]; !ok {
		return o, fmt.Errorf("topic %s has no partition %d, but Millrace made it with %d: %w; restore it from its backup, or run "+
			"`millrace topics adopt %s` to go on with the topic as it is now", id.topic, id.partition, o.partitions, errUnseen, id.topic)
	}
	o.landed = state.Position{Epoch: o.epoch}
	if o.epoch > firstEpoch {
		o.landed.Offset = o.log.Start // it was taken over as it was
	}
	if f, ok := fences[o.fenceKey()]; ok {
		if f.Next == lake.ClosedEpoch {
			return o, errEpochClosed
		}
		o.landed = state.Position{Epoch: o.epoch, Offset: f.Next, Hash: f.Hash}
		if err := s.checkLog(ctx, o, "the lake", o.landed); err != nil {
			return o, err
		}
	}
	return o, nil
}

// checkLog compares a position that was reached in this epoch with the log as it is.
func (s *Stream) checkLog(ctx context.Context, o origin, reached string, p state.Position) error {
	changed := &LogChangedError{Topic: o.id.topic, Partition: o.id.partition, Epoch: o.epoch, Reached: reached, Offset: p.Offset, End: o.log.End}
	if o.log.End < p.Offset {
		return changed
	}
	if p.Hash == 0 || p.Offset-1 < o.log.Start {
		return nil // nothing was read, or retention has removed the witness
	}
	res, err := s.deps.Log.Fetch(ctx, kafka.FetchRequest{Topic: o.id.topic, Partition: o.id.partition, Offset: p.Offset - 1, MaxBytes: 1})
	var below *kafka.ErrBelowStart
	if errors.As(err, &below) {
		return nil // retention removed the witness just now
	}
	if err != nil {
		return fmt.Errorf("read the record before %s's position: %w", reached, err)
	}
	if len(res.Records) == 0 || res.Records[0].Offset != p.Offset-1 {
		return nil // compaction or a control record: there is no witness
	}
	if changed.Want, changed.Got = p.Hash, kafka.Hash(res.Records[0]); changed.Want != changed.Got {
		return changed
	}
	return nil
}

// appliedFrom is where the state of a partition wants to read on, after checking its position against the log.
func (s *Stream) appliedFrom(ctx context.Context, o origin, p state.Position, known bool) (int64, error) {
	switch {
	case !known || p.Epoch < o.epoch:
		return o.log.Start, nil
	case p.Epoch > o.epoch:
		return 0, fmt.Errorf("topic %s partition %d: the state of features has read epoch %d, but the control store knows epoch %d only; "+
			"restore the control store that belongs to this data directory", o.id.topic, o.id.partition, p.Epoch, o.epoch)
	}
	return p.Offset, s.checkLog(ctx, o, "the state of features", p)
}
