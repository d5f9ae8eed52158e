package lake

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/erasure"
)

// Steps of an erasure at which a test may inject a fault.
const (
	stepMarked     = "erasure marked"   // landings need the ledger; nothing is rewritten
	stepRewritten  = "file rewritten"   // a file without the rows is durable, nothing refers to it
	stepErased     = "rows erased"      // no current row is left; older versions and their files are
	stepForgotten  = "versions dropped" // no version is left that has such rows; files are
	stepManifests  = "manifests removed"
	stepErasedGone = "files removed"
)

const (
	// eraseGroup is how many files are replaced in one commit: few commits for a person who came every day, and little to do
	// again after a kill.
	eraseGroup = 32
	// maxErasePasses bounds how often the table is looked through again because other maintenance came between.
	maxErasePasses = 20
)

// Erasure is what was erased from one table.
type Erasure struct {
	Table      string `json:"table"`
	Rows       int64  `json:"rows"`                 // of the table
	Files      int    `json:"files"`                // rewritten, or removed where nothing else was in them
	Snapshots  int    `json:"snapshots"`            // dropped, because they had such rows
	Deleted    int    `json:"deleted"`              // data files that had them
	Unreadable int    `json:"unreadable,omitempty"` // files of broken-off commits without an end; the sweep removes them
}

// Erase removes every row that a ledger covers from all tables, from all their versions, and from the disk. It may be broken off
// anywhere and is done by calling it again. Landing goes on beside it. No maintenance of any process may run beside it, because
// a compaction under way may hold such rows: the caller holds MaintenanceLease.
func (l *Lake) Erase(ctx context.Context, ledger *erasure.Ledger) ([]Erasure, error) {
	var out []Erasure
	for _, spec := range personalTables() {
		e := &eraser{lake: l, spec: spec, ledger: ledger, clean: make(map[string]bool), done: Erasure{Table: spec.name}}
		if err := e.run(ctx); err != nil {
			return out, fmt.Errorf("erase from lake table %s: %w", spec.name, err)
		}
		out = append(out, e.done)
	}
	return out, nil
}

// personalTables are those whose rows name people.
func personalTables() []tableSpec {
	return slices.DeleteFunc(tables(), func(s tableSpec) bool { return !s.people })
}

// MaintenanceLease is the lease under which one process at a time tends the lake.
const MaintenanceLease = "lake/maintain"

// eraser erases from one table.
type eraser struct {
	lake    *Lake
	spec    tableSpec
	ledger  *erasure.Ledger
	columns identities
	clean   map[string]bool // locations of files that were looked through
	done    Erasure
}

func (e *eraser) run(ctx context.Context) error {
	t, err := e.lake.current(ctx, e.spec)
	if err != nil {
		return err
	}
	if err := e.spec.knowsColumns(t.Schema()); err != nil {
		return err
	}
	if e.columns, err = newIdentities(e.spec, t.Schema()); err != nil {
		return err
	}
	if err := e.note(ctx, erasedProperty); err != nil {
		return err
	}
	if err := e.lake.at(stepMarked); err != nil {
		return err
	}
	if err := e.rewrite(ctx); err != nil {
		return err
	}
	if err := e.lake.at(stepErased); err != nil {
		return err
	}
	// Last, because scans of older versions are filtered until then, too.
	if err := e.forgetVersions(ctx); err != nil {
		return err
	}
	return e.note(ctx, cleanProperty)
}

// note raises a property to the ledger's sequence.
func (e *eraser) note(ctx context.Context, name string) error {
	reached := func(_ context.Context, t *table.Table) (bool, error) {
		have, err := erasedSequence(t.Properties(), name)
		return have >= e.ledger.Sequence(), err
	}
	t, err := e.lake.current(ctx, e.spec)
	if err != nil {
		return err
	}
	if done, err := reached(ctx, t); done || err != nil {
		return err
	}
	err = e.lake.commitChange(ctx, e.spec, change{
		stage: func(_ context.Context, _ *table.Table, tx *table.Transaction) error {
			return tx.SetProperties(iceberg.Properties{name: strconv.FormatInt(e.ledger.Sequence(), 10)})
		},
		settled: reached,
	})
	if err != nil {
		return fmt.Errorf("set property %s: %w", name, err)
	}
	return nil
}

