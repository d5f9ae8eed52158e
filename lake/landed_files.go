package lake

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// writeFiles writes one durable data file per UTC day and returns their locations, an empty slice when there are no rows.
func (l *Lake) writeFiles(ctx context.Context, spec tableSpec, in Landing, fences []Fence) ([]string, error) {
	name := fileName(fences)
	switch spec.name {
	case TableEvents:
		rows := inOrder(in.Events, func(r *EventRow) *Position { return &r.At })
		return writeByDay(ctx, l, spec, name, rows, func(r EventRow) time.Time { return r.Event.ReceivedAt }, (*eventRow).fill)
	case TableExposures:
		rows := inOrder(in.Exposures, func(r *ExposureRow) *Position { return &r.At })
		return writeByDay(ctx, l, spec, name, rows, func(r ExposureRow) time.Time { return r.Exposure.ServedAt }, (*exposureRow).fill)
	default:
		rows := inOrder(in.Items, func(r *ItemRow) *Position { return &r.At })
		return writeByDay(ctx, l, spec, name, rows, func(r ItemRow) time.Time { return r.Item.UpdatedAt }, (*catalogueRow).fill)
	}
}

// writeByDay writes the file of the first row's day and puts rows of other days, of which a landing has few, off to the next.
func writeByDay[In, Row any](ctx context.Context, l *Lake, spec tableSpec, name string, rows []In, at func(In) time.Time, fill func(*Row, In) error) ([]string, error) {
	files := []string{}
	for len(rows) > 0 {
		day := at(rows[0]).UTC().Truncate(24 * time.Hour)
		next := day.Add(24 * time.Hour)
		file := l.dataLocation(spec, day.Format(time.DateOnly), name)
		var others []In
		mine := func(r In) bool {
			if t := at(r); t.Before(day) || !t.Before(next) {
				others = append(others, r)
				return false
			}
			return true
		}
		if err := encodeFile(ctx, l.files, file, func(w io.Writer) error { return encode(w, rows, mine, fill) }); err != nil {
			return nil, fmt.Errorf("write data file %s: %w", file, err)
		}
		files, rows = append(files, file), others
	}
	slices.Sort(files)
	return files, nil
}

func comparePositions(a, b Position) int {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
}

// inOrder returns the rows in the order of their positions. A landing brings the rows of one partition after those of another,
// in order; rows that are in order already are not copied.
func inOrder[R any](rows []R, at func(*R) *Position) []R {
	samePartition := func(a, b *Position) bool { return a.Epoch == b.Epoch && a.Partition == b.Partition }
	sorted := true
	var runs [][]R // of rows of one partition, each sorted
	for start, end := 0, 1; start < len(rows); end++ {
		if end < len(rows) && samePartition(at(&rows[start]), at(&rows[end])) && at(&rows[end-1]).Offset <= at(&rows[end]).Offset {
			continue
		}
		sorted = sorted && (end == len(rows) || comparePositions(*at(&rows[end-1]), *at(&rows[end])) < 0)
		runs, start = append(runs, rows[start:end]), end
	}
	if sorted {
		return rows
	}
	slices.SortStableFunc(runs, func(a, b []R) int { return comparePositions(*at(&a[0]), *at(&b[0])) })
	out := slices.Concat(runs...)
	compare := func(a, b R) int { return comparePositions(*at(&a), *at(&b)) }
	if !slices.IsSortedFunc(out, compare) { // runs of one partition overlap
		slices.SortStableFunc(out, compare)
	}
	return out
}
