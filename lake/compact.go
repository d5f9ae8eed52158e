package lake

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"
)

// Steps of maintenance at which a test may inject a fault.
const (
	stepInputRead    = "input read"    // one of the files of a job has been read
	stepMerged       = "merged"        // the merged file is durable, nothing refers to it
	stepChangeStaged = "change staged" // manifests are durable, the transaction is not committed
	stepChanged      = "changed"       // the catalog has moved, the caller has not been told
)

// errRowsLost means that a job has read other rows than the manifests say its files have. Nothing was replaced.
var errRowsLost = errors.New("the files of a compaction do not have the rows that the table counts")

// maxCompactPasses bounds how often a compaction looks for what its own results and new landings have made worth merging:
// once for each size class, and once more.
const maxCompactPasses = sizeClasses + 1

// CompactRequest says what to compact. Progress, if not nil, is called after every file that was read.
type CompactRequest struct {
	Table    string // one of the tables; all when empty
	Progress func(CompactProgress)
}

// CompactProgress is how far a pass over a table has come, in files of the table as they are read.
type CompactProgress struct {
	Table             string
	Pass              int    // from 1
	Day               string // YYYY-MM-DD
	Files, TotalFiles int
	Bytes, TotalBytes int64
}

// Compaction is what was done to one table. Files that one pass made and the next merged again count twice.
type Compaction struct {
	Table        string  `json:"table"`
	FilesRead    int64   `json:"files_read"`
	BytesRead    int64   `json:"bytes_read"`
	FilesWritten int64   `json:"files_written"`
	BytesWritten int64   `json:"bytes_written"`
	Rows         int64   `json:"rows"`       // read
	Duplicates   int64   `json:"duplicates"` // dropped
	FilesBefore  int     `json:"files_before"`
	FilesAfter   int     `json:"files_after"`
	Manifests    int     `json:"manifests"` // after
	Seconds      float64 `json:"seconds"`
}

// Compact merges small data files of a day into few large ones, sorted by profile and time, without the copies of an event
// that the day has twice, and small manifests into few. Each job is one commit that keeps the fences as they are, so it may
// be broken off anywhere and goes on at the next call. Landing and readers of any process go on beside it. Memory is
// bounded by sortBytes and sortFanIn, but for the names and bounds of the table's files, which each commit reads.
func (l *Lake) Compact(ctx context.Context, req CompactRequest) ([]Compaction, error) {
	specs, err := l.requested(req.Table)
	if err != nil {
		return nil, err
	}
	var out []Compaction
	var errs []error
	for _, spec := range specs { // what keeps one table from being compacted need not keep the other
		began := time.Now()
		c := &compactor{lake: l, spec: spec, progress: req.Progress, done: Compaction{Table: spec.name}}
		if err := c.run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("compact lake table %s: %w", spec.name, err))
			continue
		}
		c.done.Seconds = time.Since(began).Seconds()
		out = append(out, c.done)
	}
	return out, errors.Join(errs...)
}

// requested are the tables that a request is about.
func (l *Lake) requested(name string) ([]tableSpec, error) {
	if name == "" {
		return tables(), nil
	}
	spec, err := specByName(name)
	return []tableSpec{spec}, err
}

// compactor compacts one table.
type compactor struct {
	lake     *Lake
	spec     tableSpec
	progress func(CompactProgress)
	at       CompactProgress
	done     Compaction
}

func (c *compactor) run(ctx context.Context) error {
	for pass := range maxCompactPasses {
		files, err := c.liveFiles(ctx)
		if err != nil {
			return err
		}
		if pass == 0 {
			c.done.FilesBefore = len(files)
		}
		jobs := planCompaction(files)
		if len(jobs) == 0 {
			break
		}
		if err := c.pass(ctx, pass, jobs); err != nil {
			return err
		}
	}
	var err error
	if c.done.Manifests, err = c.lake.mergeManifests(ctx, c.spec); err != nil {
		return err
	}
	files, err := c.liveFiles(ctx)
	c.done.FilesAfter = len(files)
	return err
}

func (c *compactor) liveFiles(ctx context.Context) ([]liveFile, error) {
	t, err := c.lake.current(ctx, c.spec)
	if err != nil {
		return nil, err
	}
	return liveFiles(ctx, t)
}

func (c *compactor) pass(ctx context.Context, pass int, jobs [][]liveFile) error {
	order, err := c.sortOrder(ctx)
	if err != nil {
		return err
	}
	c.at = CompactProgress{Table: c.spec.name, Pass: pass + 1}
	for _, job := range jobs {
		for _, f := range job {
			c.at.TotalFiles++
			c.at.TotalBytes += f.bytes
		}
	}
	for _, job := range jobs {
		c.at.Day = dayName(job[0].day)
		if err := c.job(ctx, job, order); err != nil && !errors.Is(err, errInputsGone) {
			return fmt.Errorf("merge %d files of %s: %w", len(job), c.at.Day, err)
		}
	}
	return nil
}

