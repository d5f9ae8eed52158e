package lake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// tornWindow is how long before a table's last commit a file may have been written that a power cut can have torn, although it
// was synced: disks that acknowledge what they only hold in their cache write it within seconds. Files that are younger are read
// whole when a writer opens the lake, which takes about a tenth of the time that writing them took.
const tornWindow = time.Minute

// ErrTorn means that the newest version of a table is not whole: a power cut, or a faulty disk, took part of a file.
var ErrTorn = errors.New("the newest version of the table is not whole")

// SetBack tells of a table that was set back to its newest version that is whole. Its fences went with it, so what Kafka still
// has of the rows that were lost lands again, and the rest is noted as gaps.
type SetBack struct {
	Table string
	Why   error  // what is wrong with the version that was given up
	From  string // name of its metadata file
	To    string // name of that of the version in force
	Rows  int64  // that the version in force has
}

// setBackProperty names the metadata file of the version that was given up when the table was set back last.
const setBackProperty = "millrace.set-back"

// maxSetBack is how far a table is set back, by the times of its versions. A power cut does not reach farther, and what was given up
// lands again: Kafka keeps an hour at the least. Where even older versions are not whole they share a file that was lost later, and
// going back until they do not might leave nothing.
const maxSetBack = 30 * time.Minute

// ensureWhole checks the newest version of a table and sets the table back if that is torn.
func (l *Lake) ensureWhole(ctx context.Context, spec tableSpec, tell func(SetBack)) error {
	var lastErr error
	for range maxLoadTries {
		at, err := l.catalog.pointer(ctx, spec.ident())
		if err != nil {
			return err
		}
		t, why := l.wholeVersion(ctx, spec, at, false)
		if why == nil || !broken(ctx, why) {
			return why
		}
		now, err := l.catalog.pointer(ctx, spec.ident())
		if err != nil {
			return err
		}
		lastErr = why
		if now != at {
			continue // another process has moved the table, and deleted what was looked at here
		}
		if lastErr = l.fallBack(ctx, spec, at, t, why, tell); !errors.Is(lastErr, table.ErrCommitFailed) {
			return lastErr
		}
	}
	return fmt.Errorf("%w: gave up after looking %d times, because other processes commit to it; stop them and start this one first: %w", ErrTorn, maxLoadTries, lastErr)
}

// fallBack sets a table back to the newest whole version before a torn one, which is nil where not even its metadata can be read.
func (l *Lake) fallBack(ctx context.Context, spec tableSpec, at string, torn *table.Table, why error, tell func(SetBack)) error {
	older, err := l.olderVersions(ctx, spec, at)
	if err != nil {
		return errors.Join(why, err)
	}
	newest := torn
	for _, to := range older {
		t, err := l.wholeVersion(ctx, spec, to, true)
		if newest == nil {
			newest = t
		}
		if broken(ctx, err) {
			if t != nil && newest.Metadata().LastUpdatedMillis()-t.Metadata().LastUpdatedMillis() > maxSetBack.Milliseconds() {
				return fmt.Errorf("%w: %w. Its version of %s is not whole either, and a power cut does not reach so far back: restore the files that "+
					"are missing or damaged from a backup; nothing was changed", ErrTorn, why, time.UnixMilli(t.Metadata().LastUpdatedMillis()).UTC().Format(time.RFC3339))
			}
			continue
		}
		if err == nil {
			err = l.setBack(ctx, spec, at, torn, t)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%w: %w", ErrTorn, why), err)
		}
		tell(SetBack{Table: spec.name, Why: why, From: path.Base(at), To: path.Base(to), Rows: tableRows(t.CurrentSnapshot())})
		return nil
	}
	return fmt.Errorf("%w: %w, and none of the %d versions before it is whole; restore the table from a backup", ErrTorn, why, len(older))
}

// setBack makes an older version current in place of a torn one, but for three things: older snapshots whose manifests were deleted
// since are forgotten, an erasure that only the torn version may have known has its mark, and so do epochs that it had closed.
func (l *Lake) setBack(ctx context.Context, spec tableSpec, at string, torn, to *table.Table) error {
	props := iceberg.Properties{setBackProperty: path.Base(at)}
	ledger, err := l.ledger(ctx)
	if err != nil {
		return err
	}
	mark, err := erasedSequence(to.Properties(), erasedProperty)
	if err != nil {
		return err
	}
	if spec.people && ledger.Sequence() > mark {
		props[erasedProperty] = strconv.FormatInt(ledger.Sequence(), 10)
	}
	if torn != nil {
		if err := setBackFences(torn.Properties(), to.Properties(), props); err != nil {
			return err
		}
	}
	updates := []table.Update{table.NewSetPropertiesUpdate(props)}
	gone, err := l.unreadable(ctx, to)
	if err != nil {
		return err
	}
	if len(gone) > 0 {
		updates = append(updates, table.NewRemoveSnapshotsUpdate(gone, false))
	}
	next, err := table.UpdateTableMetadata(to.Metadata(), updates, to.MetadataLocation())
	if err != nil {
		return fmt.Errorf("set back to %s: %w", path.Base(to.MetadataLocation()), err)
	}
	return l.catalog.setBack(ctx, spec.ident(), at, next)
}

