package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"
)

const (
	// orphanAge is how old a file that nothing refers to must be before it goes: far beyond the life of any commit, because
	// the file of a commit under way looks just the same.
	orphanAge = 24 * time.Hour
	// sweepEvery is how often a table is swept: a sweep lists every file and reads every manifest, and orphans are few.
	sweepEvery = 24 * time.Hour
	// sweepDelay keeps the first sweep out of the minutes after a start, which belong to catching up.
	sweepDelay = 10 * time.Minute
)

// errNothingListed means that a table's data files are not where its orphans are looked for. Something is wrong with
// the paths then, and every live file would pass for an orphan.
var errNothingListed = errors.New("none of the table's data files is in its directory")

// takeSweep reports whether the table is to be swept now, and if so when it is due again. A sweep that fails is not
// repeated before the next day: it would fail again and cost as much.
func (l *Lake) takeSweep(spec tableSpec, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	due, seen := l.sweepDue[spec.name]
	switch {
	case !seen:
		l.sweepDue[spec.name] = now.Add(sweepDelay)
		return false
	case now.Before(due):
		return false
	}
	l.sweepDue[spec.name] = now.Add(sweepEvery)
	return true
}

// The name of a note of files that were taken out of a table. While it is younger than orphanAge the sweep leaves them
// alone, and then it goes itself.
const replacedStart, replacedEnd = "replaced-", ".txt"

// sweep counts and deletes the old files below the table's location that nothing refers to. The files are listed first, then
// commits of this process that were under way are waited for, then the table is read: a file that is listed and will be
// referred to belongs to a commit of another process, and is younger than orphanAge.
//
// It holds the names of all files of the table, some 200 bytes each.
func (l *Lake) sweep(ctx context.Context, spec tableSpec, now time.Time) (count int, bytes int64, err error) {
	listed, err := l.listTable(ctx, spec, "")
	if err != nil {
		return 0, 0, err
	}
	l.committing.Lock()
	t, err := l.catalog.load(ctx, spec.ident(), nil)
	l.committing.Unlock()
	if err != nil {
		return 0, 0, err
	}
	found := 0
	err = l.referredFiles(ctx, t, func(at string, data bool) error {
		if _, ok := listed[at]; ok && data {
			found++
		}
		delete(listed, at)
		return ctx.Err()
	})
	if err != nil {
		return 0, 0, err
	}
	if n := summaryCount(t.CurrentSnapshot(), "total-data-files"); n > 0 && found == 0 {
		return 0, 0, fmt.Errorf("%w %s, which holds %d other files; the table has %d data files at %s. Nothing was deleted",
			errNothingListed, l.tableLocation(spec), len(listed), n, t.Location())
	}
	limit := now.Add(-orphanAge)
	if err := l.spareReplaced(ctx, listed, limit); err != nil {
		return 0, 0, err
	}
	for at, f := range listed {
		if !f.modified.Before(limit) {
			continue
		}
		err := l.files.remove(ctx, at)
		if errors.Is(err, fs.ErrNotExist) { // another process has just deleted it
			continue
		}
		if err != nil {
			return count, bytes, fmt.Errorf("remove orphan: %w", err)
		}
		count, bytes = count+1, bytes+f.bytes
	}
	return count, bytes, nil
}

// listTable returns the files below the table's location, all or those of "data" or "metadata", by location in canonical form.
func (l *Lake) listTable(ctx context.Context, spec tableSpec, part string) (map[string]storedFile, error) {
	below := l.tableLocation(spec)
	if part != "" {
		below += "/" + part
	}
	out := make(map[string]storedFile)
	err := l.files.list(ctx, below, func(f storedFile) error {
		out[f.location] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	return out, nil
}

// spareReplaced takes those files out of a listing that were replaced after the limit.
func (l *Lake) spareReplaced(ctx context.Context, listed map[string]storedFile, limit time.Time) error {
	canonical := l.files.canonical()
	for at, f := range listed {
		name := path.Base(at)
		if !strings.HasPrefix(name, replacedStart) || !strings.HasSuffix(name, replacedEnd) || f.modified.Before(limit) {
			continue
		}
		text, err := readFile(ctx, l.files, at)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read note of replaced files: %w", err)
		}
		for recorded := range strings.Lines(string(text)) {
			replaced, err := canonical(strings.TrimSuffix(recorded, "\n"))
			if err != nil {
				return fmt.Errorf("read note of replaced files %s: %w", at, err)
			}
			delete(listed, replaced)
		}
	}
	return nil
}

// referredFiles calls visit with the canonical location of everything that a version of the table refers to; data says which
// are data files. A file may come more than once.
func (l *Lake) referredFiles(ctx context.Context, t *table.Table, visit func(location string, data bool) error) error {
	canonical := l.files.canonical()
	name := func(recorded string, data bool) error {
		at, err := canonical(recorded)
		if err != nil {
			return err
		}
		return visit(at, data)
	}
	meta := t.Metadata()
	names, manifests, err := liveManifests(meta, icebergFiles{ctx, l.files})
	if err != nil {
		return err
	}
	names[t.MetadataLocation()] = true
	for entry := range meta.PreviousFiles() {
		names[entry.MetadataFile] = true
	}
	for s := range meta.Statistics() {
		names[s.StatisticsPath] = true
	}
	for s := range meta.PartitionStatistics() {
		names[s.StatisticsPath] = true
	}
	for at := range names {
		if err := name(at, false); err != nil {
			return err
		}
	}
	for _, m := range manifests {
		for entry, err := range m.Entries(icebergFiles{ctx, l.files}, true) {
			if err == nil {
				err = name(entry.DataFile().FilePath(), true)
			}
			if err != nil {
				return fmt.Errorf("read manifest %s: %w", m.FilePath(), err)
			}
		}
	}
	return nil
}
