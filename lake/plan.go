package lake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/internal/erasure"
)

// ScanRequest says which rows to read. The zero value of every field but Table means "all".
type ScanRequest struct {
	Table string // TableEvents, TableExposures or TableItems
	// Columns are the columns of Scan's record batches; see Scan. Row scans ignore it.
	Columns []string
	Site    string
	// From and To bound occurred_at (events), served_at (exposures) or updated_at (items): From <= t < To.
	From, To time.Time
	// SnapshotID reads an older version of the table; 0 reads the current one.
	SnapshotID int64
}

// plan is the outcome of asking Iceberg which files may hold wanted rows.
type plan struct {
	spec     tableSpec
	schema   *iceberg.Schema
	snapshot int64 // 0 when the table is empty
	files    []plannedFile
	filter   rowFilter
}

// plannedFile is one data file; sequence is the number of the commit that brought it.
type plannedFile struct {
	location string
	bytes    int64
	sequence int64
}

// rowFilter is what remains to be checked row by row after files were pruned.
type rowFilter struct {
	site     string
	from, to int64           // microseconds, from <= t < to; minMicros and maxMicros where open
	erased   *erasure.Ledger // whose rows are not wanted; nil where the table has none of theirs
}

const (
	minMicros = -1 << 63
	maxMicros = 1<<63 - 1
)

func (f rowFilter) matches(site string, at int64) bool {
	return (f.site == "" || f.site == site) && at >= f.from && at < f.to
}

// plan finds the files of a scan, in commit order, by partition and by the column bounds in the manifests: those of the request, and
// conditions that the caller checks row by row itself.
func (l *Lake) plan(ctx context.Context, req ScanRequest, conditions ...iceberg.BooleanExpression) (*plan, error) {
	spec, err := specByName(req.Table)
	if err != nil {
		return nil, err
	}
	t, err := l.current(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("plan scan of %s: %w", req.Table, err)
	}
	erased, err := l.unerased(ctx, spec, t)
	if err != nil {
		return nil, fmt.Errorf("plan scan of %s: %w", req.Table, err)
	}
	p := &plan{spec: spec, schema: t.Schema(), snapshot: req.SnapshotID, filter: rowFilter{site: req.Site, from: minMicros, to: maxMicros, erased: erased}}
	if req.SnapshotID != 0 && t.SnapshotByID(req.SnapshotID) == nil {
		return nil, fmt.Errorf("plan scan of %s: snapshot %d is not kept any more", req.Table, req.SnapshotID)
	}
	if req.SnapshotID == 0 {
		if t.CurrentSnapshot() == nil {
			return p, nil
		}
		p.snapshot = t.CurrentSnapshot().SnapshotID
	}
	if req.Site != "" {
		conditions = append(conditions, iceberg.EqualTo(iceberg.Reference("site"), req.Site))
	}
	column := iceberg.Reference(spec.time)
	if !req.From.IsZero() {
		p.filter.from = req.From.UnixMicro()
		conditions = append(conditions, iceberg.GreaterThanEqual(column, iceberg.Timestamp(p.filter.from)))
	}
	if !req.To.IsZero() {
		p.filter.to = req.To.UnixMicro()
		conditions = append(conditions, iceberg.LessThan(column, iceberg.Timestamp(p.filter.to)))
	}
	opts := []table.ScanOption{table.WithSnapshotID(p.snapshot)}
	if len(conditions) > 0 {
		opts = append(opts, table.WithRowFilter(allOf(conditions)))
	}
	tasks, err := t.Scan(opts...).PlanFiles(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan scan of %s: %w", req.Table, err)
	}
	if p.files, err = planFiles(tasks); err != nil {
		return nil, fmt.Errorf("plan scan of %s: %w", req.Table, err)
	}
	return p, nil
}

func allOf(conditions []iceberg.BooleanExpression) iceberg.BooleanExpression {
	if len(conditions) == 1 {
		return conditions[0]
	}
	return iceberg.NewAnd(conditions[0], conditions[1], conditions[2:]...)
}

// planFiles reduces Iceberg's tasks, which may be several byte ranges of one file, to whole files in commit order.
func planFiles(tasks []table.FileScanTask) ([]plannedFile, error) {
	seen := make(map[string]bool, len(tasks))
	files := make([]plannedFile, 0, len(tasks))
	for _, task := range tasks {
		name := task.File.FilePath()
		if len(task.DeleteFiles)+len(task.EqualityDeleteFiles)+len(task.DeletionVectorFiles) > 0 {
			return nil, fmt.Errorf("%s has row-level delete files, which Millrace does not read: rewrite the table copy-on-write", name)
		}
		if task.File.FileFormat() != iceberg.ParquetFile {
			return nil, fmt.Errorf("%s is not a Parquet file", name)
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		f := plannedFile{location: name, bytes: task.File.FileSizeBytes()}
		if task.DataSequenceNumber != nil {
			f.sequence = *task.DataSequenceNumber
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b plannedFile) int {
		return cmp.Or(cmp.Compare(a.sequence, b.sequence), strings.Compare(a.location, b.location))
	})
	return files, nil
}

// openParquet opens a data file and refuses what would be read wrongly; ahead is how many bytes of a column are read ahead.
func openParquet(r interface {
	ReadAt(p []byte, off int64) (int, error)
}, size int64, ahead int) (*parquet.File, error) {
	f, err := parquet.OpenFile(r, size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true), parquet.ReadBufferSize(ahead))
	if err != nil {
		return nil, err
	}
	for _, group := range f.Metadata().RowGroups {
		for i := range group.Columns {
			if codec := group.Columns[i].MetaData.Codec.String(); strings.HasPrefix(codec, "LZ4") {
				return nil, fmt.Errorf("column %s is compressed with %s, which cannot be read back safely: rewrite the file with zstd (%w)",
					strings.Join(group.Columns[i].MetaData.PathInSchema, "."), codec, errUnsupported)
			}
		}
	}
	return f, nil
}
