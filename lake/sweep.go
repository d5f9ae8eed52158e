package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/iceberg-go"
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

// sweep counts and deletes the old files below the table's directory that nothing refers to. The files are listed first, then
// commits of this process that were under way are waited for, then the table is read: a file that is listed and will be
// referred to belongs to a commit of another process, and is younger than orphanAge.
//
// It holds the names of all files of the table, some 200 bytes each.
func (l *Lake) sweep(ctx context.Context, spec tableSpec, now time.Time) (count int, bytes int64, err error) {
	files, err := listFiles(l.tableDir(spec), now.Add(-orphanAge))
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
	err = referredFiles(t, func(path string, data bool) error {
		if _, ok := files[path]; ok && data {
			found++
		}
		delete(files, path)
		return ctx.Err()
	})
	if err != nil {
		return 0, 0, err
	}
	if n := summaryCount(t.CurrentSnapshot(), "total-data-files"); n > 0 && found == 0 {
		return 0, 0, fmt.Errorf("%w %s, which holds %d other files; the table has %d data files at %s. Nothing was deleted",
			errNothingListed, l.tableDir(spec), len(files), n, t.Location())
	}
	for path, old := range files {
		if !old {
			continue
		}
		info, err := os.Stat(path)
		if err == nil {
			err = os.Remove(path)
		}
		if errors.Is(err, fs.ErrNotExist) { // another process has just deleted it
			continue
		}
		if err != nil {
			return count, bytes, fmt.Errorf("remove orphan: %w", err)
		}
		count, bytes = count+1, bytes+info.Size()
	}
	return count, bytes, nil
}

// listFiles returns the files below dir, by path without symbolic links, and whether each was last written before the
// limit.
func listFiles(dir string, limit time.Time) (map[string]bool, error) {
	out := make(map[string]bool)
	dir, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) { // another process has just deleted it
			return nil
		}
		if err != nil {
			return err
		}
		out[path] = info.ModTime().Before(limit)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	return out, nil
}

// referredFiles calls visit with the local path, without symbolic links, of everything that a version of the table refers
// to; data says which are data files. A file may come more than once.
func referredFiles(t *table.Table, visit func(path string, data bool) error) error {
	resolve := resolver{}
	name := func(location string, data bool) error {
		path, err := resolve.path(location)
		if err != nil {
			return err
		}
		return visit(path, data)
	}
	meta := t.Metadata()
	names, manifests, err := liveManifests(meta)
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
		if err := dataFiles(m, func(at string) error { return name(at, true) }); err != nil {
			return fmt.Errorf("read manifest %s: %w", m.FilePath(), err)
		}
	}
	return nil
}

func dataFiles(m iceberg.ManifestFile, visit func(location string) error) error {
	for entry, err := range m.Entries(durableFS{}, true) {
		if err != nil {
			return err
		}
		if err := visit(entry.DataFile().FilePath()); err != nil {
			return err
		}
	}
	return nil
}

// resolver turns locations into local paths without symbolic links. It remembers each directory, of which a table has
// few.
type resolver map[string]string

func (r resolver) path(location string) (string, error) {
	path, err := localPath(location)
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(path)
	real, ok := r[dir]
	if !ok {
		real, err = filepath.EvalSymlinks(dir)
		if errors.Is(err, fs.ErrNotExist) { // then nothing of it is on the disk to be found
			real, err = dir, nil
		}
		if err != nil {
			return "", fmt.Errorf("resolve location: %w", err)
		}
		r[dir] = real
	}
	return filepath.Join(real, filepath.Base(path)), nil
}
