package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Version is a snapshot of a table that can be read and gone back to.
type Version struct {
	SnapshotID  int64     `json:"snapshot_id"`
	CommittedAt time.Time `json:"committed_at"`
	Operation   string    `json:"operation"` // append, replace, overwrite or delete
	Rows        int64     `json:"rows"`
	Files       int64     `json:"files"`
	Current     bool      `json:"current"`
}

// Versions lists the versions of a table, the oldest first.
func (l *Lake) Versions(ctx context.Context, tableName string) ([]Version, error) {
	spec, err := specByName(tableName)
	if err != nil {
		return nil, err
	}
	t, err := l.current(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("list versions of %s: %w", tableName, err)
	}
	out := []Version{}
	for _, s := range t.Metadata().Snapshots() {
		out = append(out, versionOf(&s, s.SnapshotID == t.CurrentSnapshot().SnapshotID))
	}
	return out, nil
}

func versionOf(s *table.Snapshot, current bool) Version {
	v := Version{
		SnapshotID: s.SnapshotID, CommittedAt: time.UnixMilli(s.TimestampMs).UTC(), Rows: tableRows(s), Files: summaryCount(s, "total-data-files"), Current: current,
	}
	if s.Summary != nil {
		v.Operation = string(s.Summary.Operation)
	}
	return v
}

// Rollback is what going back has done to a table.
type Rollback struct {
	Table string       `json:"table"`
	From  Version      `json:"from"`        // what was current
	To    Version      `json:"to"`          // whose rows are current again
	Made  int64        `json:"snapshot_id"` // by which that was done
	Moved []MovedFence `json:"moved"`       // the partitions whose records land again
}

// MovedFence is a partition that goes on landing from another offset.
type MovedFence struct {
	Topic     string `json:"topic"`
	Epoch     int64  `json:"epoch"`
	Partition int32  `json:"partition"`
	Was       int64  `json:"was"`
	Next      int64  `json:"next"` // 0 where the version had nothing of the partition: landing begins where the log does
}

// Why a table does not go back.
var (
	// ErrNoVersion means that a table has no such snapshot.
	ErrNoVersion = errors.New("the table has no such version")
	// ErrNoPositions means that a version does not say how far it had landed.
	ErrNoPositions = errors.New("the version does not say how far it had landed")
	// ErrEpochOver means that the topic has been given more partitions since.
	ErrEpochOver = errors.New("the topic has been given more partitions since that version")
)

// Rollback makes the rows of an older snapshot current again, and with them the positions up to which they had landed: what Kafka
// still has of the records behind them lands again, from where its writers are told to go on. It is a new snapshot with the files
// of the older one, so that it can be undone the same way. The mark of erasures stays. The caller holds MaintenanceLease.
func (l *Lake) Rollback(ctx context.Context, tableName string, snapshot int64) (Rollback, error) {
	spec, err := specByName(tableName)
	if err != nil {
		return Rollback{}, err
	}
	l.committing.Lock()
	defer l.committing.Unlock()
	var lastErr error
	for range maxCommitTries {
		done, err := l.rollbackOnce(ctx, spec, snapshot)
		if err == nil {
			return done, nil
		}
		if !errors.Is(err, table.ErrCommitFailed) {
			return done, fmt.Errorf("roll back lake table %s: %w", spec.name, err)
		}
		lastErr = err
	}
	return Rollback{}, fmt.Errorf("roll back lake table %s: gave up after %d tries: %w", spec.name, maxCommitTries, lastErr)
}

func (l *Lake) rollbackOnce(ctx context.Context, spec tableSpec, snapshot int64) (Rollback, error) {
	t, err := l.current(ctx, spec)
	if err != nil {
		return Rollback{}, err
	}
	to := t.SnapshotByID(snapshot)
	if to == nil {
		return Rollback{}, fmt.Errorf("%w: %d; `millrace lake rollback --table %s` without --to lists those that it has", ErrNoVersion, snapshot, spec.name)
	}
	// Its files must all be there: a version whose files maintenance has deleted would be current and unreadable.
	err = manifestEntries(ctx, l.files, to, func(f iceberg.DataFile, _ int64) error {
		return checkSize(ctx, l.files, f.FilePath(), f.FileSizeBytes())
	})
	if err != nil {
		return Rollback{}, fmt.Errorf("version %d is not whole: %w", snapshot, err)
	}
	props, err := l.propertiesAt(ctx, t, to)
	if err != nil {
		return Rollback{}, err
	}
	set, remove, err := rollbackProperties(t.Properties(), props)
	if err != nil {
		return Rollback{}, err
	}
	next, err := rollbackSnapshot(t.Metadata(), to, set)
	if err != nil {
		return Rollback{}, err
	}
	updates := []table.Update{
		table.NewAddSnapshotUpdate(next), table.NewSetSnapshotRefUpdate(table.MainBranch, next.SnapshotID, table.BranchRef, 0, 0, 0), table.NewSetPropertiesUpdate(set),
	}
	if len(remove) > 0 {
		updates = append(updates, table.NewRemovePropertiesUpdate(remove))
	}
	meta, at, err := l.catalog.version(t.Metadata(), t.MetadataLocation()).CommitTable(ctx, spec.ident(), nil, updates)
	if err != nil {
		return Rollback{}, err
	}
	after := pin(l.catalog, l.files, spec.ident(), meta, at)
	l.drop(spec, t, after)
	l.remember(spec, after)
	return describeRollback(spec, t, to, next.SnapshotID, after)
}