// rewrite replaces every file that holds covered rows by one without them.
func (e *eraser) rewrite(ctx context.Context) error {
	for range maxErasePasses {
		t, err := e.lake.current(ctx, e.spec)
		if err != nil {
			return err
		}
		if err := e.spec.knowsColumns(t.Schema()); err != nil { // again: a newer version may have begun to land meanwhile
			return err
		}
		files, err := liveFiles(ctx, t)
		if err != nil {
			return err
		}
		dirty, err := e.lookThrough(ctx, files)
		if err != nil {
			return err
		}
		if len(dirty) == 0 {
			return nil
		}
		for len(dirty) > 0 {
			n := min(len(dirty), eraseGroup)
			if err := e.replace(ctx, dirty[:n]); err != nil && !errors.Is(err, errInputsGone) {
				return err
			}
			dirty = dirty[n:]
		}
	}
	return fmt.Errorf("gave up after looking through the table %d times: other maintenance came between each time", maxErasePasses)
}

// lookThrough returns the files that hold covered rows. One that is gone was replaced meanwhile: the next pass finds by what.
func (e *eraser) lookThrough(ctx context.Context, files []liveFile) (dirty []liveFile, err error) {
	for _, f := range files {
		if e.clean[f.location] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		covered := int64(0)
		err = e.eachIdentity(ctx, f.location, f.bytes, func(_ erasure.Row, is bool) error {
			if is {
				covered++
			}
			return nil
		})
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case err != nil || covered > 0:
			dirty = append(dirty, f)
		default:
			e.clean[f.location] = true
		}
	}
	return dirty, nil
}

// replace puts files without covered rows in the place of some.
func (e *eraser) replace(ctx context.Context, files []liveFile) error {
	t, err := e.lake.current(ctx, e.spec)
	if err != nil {
		return err
	}
	var added []iceberg.DataFile
	erased := int64(0)
	for _, f := range files {
		kept, at, err := e.rewriteFile(ctx, f)
		if errors.Is(err, fs.ErrNotExist) {
			return errInputsGone
		}
		if err != nil {
			return err
		}
		erased += f.rows - kept
		if kept == 0 {
			continue
		}
		file, err := table.FileToDataFile(ctx, icebergFiles{ctx, e.lake.files}, at, t.Schema(), t.Spec(), f.order, t.Properties())
		if err != nil {
			return fmt.Errorf("describe rewritten file: %w", err)
		}
		if file.Count() != kept {
			return fmt.Errorf("%w: %d kept, %d written", errRowsLost, kept, file.Count())
		}
		added = append(added, file)
	}
	if err := e.lake.replaceFiles(ctx, e.spec, files, added); err != nil {
		return err
	}
	e.done.Files += len(files)
	e.done.Rows += erased
	return nil
}

// rewriteFile writes the rows of a file that stay, in their order, and returns how many and where. Of none there is no file.
func (e *eraser) rewriteFile(ctx context.Context, f liveFile) (kept int64, at string, err error) {
	at = e.lake.dataLocation(e.spec, dayName(f.day), erasedName(f))
	read := int64(0)
	source := plannedFile{location: f.location, bytes: f.bytes}
	count := func(covered bool) bool {
		if read++; !covered {
			kept++
		}
		return !covered
	}
	err = encodeFile(ctx, e.lake.files, at, func(w io.Writer) error {
		if e.spec.name == TableEvents {
			return keepRows(ctx, e.lake.files, source, w, func(r *eventRow) bool { return count(e.ledger.Covers(r.erasedRow())) })
		}
		return keepRows(ctx, e.lake.files, source, w, func(r *exposureRow) bool { return count(e.ledger.Covers(r.erasedRow())) })
	})
	switch {
	case err != nil:
		return 0, "", err
	case read != f.rows:
		return 0, "", fmt.Errorf("%w: %d counted, %d read", errRowsLost, f.rows, read)
	case kept == 0:
		return 0, "", e.lake.files.remove(ctx, at)
	}
	return kept, at, e.lake.at(stepRewritten)
}

// keepRows copies the rows of a file that are kept.
func keepRows[Row any](ctx context.Context, in files, from plannedFile, w io.Writer, keep func(*Row) bool) error {
	file, err := newRowWriter[Row](w, compactedProfile)
	if err != nil {
		return err
	}
	defer file.release()
	out := newRowChunk(file)
	own := func(row *Row) (*Row, error) { owned := *row; return &owned, nil }
	err = scanFile(ctx, in, from, own, func(row *Row) error {
		if !keep(row) {
			return nil
		}
		return out.write(row)
	})
	if err != nil {
		return err
	}
	return out.close()
}

// erasedName names a file by the one that it was made from, and by the attempt.
func erasedName(f liveFile) string {
	attempt := uuid.New()
	return fmt.Sprintf("erased.%016x.%s.parquet", xxhash.Sum64String(path.Base(f.location)), hex.EncodeToString(attempt[:4]))
}
