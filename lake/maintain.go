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
	// snapshotAge is how long a version of a table can be read after it was replaced.
	snapshotAge = time.Hour
	// snapshotsKept is how many versions stay however old they are.
	snapshotsKept = 10
	// snapshotsMax is how many versions stay however young they are, twenty minutes at a commit every five seconds. Every
	// commit writes the list of all versions anew, so this bounds what a small commit costs. A running scan does not need
	// its version any more: it has planned, and data files stay.
	snapshotsMax = 240
	// orphanAge is how old a file that nothing refers to must be before it goes: far beyond the life of any commit, because
	// the file of a commit under way looks just the same.
	orphanAge = 24 * time.Hour
)

// Maintain keeps the tables small for ever: it drops old versions and the manifests that only they used, and deletes the
// files that broken-off commits and replaced data have left behind. It is safe beside readers and writers of any process.
// Call it every ten minutes or so: between two calls, metadata grows by
// about a kilobyte a commit.
func (l *Lake) Maintain(ctx context.Context, now time.Time) error {
	for _, spec := range tables() {
		if err := l.expire(ctx, spec, now); err != nil {
			return fmt.Errorf("expire snapshots of lake table %s: %w", spec.name, err)
		}
		if err := l.sweep(ctx, spec, now); err != nil {
			return fmt.Errorf("sweep lake table %s: %w", spec.name, err)
		}
	}
	return nil
}

// expire removes old snapshots from the table, then the manifest lists and manifests that no remaining one uses. Data
// files are left to sweep: they go only when rows were rewritten.
func (l *Lake) expire(ctx context.Context, spec tableSpec, now time.Time) error {
	before, after, expired, err := l.commitExpiry(ctx, spec, now)
	if err != nil || len(expired) == 0 {
		return err
	}
	doomed := make(map[string]bool)
	for _, id := range expired {
		s := before.SnapshotByID(id)
		doomed[s.ManifestList] = true
		manifests, err := s.Manifests(durableFS{})
		if err != nil {
			return fmt.Errorf("read manifest list: %w", err)
		}
		for _, m := range manifests {
			doomed[m.FilePath()] = true
		}
	}
	live, _, err := liveManifests(after.Metadata())
	if err != nil {
		return err
	}
	for name := range doomed {
		if live[name] {
			continue
		}
		if err := (durableFS{}).Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove expired file: %w", err)
		}
	}
	return nil
}

// commitExpiry takes the expired snapshots out of the table. On a conflict only this step repeats.
func (l *Lake) commitExpiry(ctx context.Context, spec tableSpec, now time.Time) (before, after *table.Table, expired []int64, err error) {
	l.committing.Lock()
	defer l.committing.Unlock()
	for range maxCommitTries {
		before, err = l.current(ctx, spec)
		if err != nil {
			return nil, nil, nil, err
		}
		expired = expiredSnapshots(before.Metadata().Snapshots(), pinnedSnapshots(before.Metadata()), now)
		if len(expired) == 0 {
			return before, before, nil, nil
		}
		at := &version{catalog: l.catalog, meta: before.Metadata(), at: before.MetadataLocation()}
		updates := []table.Update{table.NewRemoveSnapshotsUpdate(expired, false)}
		meta, location, commitErr := at.CommitTable(ctx, spec.ident(), nil, updates)
		if commitErr == nil {
			after = l.catalog.pin(meta, location, spec.ident())
			l.remember(spec, after)
			return before, after, expired, nil
		}
		if !errors.Is(commitErr, table.ErrCommitFailed) {
			return nil, nil, nil, commitErr
		}
		err = commitErr
	}
	return nil, nil, nil, fmt.Errorf("gave up after %d tries: %w", maxCommitTries, err)
}

// expiredSnapshots lists what may go: older than snapshotAge or more than snapshotsMax, but never one of the newest
// snapshotsKept nor a pinned one. Snapshots come in the order of commits.
func expiredSnapshots(snapshots []table.Snapshot, pinned map[int64]bool, now time.Time) []int64 {
	limit := now.Add(-snapshotAge).UnixMilli()
	var out []int64
	for i, s := range snapshots {
		newer := len(snapshots) - 1 - i
		if newer >= snapshotsKept && !pinned[s.SnapshotID] && (s.TimestampMs < limit || newer >= snapshotsMax) {
			out = append(out, s.SnapshotID)
		}
	}
	return out
}

// pinnedSnapshots are those that branches and tags point at.
func pinnedSnapshots(meta table.Metadata) map[int64]bool {
	pinned := make(map[int64]bool)
	for _, ref := range meta.Refs() {
		pinned[ref.SnapshotID] = true
	}
	return pinned
}

// liveManifests names the manifest lists and manifests of every kept snapshot, and returns each manifest once.
func liveManifests(meta table.Metadata) (names map[string]bool, manifests []iceberg.ManifestFile, err error) {
	names = make(map[string]bool)
	for _, s := range meta.Snapshots() {
		names[s.ManifestList] = true
		list, err := s.Manifests(durableFS{})
		if err != nil {
			return nil, nil, fmt.Errorf("read manifest list: %w", err)
		}
		for _, m := range list {
			if !names[m.FilePath()] {
				names[m.FilePath()] = true
				manifests = append(manifests, m)
			}
		}
	}
	return names, manifests, nil
}

// sweep deletes the old files below the table's directory that nothing refers to. The candidates are listed before the
// table is read, so that a file which is referred to only later is younger than orphanAge.
func (l *Lake) sweep(ctx context.Context, spec tableSpec, now time.Time) error {
	old, err := filesBefore(l.tableDir(spec), now.Add(-orphanAge))
	if err != nil || len(old) == 0 {
		return err
	}
	t, err := l.catalog.load(ctx, spec.ident(), nil)
	if err != nil {
		return err
	}
	live, err := liveFiles(t)
	if err != nil {
		return err
	}
	for _, path := range old {
		if live[path] {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove orphan: %w", err)
		}
	}
	return nil
}

// filesBefore lists the files below dir that were last written before the limit.
func filesBefore(dir string, limit time.Time) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
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
		if info.ModTime().Before(limit) {
			out = append(out, path)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list files: %w", err)
	}
	return out, nil
}

// liveFiles names, as local paths, everything that a version of the table refers to.
func liveFiles(t *table.Table) (map[string]bool, error) {
	meta := t.Metadata()
	names, manifests, err := liveManifests(meta)
	if err != nil {
		return nil, err
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
	for _, m := range manifests {
		for entry, err := range m.Entries(durableFS{}, true) {
			if err != nil {
				return nil, fmt.Errorf("read manifest %s: %w", m.FilePath(), err)
			}
			names[entry.DataFile().FilePath()] = true
		}
	}
	live := make(map[string]bool, len(names))
	for name := range names {
		path, err := localPath(name)
		if err != nil {
			return nil, err
		}
		live[path] = true
	}
	return live, nil
}