// propertiesAt are the properties that a table had when a snapshot was its current one: those of the newest version of the metadata
// that says so, or, where that is not kept any more, what the snapshot itself repeats of them.
func (l *Lake) propertiesAt(ctx context.Context, t *table.Table, s *table.Snapshot) (iceberg.Properties, error) {
	var files []string
	for entry := range t.Metadata().PreviousFiles() {
		files = append(files, entry.MetadataFile)
	}
	if t.CurrentSnapshot().SnapshotID == s.SnapshotID {
		return t.Properties(), nil
	}
	for i := len(files) - 1; i >= 0; i-- {
		text, err := readFile(ctx, l.files, files[i])
		if err != nil {
			break // those before it were deleted earlier
		}
		meta, err := table.ParseMetadataBytes(text)
		if err != nil {
			return nil, fmt.Errorf("read metadata %s: %w", path.Base(files[i]), err)
		}
		if current := meta.CurrentSnapshot(); current != nil && current.SnapshotID == s.SnapshotID {
			return meta.Properties(), nil
		}
	}
	return summarizedFences(s)
}

// summarizedFences are the fences that the summary of a snapshot repeats, without hashes.
func summarizedFences(s *table.Snapshot) (iceberg.Properties, error) {
	text := ""
	if s.Summary != nil {
		text = s.Summary.Properties[fencesSummary]
	}
	if text == "" {
		return nil, fmt.Errorf("%w: snapshot %d has no %s in its summary, and the metadata of its time is gone; choose a version beside it", ErrNoPositions, s.SnapshotID, fencesSummary)
	}
	var logs map[string]map[string]int64
	if err := json.Unmarshal([]byte(text), &logs); err != nil {
		return nil, fmt.Errorf("read positions of snapshot %d: %w", s.SnapshotID, err)
	}
	props := iceberg.Properties{}
	for log, partitions := range logs {
		for partition, next := range partitions {
			props[fencePrefix+log+"."+partition] = fmt.Sprintf("%d:%016x", next, 0)
		}
	}
	return props, nil
}

// rollbackProperties are the changes that bring the positions of a table from now to those of then. Gaps that lie behind these go,
// because who lands there again finds them again. Rows of then were looked through for erased people no later than then.
func rollbackProperties(now, then iceberg.Properties) (set iceberg.Properties, remove []string, err error) {
	current, err := readFences(now)
	if err != nil {
		return nil, nil, err
	}
	older, err := readFences(then)
	if err != nil {
		return nil, nil, err
	}
	set = iceberg.Properties{}
	for key, f := range current {
		back, known := older[key]
		switch {
		case f.Next == ClosedEpoch && known && back.Next != ClosedEpoch, f.Next != ClosedEpoch && known && back.Next == ClosedEpoch:
			return nil, nil, fmt.Errorf("%w: epoch %d of %s is over", ErrEpochOver, key.Epoch, key.Topic)
		case f.Next == ClosedEpoch:
		case !known && opensGrown(current, key):
			return nil, nil, fmt.Errorf("%w: epoch %d of %s", ErrEpochOver, key.Epoch, key.Topic)
		case !known: // from the log's start; without a fence a writer that is further on would land there, and leave a hole
			name, value := Fence{Topic: key.Topic, Epoch: key.Epoch, Partition: key.Partition}.property()
			set[name] = value
		default:
			name, value := back.property()
			set[name] = value
		}
	}
	for key, f := range older { // given up by a rollback that is undone
		if _, known := current[key]; !known {
			name, value := f.property()
			set[name] = value
		}
	}
	gaps, err := readGaps(now)
	if err != nil {
		return nil, nil, err
	}
	for _, g := range gaps {
		f := older[FenceKey{g.Topic, g.Epoch, g.Partition}]
		if name, _ := g.property(); g.To > f.Next {
			remove = append(remove, name)
		}
	}
	if clean, ok := then[cleanProperty]; ok {
		set[cleanProperty] = clean
	} else if _, ok := now[cleanProperty]; ok {
		remove = append(remove, cleanProperty)
	}
	return set, remove, nil
}

// opensGrown reports whether the epoch of a partition began because that before it was closed, and not with a new log.
func opensGrown(fences map[FenceKey]Fence, key FenceKey) bool {
	for other, f := range fences {
		if other.Topic == key.Topic && other.Epoch < key.Epoch && f.Next == ClosedEpoch {
			return true
		}
	}
	return false
}

// rollbackSnapshot is a snapshot with the files of an older one, and what the older one says of positions.
func rollbackSnapshot(meta table.Metadata, older *table.Snapshot, positions iceberg.Properties) (*table.Snapshot, error) {
	fences, err := readFences(positions)
	if err != nil {
		return nil, err
	}
	next := snapshotLike(meta, older, meta.CurrentSchema().ID, table.OpOverwrite)
	next.Summary.Properties[fencesSummary], err = summarizeFences(fences)
	return next, err
}

func describeRollback(spec tableSpec, before *table.Table, to *table.Snapshot, made int64, after *table.Table) (Rollback, error) {
	out := Rollback{Table: spec.name, From: versionOf(before.CurrentSnapshot(), false), To: versionOf(to, false), Made: made, Moved: []MovedFence{}}
	have, err := readFences(before.Properties())
	if err != nil {
		return out, err
	}
	now, err := readFences(after.Properties())
	if err != nil {
		return out, err
	}
	for _, key := range slices.SortedFunc(maps.Keys(have), compareFenceKeys) {
		if was, next := have[key].Next, now[key].Next; was != next {
			out.Moved = append(out.Moved, MovedFence{Topic: key.Topic, Epoch: key.Epoch, Partition: key.Partition, Was: was, Next: next})
		}
	}
	return out, nil
}
