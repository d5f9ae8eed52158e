package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/millrace/millrace/internal/erasure"
)

// forgetVersions drops every version of the table but the current one if files with covered rows are left anywhere on the disk:
// replaced by this erasure or by an earlier compaction, or left behind by a process that died. Pins do not count.
//
// The files go last, so that a kill before leaves something to find. Manifests go before them, because they hold bounds, and with
// these users. One that nothing refers to and that was there before a commit of ours can never be referred to any more: its
// transaction was built on a version that is not the newest, and has to begin again with new ones. Data files are used again by
// the next try of a landing; but those with covered rows are not, because of the mark.
func (e *eraser) forgetVersions(ctx context.Context) error {
	if err := e.dropRemovedEntries(ctx); err != nil {
		return err
	}
	left, err := e.leftovers(ctx)
	if err != nil || len(left) == 0 {
		return err
	}
	before, err := e.dropVersions(ctx)
	if err != nil {
		return err
	}
	if err := e.lake.at(stepForgotten); err != nil {
		return err
	}
	if err := e.removeManifests(ctx, before); err != nil {
		return err
	}
	if err := e.lake.at(stepManifests); err != nil {
		return err
	}
	for _, at := range left {
		if err := e.lake.files.remove(ctx, at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove file with erased rows: %w", err)
		}
		e.done.Deleted++
	}
	return e.lake.at(stepErasedGone)
}

// dropRemovedEntries writes manifests anew that tell of files which were taken out: the entry of such a file has its bounds.
func (e *eraser) dropRemovedEntries(ctx context.Context) error {
	t, err := e.lake.current(ctx, e.spec)
	if err != nil {
		return err
	}
	stale, err := staleManifests(ctx, t)
	if err != nil || len(stale) == 0 {
		return err
	}
	err = e.lake.commitChange(ctx, e.spec, change{
		stage: func(ctx context.Context, t *table.Table, tx *table.Transaction) error {
			stale, err := staleManifests(ctx, t)
			if err != nil || len(stale) == 0 {
				return err
			}
			// In clusters, because of manifests that would be merged the library passes a single one through as it is.
			_, err = tx.RewriteManifests(ctx, table.WithRewriteManifestPredicate(func(m iceberg.ManifestFile) bool { return stale[m.FilePath()] }),
				table.WithRewriteManifestClusterBy(func(iceberg.DataFile) any { return 0 }))
			return err
		},
		settled: func(ctx context.Context, t *table.Table) (bool, error) {
			left, err := staleManifests(ctx, t)
			return len(left) == 0, err
		},
	})
	if err != nil {
		return fmt.Errorf("drop entries of removed files: %w", err)
	}
	return nil
}

// staleManifests are those of the current version that have entries of files which are not in it.
func staleManifests(ctx context.Context, t *table.Table) (map[string]bool, error) {
	manifests, err := currentManifests(ctx, t)
	if err != nil {
		return nil, err
	}
	in, err := t.FS(ctx)
	if err != nil {
		return nil, err
	}
	stale := make(map[string]bool)
	for _, m := range manifests {
		for entry, err := range m.Entries(in, false) {
			if err != nil {
				return nil, fmt.Errorf("read manifest %s: %w", m.FilePath(), err)
			}
			if entry.Status() == iceberg.EntryStatusDELETED {
				stale[m.FilePath()] = true
			}
		}
	}
	return stale, nil
}

// leftovers are the data files in the table's directory that its current version does not have and that hold covered rows. One
// that cannot be read is left to the sweep: a process is writing it, or died doing so, and without its end it says nothing.
func (e *eraser) leftovers(ctx context.Context) ([]string, error) {
	files, err := e.lake.listTable(ctx, e.spec, "data")
	if err != nil {
		return nil, err
	}
	t, err := e.lake.current(ctx, e.spec)
	if err != nil {
		return nil, err
	}
	live, err := liveFiles(ctx, t)
	if err != nil {
		return nil, err
	}
	canonical := e.lake.files.canonical()
	for _, f := range live {
		at, err := canonical(f.location)
		if err != nil {
			return nil, err
		}
		delete(files, at)
	}
	var left []string
	for at, f := range files {
		if !strings.HasSuffix(at, ".parquet") {
			continue
		}
		found, err := e.holdsCovered(ctx, f)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			e.done.Unreadable++
		case found:
			left = append(left, at)
		}
	}
	return left, nil
}

