package serving

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// Where a list was found.
const (
	FoundInMemory = "memory" // of the node that was asked
	FoundInLog    = "log"    // millrace.exposures
	FoundInLake   = "lake"
)

const (
	// recallSlack is how far the times of an id, of a record and of those around it may lie apart: a batch is sent again for that long.
	recallSlack = exposureTimeout + time.Second
	// maxRecallRecords bounds the records that one search in the log reads: a partition of a busy shop has so many in two minutes.
	maxRecallRecords = 100_000
	// recallWait bounds a search in the log.
	recallWait = 10 * time.Second
)

// ErrUnknownList says that no list of a site has an id, or that nobody may see it any more.
var ErrUnknownList = errors.New("unknown list")

// Lists is what is asked of the lake. FindExposure finds a list that was served about then, nil where there is none; ItemHistory the
// versions of an item below a revision (0 is all), the newest first, at most limit; LandedItems tells from which offset on records of
// the items topic are not in it.
type Lists interface {
	FindExposure(ctx context.Context, site, recID string, at time.Time) (*event.Exposure, error)
	ItemHistory(ctx context.Context, site, id string, below int64, limit int) ([]*event.CatalogueRow, error)
	LandedItems(ctx context.Context, epoch int64, partition int32) (next int64, err error)
}

// recall returns the record of a list and where it was found: in this node's memory, or in the log, or in the lake, where this
// process reads it. ErrUnknownList is returned for the list of another site, for one whose person was erased, and for one that is in
// none of them; another error where one of them did not answer.
func (s *Serving) recall(ctx context.Context, site, recID string) (x *event.Exposure, where string, err error) {
	id, err := uuid.Parse(recID)
	if err != nil || id.Version() != 7 || id.String() != recID {
		return nil, "", ErrUnknownList // no node has made it
	}
	seconds, nanos := id.Time().UnixTime()
	at := time.Unix(seconds, nanos)
	x, where, err = s.search(ctx, site, recID, id, at)
	if err != nil {
		return nil, "", err
	}
	if x == nil || x.Site != site || x.RecID != recID {
		return nil, "", ErrUnknownList
	}
	erased, err := s.control.Ledger(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("ask who was erased: %w", err)
	}
	if erased.Covers(erasure.ExposureRow(x)) {
		return nil, "", ErrUnknownList
	}
	return x, where, nil
}

// search looks in one place after the other. What one of them has is the answer, although another is away.
func (s *Serving) search(ctx context.Context, site, recID string, id uuid.UUID, at time.Time) (x *event.Exposure, where string, err error) {
	key := exposureKey(site, recID)
	if value, ok := s.recent.find(key, id); ok {
		x = &event.Exposure{}
		return x, FoundInMemory, event.UnmarshalExposure(value, x)
	}
	x, err = s.findLogged(ctx, key, at)
	if x != nil {
		return x, FoundInLog, nil
	}
	if s.lists == nil {
		return nil, "", err
	}
	x, lakeErr := s.lists.FindExposure(ctx, site, recID, at)
	if x != nil {
		return x, FoundInLake, nil
	}
	return nil, "", errors.Join(err, lakeErr)
}

// findLogged looks for a list in the one partition of the log that has its key, from its time on; nil where it is not.
func (s *Serving) findLogged(ctx context.Context, key string, at time.Time) (*event.Exposure, error) {
	ctx, cancel := context.WithTimeout(ctx, recallWait)
	defer cancel()
	ranges, err := s.topics.Offsets(ctx, event.TopicExposures)
	if err != nil {
		return nil, err
	}
	partition := kafka.PartitionFor([]byte(key), int32(len(ranges)))
	next, err := s.topics.OffsetAt(ctx, event.TopicExposures, partition, at.Add(-time.Second))
	if err != nil {
		return nil, err
	}
	end := ranges[partition].End
	for read := 0; next < end && read < maxRecallRecords; {
		result, err := s.topics.Fetch(ctx, kafka.FetchRequest{Topic: event.TopicExposures, Partition: partition, Offset: next})
		if err != nil {
			return nil, err
		}
		x, over, err := findRecord(result.Records, key, at.Add(recallSlack))
		read, next = read+len(result.Records), result.Next
		result.Release()
		if x != nil || over || err != nil {
			return x, err
		}
	}
	return nil, nil //nolint:nilnil // it is not there
}

// findRecord looks for a list among records; over says that those behind are too late.
func findRecord(records []kafka.Record, key string, latest time.Time) (x *event.Exposure, over bool, err error) {
	for i := range records {
		if string(records[i].Key) == key {
			x = &event.Exposure{}
			return x, true, event.UnmarshalExposure(records[i].Value, x)
		}
		over = records[i].Time.After(latest)
	}
	return nil, over, nil
}
