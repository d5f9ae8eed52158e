package lake

import (
	"context"
	"fmt"
	"strconv"

	"github.com/apache/iceberg-go/table"
)

// TableInfo describes the current version of one table. Rows, Files and Bytes count live data files; NextOffsets are the
// landed offsets by partition number in the newest life of the topic. Gaps are the newest losses, the oldest of them first.
type TableInfo struct {
	Name             string           `json:"name"`
	Rows             int64            `json:"rows"`
	Files            int64            `json:"files"`
	Bytes            int64            `json:"bytes"`
	Snapshots        int              `json:"snapshots"`
	SnapshotID       int64            `json:"snapshot_id,omitempty"` // 0 before the first landing of a row
	MetadataLocation string           `json:"metadata_location"`
	Epoch            int64            `json:"epoch,omitempty"` // the life of the topic that NextOffsets are of
	NextOffsets      map[string]int64 `json:"next_offsets"`
	Gaps             []Gap            `json:"gaps"`
}

// Info describes every table of the lake.
func (l *Lake) Info(ctx context.Context) ([]TableInfo, error) {
	var out []TableInfo
	for _, spec := range tables() {
		t, err := l.current(ctx, spec)
		if err != nil {
			return nil, fmt.Errorf("describe lake table %s: %w", spec.name, err)
		}
		info := TableInfo{
			Name: spec.name, Snapshots: len(t.Metadata().Snapshots()), MetadataLocation: t.MetadataLocation(), NextOffsets: map[string]int64{},
		}
		if s := t.CurrentSnapshot(); s != nil {
			info.SnapshotID = s.SnapshotID
			info.Rows = tableRows(s)
			info.Files = summaryCount(s, "total-data-files")
			info.Bytes = summaryCount(s, "total-files-size")
		}
		fences, err := readFences(t.Properties())
		if err != nil {
			return nil, fmt.Errorf("describe lake table %s: %w", spec.name, err)
		}
		if info.Gaps, err = readGaps(t.Properties()); err != nil {
			return nil, fmt.Errorf("describe lake table %s: %w", spec.name, err)
		}
		epoch := int64(0)
		for key := range fences {
			epoch = max(epoch, key.Epoch)
		}
		info.Epoch = epoch
		for key, f := range fences {
			if key.Epoch == epoch {
				info.NextOffsets[strconv.Itoa(int(key.Partition))] = f.Next
			}
		}
		out = append(out, info)
	}
	return out, nil
}

func tableRows(s *table.Snapshot) int64 { return summaryCount(s, "total-records") }

// summaryCount reads one of the totals that Iceberg keeps in a snapshot's summary; 0 when it is missing.
func summaryCount(s *table.Snapshot, key string) int64 {
	if s == nil || s.Summary == nil {
		return 0
	}
	n, err := strconv.ParseInt(s.Summary.Properties[key], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