// errFound ends a look for covered rows.
var errFound = errors.New("a row is covered")

func (e *eraser) holdsCovered(ctx context.Context, f storedFile) (bool, error) {
	err := e.eachIdentity(ctx, f.location, f.bytes, func(_ erasure.Row, covered bool) error {
		if covered {
			return errFound
		}
		return ctx.Err()
	})
	switch {
	case errors.Is(err, errFound):
		return true, nil
	case errors.Is(err, fs.ErrNotExist): // another process has just deleted it
		return false, nil
	}
	return false, err
}

// dropVersions takes every version but the current one out of the table, and whatever points at them, and deletes their
// manifests. It returns the files of metadata that there were before the commit.
func (e *eraser) dropVersions(ctx context.Context) (there map[string]storedFile, err error) {
	l := e.lake
	l.committing.Lock()
	defer l.committing.Unlock()
	var lastErr error
	for range maxCommitTries {
		there, err := l.listTable(ctx, e.spec, "metadata")
		if err != nil {
			return nil, err
		}
		before, err := l.current(ctx, e.spec)
		if err != nil {
			return nil, err
		}
		meta := before.Metadata()
		var updates []table.Update
		for name := range meta.Refs() {
			if name != table.MainBranch {
				updates = append(updates, table.NewRemoveSnapshotRefUpdate(name))
			}
		}
		var old []int64
		dropped := l.takeDropped(e.spec)
		for _, s := range meta.Snapshots() {
			if current := before.CurrentSnapshot(); current == nil || s.SnapshotID != current.SnapshotID {
				old, dropped = append(old, s.SnapshotID), append(dropped, s)
			}
		}
		if len(old) > 0 {
			updates = append(updates, table.NewRemoveSnapshotsUpdate(old, false))
		}
		// The commit moves the table in any case: nothing that is under way can refer to what lies around now.
		updates = append(updates, table.NewSetPropertiesUpdate(iceberg.Properties{forgottenProperty: time.Now().UTC().Format(time.RFC3339Nano)}))
		base := l.catalog.version(meta, before.MetadataLocation())
		meta, at, err := base.CommitTable(ctx, e.spec.ident(), nil, updates)
		if err == nil {
			after := pin(l.catalog, l.files, e.spec.ident(), meta, at)
			l.remember(e.spec, after)
			e.done.Snapshots = len(old)
			return there, l.removeDropped(ctx, after, dropped)
		}
		if !errors.Is(err, table.ErrCommitFailed) {
			return nil, err
		}
		lastErr = err
	}
	return nil, fmt.Errorf("drop versions: gave up after %d tries: %w", maxCommitTries, lastErr)
}

// forgottenProperty is when all versions of a table were dropped last, because somebody was erased from them.
const forgottenProperty = "millrace.erased.versions"

// removeManifests deletes those manifests and lists, of the files that there were before the table moved last, which no
// version refers to: those of an erasure that was killed here, and of commits that were.
func (e *eraser) removeManifests(ctx context.Context, there map[string]storedFile) error {
	t, err := e.lake.catalog.load(ctx, e.spec.ident(), nil)
	if err != nil {
		return err
	}
	err = e.lake.referredFiles(ctx, t, func(at string, _ bool) error {
		delete(there, at)
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	for at := range there {
		if !strings.HasSuffix(at, ".avro") {
			continue
		}
		if err := e.lake.files.remove(ctx, at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove manifest: %w", err)
		}
	}
	return nil
}
