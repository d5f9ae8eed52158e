package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/apache/iceberg-go"
	icebergio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
)

const (
	// snapshotAge is how long a version of a table can be read after it was replaced, where commits are few.
	snapshotAge = time.Hour
	// snapshotsKept is how many versions stay however old they are.
	snapshotsKept = 10
	// snapshotsMax is how many versions stay however young they are: ten minutes at a commit every five seconds, less while
	// an import commits faster. Every commit writes the list of all versions anew, about a kilobyte each, so this bounds
	// what a small commit costs, in a burst too. A training needs the version that it has pinned only until it has scanned
	// one column of it for the newest event and planned its second scan: a scan that has planned needs its version no
	// more, because data files stay.
	snapshotsMax = 120
)

// Expiry is what was given up of one table.
type Expiry struct {
	Table      string  `json:"table"`
	Days       int     `json:"days"`      // day partitions that were past their retention
	Rows       int64   `json:"rows"`      // in those
	Snapshots  int     `json:"snapshots"` // dropped now; each commit drops some, too
	Left       int     `json:"snapshots_left"`
	FilesSwept int     `json:"files_swept"` // nothing referred to them for orphanAge
	BytesSwept int64   `json:"bytes_swept"`
	Seconds    float64 `json:"seconds"`
}

// Maintain tidies the tables: each call drops days that are past their retention, old versions and the manifests that only
// they used, and once a day it deletes the files that broken-off commits, ended processes, compaction and retention have left
// behind. It is safe beside readers and writers of any process. Call it every ten minutes or so; merging data files is
// Compact's.
//
// When a table was last swept is remembered by this Lake only: the first sweep comes at the first call sweepDelay or more
// after the first one, so a process that never lives so long leaves the sweep to others.
func (l *Lake) Maintain(ctx context.Context, now time.Time) error {
	for _, spec := range tables() {
		if _, err := l.expireTable(ctx, spec, now, l.takeSweep(spec, now)); err != nil {
			return err
		}
	}
	return nil
}

// Expire is Maintain on request, with a sweep, for one table, or for all where the name is empty.
func (l *Lake) Expire(ctx context.Context, tableName string, now time.Time) ([]Expiry, error) {
	specs, err := l.requested(tableName)
	if err != nil {
		return nil, err
	}
	var out []Expiry
	for _, spec := range specs {
		done, err := l.expireTable(ctx, spec, now, true)
		if err != nil {
			return out, err
		}
		out = append(out, done)
	}
	return out, nil
}

func (l *Lake) expireTable(ctx context.Context, spec tableSpec, now time.Time, sweep bool) (Expiry, error) {
	began := time.Now()
	done := Expiry{Table: spec.name}
	var err error
	if done.Days, done.Rows, err = l.dropOldDays(ctx, spec, now); err != nil {
		return done, fmt.Errorf("drop old days of lake table %s: %w", spec.name, err)
	}
	if done.Snapshots, done.Left, err = l.expire(ctx, spec, now); err != nil {
		return done, fmt.Errorf("expire snapshots of lake table %s: %w", spec.name, err)
	}
	if sweep {
		if done.FilesSwept, done.BytesSwept, err = l.sweep(ctx, spec, now); err != nil {
			return done, fmt.Errorf("sweep lake table %s: %w", spec.name, err)
		}
	}
	done.Seconds = time.Since(began).Seconds()
	return done, nil
}

// expire removes snapshots that have grown old from the table, then the manifest lists and manifests that only those
// used which this process has dropped since the last call. Data files are left to sweep.
func (l *Lake) expire(ctx context.Context, spec tableSpec, now time.Time) (expired, left int, err error) {
	if expired, err = l.commitExpiry(ctx, spec, now); err != nil {
		return 0, 0, err
	}
	t, err := l.current(ctx, spec)
	if err != nil {
		return 0, 0, err
	}
	return expired, len(t.Metadata().Snapshots()), l.removeDropped(ctx, t, l.takeDropped(spec))
}

// removeDropped deletes the manifest lists and manifests of dropped snapshots that a table does not refer to any more.
func (l *Lake) removeDropped(ctx context.Context, t *table.Table, dropped []table.Snapshot) error {
	if len(dropped) == 0 {
		return nil
	}
	doomed := make(map[string]bool)
	for _, s := range dropped {
		doomed[s.ManifestList] = true
		manifests, err := s.Manifests(icebergFiles{ctx, l.files})
		if err != nil {
			return fmt.Errorf("read manifest list: %w", err)
		}
		for _, m := range manifests {
			doomed[m.FilePath()] = true
		}
	}
	live, _, err := liveManifests(t.Metadata(), icebergFiles{ctx, l.files})
	if err != nil {
		return err
	}
	for name := range doomed {
		if live[name] {
			continue
		}
		if err := l.files.remove(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove expired file: %w", err)
		}
	}
	return nil
}

// maxDropped is how many dropped snapshots a process remembers, a few hundred bytes each: as many as it drops between two
// calls of Maintain, many times over. Where another process maintains the lake, the files of older ones wait for its sweep.
const maxDropped = 10 * snapshotsMax

// drop notes which snapshots a commit of this process took out of a table. Their files wait for the next expire; those
// of a process that ends before are orphans.
func (l *Lake) drop(spec tableSpec, before, after *table.Table) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range before.Metadata().Snapshots() {
		if after.SnapshotByID(s.SnapshotID) == nil {
			l.dropped[spec.name] = append(l.dropped[spec.name], s)
		}
	}
	if over := len(l.dropped[spec.name]) - maxDropped; over > 0 {
		l.dropped[spec.name] = slices.Delete(l.dropped[spec.name], 0, over)
	}
}

func (l *Lake) takeDropped(spec tableSpec) []table.Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	dropped := l.dropped[spec.name]
	delete(l.dropped, spec.name)
	return dropped
}

// commitExpiry takes the expired snapshots out of a table that nobody commits to, and says how many those were.
func (l *Lake) commitExpiry(ctx context.Context, spec tableSpec, now time.Time) (int, error) {
	l.committing.Lock()
	defer l.committing.Unlock()
	var lastErr error
	for range maxCommitTries {
		before, err := l.current(ctx, spec)
		if err != nil {
			return 0, err
		}
		expired := expiredSnapshots(before.Metadata().Snapshots(), pinnedSnapshots(before.Metadata()), now)
		if len(expired) == 0 {
			return 0, nil
		}
		at := l.catalog.version(before.Metadata(), before.MetadataLocation())
		meta, location, err := at.CommitTable(ctx, spec.ident(), nil, []table.Update{table.NewRemoveSnapshotsUpdate(expired, false)})
		if err == nil {
			after := pin(l.catalog, l.files, spec.ident(), meta, location)
			l.drop(spec, before, after)
			l.remember(spec, after)
			return len(expired), nil
		}
		if !errors.Is(err, table.ErrCommitFailed) {
			return 0, err
		}
		lastErr = err
	}
	return 0, fmt.Errorf("gave up after %d tries: %w", maxCommitTries, lastErr)
}

// expiredSnapshots lists what may go: older than snapshotAge or with snapshotsMax newer ones, but never one of the newest
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
func liveManifests(meta table.Metadata, in icebergio.IO) (names map[string]bool, manifests []iceberg.ManifestFile, err error) {
	names = make(map[string]bool)
	for _, s := range meta.Snapshots() {
		names[s.ManifestList] = true
		list, err := s.Manifests(in)
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
