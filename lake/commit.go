package lake

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/event"
)

// Landing is what a writer has consumed since its last commit: the rows to keep, and how far it has read each partition.
// Rows must lie within the fences; fences without rows are fine (everything was a duplicate). Gaps lie within them too: the
// offsets that no row will ever come from, because the log had lost them.
type Landing struct {
	Events    []EventRow
	Exposures []ExposureRow
	Items     []ItemRow
	Fences    []Fence
	Gaps      []Gap
}

// Steps of a commit at which a test may inject a fault.
const (
	stepFilesWritten = "files written" // data files are durable, nothing refers to them
	stepStaged       = "staged"        // manifests are durable, the transaction is not committed
	stepCommitted    = "committed"     // the catalog has moved, the caller has not been told
)

// maxCommitTries bounds how often a landing that is still welcome starts again because other commits (maintenance, other
// partitions' writers) came first. Each of them made progress, so this is reached only when something else is wrong.
const maxCommitTries = 50

// Commit lands rows and fences exactly once: for each table, the rows and the fences become visible together or not at
// all, and only if the table still stands at Fence.From. It may be repeated with the same landing after any error: what
// has landed before is not landed again. Tables are committed one after the other, events first; each is exactly once
// by itself.
//
// A *FenceMovedError says that another writer has moved the fences; continue from the positions it holds. After any other
// error nothing is known to be lost: call Commit again, or read Next.
func (l *Lake) Commit(ctx context.Context, in Landing) error {
	if err := in.check(); err != nil {
		return err
	}
	l.committing.Lock()
	defer l.committing.Unlock()
	for _, spec := range tables() {
		var fences []Fence
		for _, f := range in.Fences {
			if f.Topic == spec.topic {
				fences = append(fences, f)
			}
		}
		if len(fences) == 0 {
			continue
		}
		if err := l.commitTable(ctx, spec, in, fences); err != nil {
			return fmt.Errorf("commit to lake table %s: %w", spec.name, err)
		}
	}
	return nil
}

// check refuses rows that no fence covers: they would land again.
func (in Landing) check() error {
	fences := make(map[FenceKey]Fence, len(in.Fences))
	for _, f := range in.Fences {
		if _, err := specByTopic(f.Topic); err != nil {
			return err
		}
		if f.From < 0 || f.Next < f.From {
			return fmt.Errorf("fence of %s/%d goes from %d to %d", f.Topic, f.Partition, f.From, f.Next)
		}
		if _, twice := fences[f.Key()]; twice {
			return fmt.Errorf("two fences for %s/%d in one landing", f.Topic, f.Partition)
		}
		fences[f.Key()] = f
	}
	var last Fence // rows of a partition mostly follow each other
	covered := func(at Position, topic string) error {
		if key := (FenceKey{at.Topic, at.Epoch, at.Partition}); key != last.Key() || last.Next == 0 {
			last = fences[key]
		}
		if at.Topic != topic || at.Offset < last.From || at.Offset >= last.Next {
			return fmt.Errorf("row at %s/%d offset %d (epoch %d) is outside the landing's fences", at.Topic, at.Partition, at.Offset, at.Epoch)
		}
		return nil
	}
	for _, g := range in.Gaps {
		f, ok := fences[FenceKey{g.Topic, g.Epoch, g.Partition}]
		if !ok || g.From < f.From || g.To > f.Next || g.From >= g.To {
			return fmt.Errorf("gap of %s/%d from %d to %d (epoch %d) is outside the landing's fences", g.Topic, g.Partition, g.From, g.To, g.Epoch)
		}
	}
	for i := range in.Events {
		if err := covered(in.Events[i].At, event.TopicEvents); err != nil {
			return err
		}
	}
	for i := range in.Exposures {
		if err := covered(in.Exposures[i].At, event.TopicExposures); err != nil {
			return err
		}
	}
	for i := range in.Items {
		if err := covered(in.Items[i].At, event.TopicItems); err != nil {
			return err
		}
	}
	return nil
}

