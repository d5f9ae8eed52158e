package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

const (
	// compactedBytes is from which size on a file stays as it is.
	compactedBytes = 128 << 20
	// jobBytes is about how much one job merges into one file, a file of compactedBytes more at most; compression by
	// profile makes the file smaller than that.
	jobBytes = 384 << 20
	// jobFiles bounds the files of a job, and with them the work that a crash throws away and the length of its commit.
	jobFiles = 4096
	// sizeClasses and sizeClassFactor: files below compactedBytes fall into classes by size, below 2 MiB, 16 MiB and 128 MiB.
	// A running day merges files of one class only, so that a row is written anew once a class and not once a merge.
	sizeClasses, sizeClassFactor = 3, 8
	// classFiles is how many files of a class are worth a merge while their day is running.
	classFiles = 16
)

// errRowDeletes means that another engine has deleted rows of a table by files that say which.
var errRowDeletes = errors.New("the table has row-level delete files, which Millrace does not read: rewrite it copy-on-write")

// liveFile is a data file of the current version of a table.
type liveFile struct {
	location    string
	day         int32 // since 1970
	bytes, rows int64
	order       int // id of the sort order that its rows are in, 0 for none
}

// liveFiles lists the data files of a table's current version, in no order, about 200 bytes each.
func liveFiles(ctx context.Context, t *table.Table) ([]liveFile, error) {
	manifests, err := currentManifests(ctx, t)
	if err != nil {
		return nil, err
	}
	in, err := t.FS(ctx)
	if err != nil {
		return nil, err
	}
	var out []liveFile
	for _, m := range manifests {
		if m.ManifestContent() != iceberg.ManifestContentData {
			return nil, errRowDeletes
		}
		for entry, err := range m.Entries(in, true) {
			if err != nil {
				return nil, fmt.Errorf("read manifest %s: %w", m.FilePath(), err)
			}
			f := entry.DataFile()
			day, ok := f.Partition()[dayPartitionField].(iceberg.Date)
			if !ok {
				return nil, fmt.Errorf("data file %s is in no day partition: %v", f.FilePath(), f.Partition())
			}
			live := liveFile{location: f.FilePath(), day: int32(day), bytes: f.FileSizeBytes(), rows: f.Count()}
			if order := f.SortOrderID(); order != nil {
				live.order = *order
			}
			out = append(out, live)
		}
	}
	return out, nil
}

// dayName spells a day as YYYY-MM-DD.
func dayName(day int32) string { return time.Unix(int64(day)*24*3600, 0).UTC().Format(time.DateOnly) }

// newestDay is the last day that has rows; a table always has one when it has files.
func newestDay(files []liveFile) int32 {
	newest := files[0].day
	for _, f := range files {
		newest = max(newest, f.day)
	}
	return newest
}

// planCompaction says which files are to be merged into one, two or more each, all of one day. Days before the newest one
// are over: whatever is small in them is merged. A row of a clock that is ahead makes its day the newest one; the days
// before are then merged more often than need be, and never wrongly.
func planCompaction(files []liveFile) [][]liveFile {
	if len(files) == 0 {
		return nil
	}
	newest := newestDay(files)
	days := make(map[int32][]liveFile)
	for _, f := range files {
		if f.bytes < compactedBytes {
			days[f.day] = append(days[f.day], f)
		}
	}
	var jobs [][]liveFile
	for _, day := range slices.Sorted(maps.Keys(days)) {
		if day < newest {
			jobs = append(jobs, splitJobs(days[day])...)
			continue
		}
		classes := make([][]liveFile, sizeClasses)
		for _, f := range days[day] {
			class := sizeClass(f.bytes)
			classes[class] = append(classes[class], f)
		}
		for _, class := range classes {
			if len(class) >= classFiles {
				jobs = append(jobs, splitJobs(class)...)
			}
		}
	}
	return jobs
}

// sizeClass is 0 for the smallest files.
func sizeClass(bytes int64) int {
	class := sizeClasses - 1
	for limit := int64(compactedBytes / sizeClassFactor); bytes < limit && class > 0; limit /= sizeClassFactor {
		class--
	}
	return class
}

// splitJobs cuts files into jobs of about equal size, so that none makes another small file where it can be helped.
func splitJobs(files []liveFile) [][]liveFile {
	total := int64(0)
	for _, f := range files {
		total += f.bytes
	}
	slices.SortFunc(files, func(a, b liveFile) int {
		return cmp.Or(cmp.Compare(a.bytes, b.bytes), cmp.Compare(a.location, b.location))
	})
	jobs := max(1, (total+jobBytes-1)/jobBytes)
	var out [][]liveFile
	for len(files) > 1 {
		n, bytes := 0, int64(0)
		for n < len(files) && n < jobFiles && bytes < (total+jobs-1)/jobs {
			bytes += files[n].bytes
			n++
		}
		if n > 1 {
			out = append(out, files[:n:n])
		}
		files = files[n:]
	}
	return out
}