// setBackFences adds to props the fences that an older version lacks: partitions that are new since begin where their log does, also
// for a writer that is further on, and an epoch that was closed since is closed where the older version stands in it.
func setBackFences(torn, to, props iceberg.Properties) error {
	have, err := readFences(torn)
	if err != nil {
		return err
	}
	back, err := readFences(to)
	if err != nil {
		return err
	}
	put := func(f Fence) {
		name, value := f.property()
		back[f.Key()], props[name] = f, value
	}
	for _, key := range slices.SortedFunc(maps.Keys(have), compareFenceKeys) { // epoch by epoch
		at, known := back[key]
		at.Topic, at.Epoch, at.Partition = key.Topic, key.Epoch, key.Partition
		if have[key].Next == ClosedEpoch && at.Next != ClosedEpoch {
			next := at
			next.Epoch, at.Next, at.Hash = at.Epoch+1, ClosedEpoch, 0
			put(next)
			put(at)
		} else if !known {
			put(at)
		}
	}
	return nil
}

// unreadable lists the snapshots of a version, but for its current one, whose manifests are not there any more.
func (l *Lake) unreadable(ctx context.Context, t *table.Table) (gone []int64, err error) {
	for _, s := range t.Metadata().Snapshots() {
		if s.SnapshotID == t.CurrentSnapshot().SnapshotID {
			continue
		}
		err := manifestEntries(ctx, l.files, &s, func(iceberg.DataFile, int64) error { return nil })
		if err != nil && !broken(ctx, err) {
			return nil, err
		}
		if err != nil {
			gone = append(gone, s.SnapshotID)
		}
	}
	return gone, nil
}

// wholeVersion reads a version of a table by the location of its metadata: that, its manifests, and the data files that came last.
// Of an older version it also wants the other files to be there: maintenance may have deleted them since.
func (l *Lake) wholeVersion(ctx context.Context, spec tableSpec, at string, older bool) (*table.Table, error) {
	t, err := table.NewFromLocation(ctx, spec.ident(), at, forIceberg(l.files), l.catalog.version(nil, at))
	if err != nil && l.wholeText(ctx, at) {
		err = fmt.Errorf("%w: %w", errUnsupported, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read metadata %s: %w", path.Base(at), err)
	}
	current := t.CurrentSnapshot()
	if current == nil {
		return t, nil
	}
	young := make(map[int64]bool)
	for _, s := range t.Metadata().Snapshots() {
		young[s.SnapshotID] = s.TimestampMs >= current.TimestampMs-tornWindow.Milliseconds()
	}
	return t, manifestEntries(ctx, l.files, current, func(f iceberg.DataFile, broughtBy int64) error {
		var err error
		switch {
		case young[broughtBy]:
			err = checkData(ctx, l.files, f.FilePath(), f.FileSizeBytes(), f.Count())
		case older:
			err = checkSize(ctx, l.files, f.FilePath(), f.FileSizeBytes())
		}
		if err != nil && !errors.Is(err, errUnsupported) { // of which scans tell; landing need not care
			return fmt.Errorf("read data file %s: %w", f.FilePath(), err)
		}
		return nil
	})
}

// wholeText reports whether a file of metadata is JSON to its end: where it cannot be read all the same nothing has torn it.
func (l *Lake) wholeText(ctx context.Context, at string) bool {
	text, err := readFile(ctx, l.files, at)
	return err == nil && json.Valid(text)
}

// olderVersions are the locations of the metadata of the versions before one, the newest first. A version that was written by a
// commit which then was refused is among them: it is a version like any other, with rows and fences that belong together.
func (l *Lake) olderVersions(ctx context.Context, spec tableSpec, than string) ([]string, error) {
	limit, err := metadataNumber(than)
	if err != nil {
		return nil, err
	}
	files, err := l.listTable(ctx, spec, "metadata")
	if err != nil {
		return nil, err
	}
	numbers := make(map[string]int)
	for at := range files {
		if !strings.HasSuffix(at, ".metadata.json") {
			continue
		}
		if n, err := metadataNumber(at); err == nil && n < limit {
			numbers[at] = n
		}
	}
	var out []string
	for at := range numbers {
		out = append(out, at)
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(numbers[b], numbers[a]), strings.Compare(a, b)) })
	return out, nil
}
