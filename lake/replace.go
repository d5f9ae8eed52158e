package lake

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
)

// errInputsGone means that files which were to be replaced are not in the table any more: another process was faster.
var errInputsGone = errors.New("the files to replace are not in the table any more")

// patientTries is how often a commit of maintenance tries beside the landing of this process before it makes that wait:
// its work on manifests takes many times as long as a landing's, which would come first for ever where there are many.
const patientTries = 8

// change is a commit of maintenance: what it has to say about the table, whatever has landed meanwhile.
type change struct {
	// stage puts the change into a transaction on a version of the table.
	stage func(ctx context.Context, t *table.Table, tx *table.Transaction) error
	// settled is asked after an error whether a version of the table has the change, which no error can tell.
	settled func(ctx context.Context, t *table.Table) (bool, error)
}

// commitChange commits a change. A conflict repeats this step only; everything it refers to is on disk before.
func (l *Lake) commitChange(ctx context.Context, spec tableSpec, c change) error {
	var lastErr error
	for try := range maxCommitTries {
		done, err := l.tryChange(ctx, spec, c, lastErr, try >= patientTries)
		if done {
			return err
		}
		lastErr = err
	}
	return fmt.Errorf("gave up after %d tries: %w", maxCommitTries, lastErr)
}

// tryChange is one try; lastErr is why the one before failed. done says that there is nothing more to try.
func (l *Lake) tryChange(ctx context.Context, spec tableSpec, c change, lastErr error, alone bool) (done bool, err error) {
	if alone {
		l.committing.Lock()
		defer l.committing.Unlock()
	}
	t, err := l.current(ctx, spec)
	if err != nil {
		return true, errors.Join(lastErr, err)
	}
	if lastErr != nil {
		settled, err := c.settled(ctx, t)
		if settled || err != nil {
			return true, err
		}
		if !errors.Is(lastErr, table.ErrCommitFailed) {
			return true, lastErr // not a conflict: trying again at once would meet the same full disk
		}
	}
	tx := t.NewTransaction()
	// The pin turns off the library's own silent retry on a newer snapshot.
	if err := tx.AssertRefSnapshotID(table.MainBranch); err != nil {
		return true, fmt.Errorf("pin snapshot: %w", err)
	}
	if err := c.stage(ctx, t, tx); err != nil {
		return false, err
	}
	if err := l.at(stepChangeStaged); err != nil {
		return false, err
	}
	after, err := tx.Commit(ctx)
	if err != nil {
		return false, err
	}
	if err := l.at(stepChanged); err != nil {
		return false, err
	}
	l.drop(spec, t, after)
	l.remember(spec, pin(l.catalog, l.files, spec.ident(), after.Metadata(), after.MetadataLocation()))
	return true, nil
}

// replaceFiles takes data files out of a table and puts others, if any, in their place, in one commit that leaves the table's
// properties alone. Files that were taken out stay for scans under way; a note of them, written now, keeps
// the sweep away from them for orphanAge.
func (l *Lake) replaceFiles(ctx context.Context, spec tableSpec, remove []liveFile, add []iceberg.DataFile) error {
	if err := l.noteReplaced(ctx, spec, remove); err != nil {
		return err
	}
	return l.commitChange(ctx, spec, change{
		stage: func(ctx context.Context, t *table.Table, tx *table.Transaction) error {
			return stageReplacement(ctx, t, tx, remove, add)
		},
		settled: func(ctx context.Context, t *table.Table) (bool, error) { return replaced(ctx, t, remove, add) },
	})
}

// noteReplaced writes down the files that are about to be taken out of a table, a location a line.
func (l *Lake) noteReplaced(ctx context.Context, spec tableSpec, files []liveFile) error {
	var text strings.Builder
	for _, f := range files {
		fmt.Fprintln(&text, f.location)
	}
	at := l.files.location(Namespace, spec.name, "metadata", replacedStart+uuid.NewString()+replacedEnd)
	if err := writeFile(ctx, l.files, at, []byte(text.String())); err != nil {
		return fmt.Errorf("note replaced files: %w", err)
	}
	return nil
}

// stageReplacement fails unless all files to remove are in the table; the library looks.
func stageReplacement(ctx context.Context, t *table.Table, tx *table.Transaction, remove []liveFile, add []iceberg.DataFile) error {
	fences, err := readFences(t.Properties())
	if err != nil {
		return err
	}
	summary, err := summarizeFences(fences)
	if err != nil {
		return err
	}
	props := iceberg.Properties{fencesSummary: summary}
	gone := make([]iceberg.DataFile, len(remove))
	for i, f := range remove { // the library takes everything but the path from the manifests
		b, err := iceberg.NewDataFileBuilder(t.Spec(), iceberg.EntryContentData, f.location, iceberg.ParquetFile, nil, nil, nil, f.rows, f.bytes)
		if err != nil {
			return fmt.Errorf("name file to remove: %w", err)
		}
		gone[i] = b.Build()
	}
	if len(add) == 0 {
		if err := tx.ReplaceDataFilesWithDataFiles(ctx, gone, nil, props); err != nil {
			return fmt.Errorf("remove files: %w", err)
		}
		return nil
	}
	rewrite := tx.NewRewrite(props)
	for _, f := range gone {
		rewrite.DeleteFile(f)
	}
	for _, f := range add {
		rewrite.AddDataFile(f)
	}
	if err := rewrite.Commit(ctx); err != nil {
		return fmt.Errorf("replace files: %w", err)
	}
	return nil
}

// replaced reports whether a table holds what was to be added and nothing of what was to be removed; errInputsGone when it
// never will.
func replaced(ctx context.Context, t *table.Table, remove []liveFile, add []iceberg.DataFile) (bool, error) {
	files, err := liveFiles(ctx, t)
	if err != nil {
		return false, err
	}
	live := make(map[string]bool, len(files))
	for _, f := range files {
		live[f.location] = true
	}
	left, added := 0, 0
	for _, f := range remove {
		if live[f.location] {
			left++
		}
	}
	for _, f := range add {
		if live[f.FilePath()] {
			added++
		}
	}
	switch {
	case left == 0 && added == len(add):
		return true, nil
	case left == len(remove):
		return false, nil
	default:
		return false, errInputsGone
	}
}