// commitTable lands one table's share. Data files are written once; only the transaction over them repeats. After any
// error the table itself says what has happened: the error of a commit that went through is none.
func (l *Lake) commitTable(ctx context.Context, spec tableSpec, in Landing, fences []Fence) error {
	var files []string // nil until the rows are durable
	var filtered int64 // as of which change of the ledger
	var lastErr error
	for range maxCommitTries {
		t, err := l.current(ctx, spec)
		if err != nil {
			return errors.Join(lastErr, err)
		}
		have, err := readFences(t.Properties())
		if err != nil {
			return errors.Join(lastErr, err)
		}
		switch compareFences(have, fences) {
		case fencesReached:
			return nil
		case fencesMoved:
			return &FenceMovedError{Table: spec.name, Actual: selectFences(have, fences)}
		}
		if lastErr != nil && !errors.Is(lastErr, table.ErrCommitFailed) {
			return lastErr // not a conflict: trying again at once would meet the same full disk
		}
		if again, err := l.filterLanding(ctx, t, &in, &filtered); err != nil {
			return err
		} else if again {
			if err := l.removeUnused(ctx, files); err != nil {
				return err
			}
			files = nil
		}
		if files == nil {
			if files, err = l.writeFiles(ctx, spec, in, fences); err != nil {
				return err
			}
		}
		if lastErr = l.commitOnce(ctx, spec, t, landed{files, fences, in.Gaps}, have); lastErr == nil {
			return nil
		}
	}
	return fmt.Errorf("gave up after %d tries: %w", maxCommitTries, lastErr)
}

// landed is one table's share of a landing, its rows written to files.
type landed struct {
	files  []string
	fences []Fence
	gaps   []Gap // of all tables
}

// commitOnce is one transaction on one version of the table: files, fences and gaps together, or nothing.
func (l *Lake) commitOnce(ctx context.Context, spec tableSpec, t *table.Table, in landed, have map[FenceKey]Fence) error {
	if err := l.at(stepFilesWritten); err != nil {
		return err
	}
	props := make(iceberg.Properties, len(in.fences))
	for _, f := range in.fences {
		key, value := f.property()
		props[key] = value
		have[f.Key()] = f
	}
	remove, err := noteGaps(t.Properties(), props, slices.DeleteFunc(slices.Clone(in.gaps), func(g Gap) bool { return g.Topic != spec.topic }))
	if err != nil {
		return err
	}
	tx := t.NewTransaction()
	// The pin turns off the library's own silent retry on a newer snapshot.
	if err := tx.AssertRefSnapshotID(table.MainBranch); err != nil {
		return fmt.Errorf("pin snapshot: %w", err)
	}
	if len(in.files) > 0 {
		summary, err := summarizeFences(have)
		if err != nil {
			return err
		}
		// Duplicates are ignored because looking for them reads every manifest; names are used once, and the fence decides.
		if err := tx.AddFiles(ctx, in.files, iceberg.Properties{fencesSummary: summary}, true); err != nil {
			return fmt.Errorf("add files: %w", err)
		}
	}
	if err := tx.SetProperties(props); err != nil {
		return fmt.Errorf("set fences: %w", err)
	}
	if len(remove) > 0 {
		if err := tx.RemoveProperties(remove); err != nil {
			return fmt.Errorf("remove old gaps: %w", err)
		}
	}
	if err := l.at(stepStaged); err != nil {
		return err
	}
	done, err := tx.Commit(ctx)
	if err != nil {
		return err
	}
	if err := l.at(stepCommitted); err != nil {
		return err
	}
	l.drop(spec, t, done)
	l.remember(spec, pin(l.catalog, l.files, spec.ident(), done.Metadata(), done.MetadataLocation()))
	return nil
}

func (l *Lake) at(step string) error {
	if l.hook == nil {
		return nil
	}
	return l.hook(step)
}

func selectFences(have map[FenceKey]Fence, of []Fence) map[FenceKey]Fence {
	out := make(map[FenceKey]Fence, len(of))
	for _, f := range of {
		if real, ok := have[f.Key()]; ok {
			out[f.Key()] = real
		}
	}
	return out
}

// dataLocation is that of a data file; day is YYYY-MM-DD.
func (l *Lake) dataLocation(spec tableSpec, day, name string) string {
	return l.files.location(Namespace, spec.name, "data", spec.day+"_day="+day, name)
}

// fileName names a data file by its input: the first partition's range for people, a hash over all ranges, and a suffix
// of the attempt, because two processes that both believe they own a partition must not write to one name.
func fileName(fences []Fence) string {
	fences = slices.Clone(fences)
	slices.SortFunc(fences, func(a, b Fence) int { return compareFenceKeys(a.Key(), b.Key()) })
	sum := xxhash.New()
	for _, f := range fences {
		fmt.Fprintf(sum, "%d.%s.%d:%d-%d;", f.Epoch, f.Topic, f.Partition, f.From, f.Next)
	}
	first := fences[0]
	attempt := uuid.New()
	return fmt.Sprintf("%d.%s.%d-%d-%d.%dp.%016x.%s.parquet",
		first.Epoch, first.Topic, first.Partition, first.From, first.Next, len(fences), sum.Sum64(), hex.EncodeToString(attempt[:4]))
}