// job merges the files of one day into one and puts that in their place.
func (c *compactor) job(ctx context.Context, files []liveFile, order int) error {
	at := c.lake.dataLocation(c.spec, dayName(files[0].day), mergedName(files))
	var read, written int64
	err := encodeFile(ctx, c.lake.files, at, func(w io.Writer) (err error) {
		switch c.spec.name {
		case TableEvents:
			read, written, err = mergeRows(ctx, c, files, eventOrder, w)
		case TableExposures:
			read, written, err = mergeRows(ctx, c, files, exposureOrder, w)
		default:
			read, written, err = mergeRows(ctx, c, files, itemOrder, w)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := c.lake.at(stepMerged); err != nil {
		return err
	}
	t, err := c.lake.current(ctx, c.spec)
	if err != nil {
		return err
	}
	merged, err := table.FileToDataFile(ctx, icebergFiles{ctx, c.lake.files}, at, t.Schema(), t.Spec(), order, t.Properties())
	if err != nil {
		return fmt.Errorf("describe merged file: %w", err)
	}
	if want := countRows(files); read != want || merged.Count() != written {
		return fmt.Errorf("%w: %d counted, %d read, %d to write, %d written", errRowsLost, want, read, written, merged.Count())
	}
	if err := c.lake.replaceFiles(ctx, c.spec, files, []iceberg.DataFile{merged}); err != nil {
		return err
	}
	c.done.FilesRead += int64(len(files))
	for _, f := range files {
		c.done.BytesRead += f.bytes
	}
	c.done.FilesWritten++
	c.done.BytesWritten += merged.FileSizeBytes()
	c.done.Rows += read
	c.done.Duplicates += read - written
	return nil
}

func countRows(files []liveFile) int64 {
	n := int64(0)
	for _, f := range files {
		n += f.rows
	}
	return n
}

// mergedName names a file by those that it was merged from, and by the attempt.
func mergedName(files []liveFile) string {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = path.Base(f.location)
	}
	slices.Sort(names)
	sum := xxhash.New()
	for _, name := range names {
		fmt.Fprintln(sum, name)
	}
	attempt := uuid.New()
	return fmt.Sprintf("merged.%df.%016x.%s.parquet", len(files), sum.Sum64(), hex.EncodeToString(attempt[:4]))
}

// read tells that a file has been read.
func (c *compactor) read(f liveFile) error {
	c.at.Files++
	c.at.Bytes += f.bytes
	if c.progress != nil {
		c.progress(c.at)
	}
	return c.lake.at(stepInputRead)
}

// mergeRows writes the rows of files as one Parquet file in the order of compacted files and drops copies of events. It sorts
// twice: first the copies of an event come to lie side by side, whatever times they tell, then the rows of each profile,
// which nearly always fit in memory, by time.
func mergeRows[Row any](ctx context.Context, c *compactor, files []liveFile, order *rowOrder[Row], w io.Writer) (read, written int64, err error) {
	dir := c.lake.scratch
	byID, byTime := newSorter(dir, sortBytes, order.byID), newSorter(dir, sortBytes, order.byTime)
	defer func() { err = errors.Join(err, byID.close(), byTime.close()) }()
	for _, f := range files {
		own := func(row *Row) (*Row, error) { owned := *row; return &owned, nil }
		err = scanFile(ctx, c.lake.files, plannedFile{location: f.location, bytes: f.bytes}, own, func(row *Row) error {
			read++
			return byID.add(ctx, row)
		})
		if err != nil {
			return 0, 0, err
		}
		if err := c.read(f); err != nil {
			return 0, 0, err
		}
	}
	file, err := newRowWriter[Row](w, compactedProfile)
	if err != nil {
		return 0, 0, err
	}
	defer file.release()
	out := newRowChunk(file)
	write := func(row *Row) error {
		written++
		return out.write(row)
	}
	var last *Row
	err = byID.each(ctx, func(row *Row) error {
		if last != nil && order.profile(last, row) != 0 {
			if err := byTime.each(ctx, write); err != nil {
				return err
			}
		} else if last != nil && order.same(last, row) {
			return nil
		}
		last = row
		return byTime.add(ctx, row)
	})
	if err != nil {
		return 0, 0, err
	}
	if err := byTime.each(ctx, write); err != nil {
		return 0, 0, err
	}
	return read, written, out.close()
}
