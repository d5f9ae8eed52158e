package serving

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

const (
	// maxHistoryRecords bounds the records of the log that one reading of a history looks at: what lands within minutes where bulks
	// are written.
	maxHistoryRecords = 100_000
	// historyWait bounds a reading of a history.
	historyWait = 10 * time.Second
	// historySpan is how far back a node that does not read the lake looks in the log, which keeps every record for that long.
	historySpan = time.Hour
)

// history is what is known of former rows of an item.
type history struct {
	rows  map[int64]*event.CatalogueRow // by revision, each as it was in force
	whole bool                          // nothing newer than its oldest row is missing, and what is older can be asked for
}

// historyOf reads the versions of an item below a revision, 0 for all: the newest limit and some more. What has landed is in the lake,
// what has not in the log, and what is in force in memory.
func (s *Serving) historyOf(ctx context.Context, site, id string, below int64, limit int) (*history, error) {
	ctx, cancel := context.WithTimeout(ctx, historyWait)
	defer cancel()
	h := &history{rows: map[int64]*event.CatalogueRow{}, whole: s.lists != nil}
	logged, err := s.loggedVersions(ctx, h, site, id) // first: what lands while it is read is in both
	if err != nil {
		return nil, err
	}
	if s.lists != nil {
		landed, err := s.lists.ItemHistory(ctx, site, id, below, limit)
		if err != nil {
			return nil, err
		}
		for _, row := range landed {
			h.rows[row.Revision] = row // earlier in the log than any that has not landed
		}
	}
	for _, row := range logged {
		if h.rows[row.Revision] == nil {
			h.rows[row.Revision] = row
		}
	}
	if row := s.catalogue.row(site, id); row != nil && h.rows[row.Revision] == nil {
		h.rows[row.Revision] = row.whole()
	}
	return h, nil
}

// loggedVersions reads the records of an item in the log that have not landed, in their order; without a lake those of the last hour.
func (s *Serving) loggedVersions(ctx context.Context, h *history, site, id string) ([]*event.CatalogueRow, error) {
	key := site + ":" + id
	ranges, err := s.topics.Offsets(ctx, event.TopicItems)
	if err != nil {
		return nil, err
	}
	partition := kafka.PartitionFor([]byte(key), int32(len(ranges)))
	next, err := s.unlanded(ctx, partition)
	if err != nil {
		return nil, err
	}
	var found []*event.CatalogueRow
	next = max(next, ranges[partition].Start)
	for read := 0; next < ranges[partition].End; {
		if read >= maxHistoryRecords {
			h.whole = false
			return found, nil
		}
		result, err := s.topics.Fetch(ctx, kafka.FetchRequest{Topic: event.TopicItems, Partition: partition, Offset: next})
		var below *kafka.ErrBelowStart
		if errors.As(err, &below) {
			h.whole, next = false, below.Start
			continue
		}
		if err != nil {
			return nil, err
		}
		for i := range result.Records {
			if string(result.Records[i].Key) != key {
				continue
			}
			if row, err := event.DecodeCatalogueRow(result.Records[i].Value); err == nil { // another is no row for any node
				found = append(found, &row)
			}
		}
		read, next = read+len(result.Records), result.Next
		result.Release()
	}
	return found, nil
}

// unlanded is where a partition of the items topic begins that the lake does not have.
func (s *Serving) unlanded(ctx context.Context, partition int32) (int64, error) {
	if s.lists == nil {
		return s.topics.OffsetAt(ctx, event.TopicItems, partition, s.now().Add(-historySpan))
	}
	epoch, ok, err := s.control.TopicEpoch(ctx, event.TopicItems)
	if err != nil || !ok {
		return 0, err
	}
	return s.lists.LandedItems(ctx, epoch.Epoch, partition)
}

// below are the known rows below a revision, 0 for all, the newest first.
func (h *history) below(revision int64) []*event.CatalogueRow {
	var rows []*event.CatalogueRow
	for n, row := range h.rows {
		if revision == 0 || n < revision {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b *event.CatalogueRow) int { return cmp.Compare(b.Revision, a.Revision) })
	return rows
}
