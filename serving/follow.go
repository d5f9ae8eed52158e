package serving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// retryPause is the pause after a failure of Kafka or of the online store while following: short enough that a node
// catches up within the second that other nodes may lag, long enough not to hammer a store that is down.
const retryPause = 250 * time.Millisecond

// follow applies the items topic to memory and to the online store until ctx ends. Reads go on from the base while Kafka
// is away. It ends with an error only where going on would serve a wrong catalogue: the topic was recreated.
func (c *Catalogue) follow(ctx context.Context, log *slog.Logger) error {
	starts, err := c.positions(ctx, log)
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	for partition, start := range starts {
		group.Go(func() error { return ignoreEnd(ctx, c.followPartition(ctx, log, partition, start)) })
	}
	return group.Wait()
}

// ignoreEnd drops the error of work that was told to stop.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// position is a place in the items topic.
type position struct {
	epoch, next int64
}

// positions finds where each partition goes on: behind what the base has, or at the log's start. It waits for
// Kafka, which need not be up when serving starts.
func (c *Catalogue) positions(ctx context.Context, log *slog.Logger) (map[int32]position, error) {
	for {
		starts, err := c.readPositions(ctx)
		if err == nil {
			return starts, nil
		}
		c.kafka.saw(ctx, err)
		log.WarnContext(ctx, "items topic is not readable yet; the catalogue is served as it was", "error", err)
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

func (c *Catalogue) readPositions(ctx context.Context) (map[int32]position, error) {
	epoch, ok, err := c.control.TopicEpoch(ctx, event.TopicItems)
	if err != nil {
		return nil, fmt.Errorf("read epoch of %s: %w", event.TopicItems, err)
	}
	if !ok {
		return nil, fmt.Errorf("topic %s has no epoch yet", event.TopicItems)
	}
	ranges, err := c.log.Offsets(ctx, event.TopicItems)
	if err != nil {
		return nil, err
	}
	starts := make(map[int32]position, len(ranges))
	for partition, r := range ranges {
		starts[partition] = position{epoch: epoch.Epoch, next: r.Start}
		// Offsets of another life of the topic mean nothing here: the new log is read from its start.
		if applied, found := c.applied[partition]; found && applied.epoch == epoch.Epoch {
			starts[partition] = applied
		}
	}
	c.begin(starts, ranges)
	return starts, nil
}

func (c *Catalogue) followPartition(ctx context.Context, log *slog.Logger, partition int32, at position) error {
	for {
		result, err := c.log.Fetch(ctx, kafka.FetchRequest{Topic: event.TopicItems, Partition: partition, Offset: at.next})
		c.kafka.saw(ctx, fetchFault(err))
		var below *kafka.ErrBelowStart
		var above *kafka.ErrAboveEnd
		switch {
		case errors.As(err, &above):
			return fmt.Errorf("follow the catalogue: %w", err)
		case errors.As(err, &below):
			log.ErrorContext(ctx, "catalogue changes were removed from the log before this node read them; import the catalogue again",
				"topic", event.TopicItems, "partition", partition, "lost_records", below.Start-below.Offset)
			at.next = below.Start
			continue
		case err != nil:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			log.WarnContext(ctx, "items topic is not readable; the catalogue is served as it was", "partition", partition, "error", err)
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
			continue
		}
		changed := c.apply(ctx, log, at.epoch, result.Records)
		if result.Next == at.next {
			continue
		}
		at.next = result.Next
		if err := c.persist(ctx, log, partition, at, changed); err != nil {
			return err
		}
	}
}

// fetchFault is nil where Kafka has answered, also that an offset is not in the log.
func fetchFault(err error) error {
	var below *kafka.ErrBelowStart
	var above *kafka.ErrAboveEnd
	if errors.As(err, &below) || errors.As(err, &above) {
		return nil
	}
	return err
}

// appliedRow is a row that came into force, with the place of its record.
type appliedRow struct {
	row *Row
	at  place
}

// apply puts the records of one batch in force, tells who follows the catalogue, and then their writers. The log already holds
// them, so a writer need not wait for the online store too.
func (c *Catalogue) apply(ctx context.Context, log *slog.Logger, epoch int64, records []kafka.Record) []appliedRow {
	rows, writers := make([]*Row, 0, len(records)), make([]string, 0, len(records))
	for i := range records {
		row, err := decodeRecord(records[i].Value, c.shared)
		if err != nil {
			log.WarnContext(ctx, "a record of the items topic is not a catalogue row and was skipped",
				"partition", records[i].Partition, "offset", records[i].Offset, "error", err)
			continue
		}
		row.at = place{epoch: epoch, offset: records[i].Offset}
		rows, writers = append(rows, row), append(writers, writeID(&records[i]))
	}
	var applied []appliedRow
	settled := map[string]bool{}
	for i, verdict := range c.force(rows, comesNext) {
		inForce := verdict != refused
		if inForce {
			c.changed(ctx, rows[i])
			applied = append(applied, appliedRow{row: rows[i], at: rows[i].at})
		}
		if writers[i] != "" {
			settled[writers[i]] = inForce
		}
	}
	c.waiters.settle(settled)
	return applied
}

// comesNext decides whether a row of the topic comes into force after the one that is, and says since when its item is there.
func comesNext(current, row *Row) verdict {
	base := int64(0)
	if current != nil {
		base = current.Revision
	}
	if row.BaseRevision != base {
		return refused
	}
	if current == nil || current.Deleted {
		row.created = row.updated
		return arrived
	}
	row.created = current.created
	return changed
}

func writeID(record *kafka.Record) string {
	for _, h := range record.Headers {
		if h.Key == headerWrite {
			return string(h.Value)
		}
	}
	return ""
}

// persist writes what a batch changed to the online store, rows before the applied offset, so that a crash between the
// two repeats rows and never loses one. It tries until it succeeds: going on would leave a hole behind the offset. The
// offset waits until the store has the whole catalogue, because it says so.
func (c *Catalogue) persist(ctx context.Context, log *slog.Logger, partition int32, at position, changed []appliedRow) error {
	for {
		c.mu.RLock()
		marker := c.storedIn
		c.mu.RUnlock()
		err := c.putRows(ctx, changed)
		if err == nil && marker != "" {
			err = c.putReached(ctx, partition, at, marker)
		}
		if err == nil {
			c.arrive(partition, at)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		log.WarnContext(ctx, "the online store did not take catalogue rows; trying again", "rows", len(changed), "error", err)
		if err := pause(ctx, retryPause); err != nil {
			return err
		}
	}
}

// pause waits for d or for the end of ctx, whose error it returns.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
