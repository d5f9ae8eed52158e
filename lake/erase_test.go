package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
)

// erasedUntil is when the person of these tests was erased: in the middle of what happened.
var erasedUntil = testStart.Add(36 * time.Hour)

// erasedPerson is the ledger after anna was erased, who used the browser anna-phone.
func erasedPerson(sequence int64) *erasure.Ledger {
	key := erasure.NewKey()
	var entries []erasure.Entry
	for _, who := range []struct {
		kind erasure.Kind
		id   string
	}{{erasure.KindUser, "anna"}, {erasure.KindLinked, "anna-phone"}} {
		for _, site := range []string{"default", "demo"} {
			entries = append(entries, erasure.Entry{Site: site, Kind: who.kind, Hash: key.Hash(who.kind, site, who.id), Until: erasedUntil, Erasure: "e1"})
		}
	}
	return erasure.NewLedger(key, sequence, entries)
}

// withAnna makes some rows of a landing hers, some of them after the erasure, and some another user's in her browser.
func withAnna(s sampler, in Landing) Landing {
	name := func(user, browser *string) {
		switch s.IntN(6) {
		case 0:
			*user, *browser = "anna", "anna-phone"
		case 1:
			*user, *browser = "", "anna-phone"
		case 2:
			*user, *browser = "bert", "anna-phone"
		}
	}
	for _, r := range in.Events {
		name(&r.Event.UserID, &r.Event.AnonymousID)
	}
	for _, r := range in.Exposures {
		name(&r.Exposure.UserID, &r.Exposure.AnonymousID)
	}
	return in
}

// erasable lands events and exposures with anna's among them, merges some files and pins a version.
func erasable(t *testing.T, l *Lake, seed uint64) (events, exposures map[Position]bool) {
	t.Helper()
	s := newSampler(seed)
	events, exposures = make(map[Position]bool), make(map[Position]bool)
	ledger := erasedPerson(1)
	land := func(n int) {
		in := withAnna(s, s.landEvents(0, n*40, 40))
		shown := withAnna(s, s.landExposures(0, n*10, 10))
		in.Exposures, in.Fences = shown.Exposures, append(in.Fences, shown.Fences...)
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		for _, r := range in.Events {
			if !ledger.Covers(erasure.EventRow(r.Event)) {
				events[r.At] = true
			}
		}
		for _, r := range in.Exposures {
			if !ledger.Covers(erasure.ExposureRow(r.Exposure)) {
				exposures[r.At] = true
			}
		}
	}
	for n := range 4 {
		land(n)
	}
	pinVersion(t, l, "training")
	compact(t, l)
	for n := range 3 {
		land(4 + n)
	}
	return events, exposures
}

// pinVersion tags the current version of the events, as somebody does who wants to keep it.
func pinVersion(t *testing.T, l *Lake, name string) {
	t.Helper()
	spec, err := specByName(TableEvents)
	if err != nil {
		t.Fatal(err)
	}
	current, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	at := l.catalog.version(current.Metadata(), current.MetadataLocation())
	_, _, err = at.CommitTable(t.Context(), spec.ident(), nil, []table.Update{
		table.NewSetSnapshotRefUpdate(name, current.CurrentSnapshot().SnapshotID, table.TagRef, 0, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
}

// checkErased looks at everything that is on the disk: every row of every data file, every entry of every manifest.
func checkErased(t *testing.T, l *Lake, events, exposures map[Position]bool) {
	t.Helper()
	checkLeft(t, l, events, exposures)
	for _, spec := range personalTables() {
		current, err := l.current(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		checkBounds(t, l, current)
	}
}

// checkLeft looks at every row of every data file. A compaction after an erasure leaves entries of the files that it took the place of,
// as every one does; those have no row of hers any more.
func checkLeft(t *testing.T, l *Lake, events, exposures map[Position]bool) {
	t.Helper()
	got := make(map[Position]bool)
	if err := l.ScanEvents(t.Context(), ScanRequest{}, func(r EventRow) error { got[r.At] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, events) {
		t.Errorf("%d events are left, want %d", len(got), len(events))
	}
	clear(got)
	if err := l.ScanExposures(t.Context(), ScanRequest{}, func(r ExposureRow) error { got[r.At] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, exposures) {
		t.Errorf("%d exposures are left, want %d", len(got), len(exposures))
	}
	for _, spec := range personalTables() {
		checkDisk(t, l, spec)
	}
}

func checkDisk(t *testing.T, l *Lake, spec tableSpec) {
	t.Helper()
	current, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	referred := make(map[string]bool)
	if err := l.referredFiles(t.Context(), current, func(at string, _ bool) error { referred[at] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	ledger := erasedPerson(1)
	columns, err := newIdentities(spec, current.Schema())
	if err != nil {
		t.Fatal(err)
	}
	e := &eraser{lake: l, spec: spec, ledger: ledger, columns: columns}
	listed, err := l.listTable(t.Context(), spec, "")
	if err != nil {
		t.Fatal(err)
	}
	for at, f := range listed {
		switch {
		case strings.HasSuffix(at, ".avro") && !referred[at]:
			t.Errorf("a manifest is left that no version has: %s", at)
		case strings.HasSuffix(at, ".parquet"):
			err := e.eachIdentity(t.Context(), at, f.bytes, func(row erasure.Row, covered bool) error {
				if covered {
					t.Errorf("%s has a row of the erased person: %+v", at, row)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkBounds: a data file of anna's alone would have her name as a bound; the manifests of the current version tell of no
// file that is not in it.
func checkBounds(t *testing.T, l *Lake, current *table.Table) {
	t.Helper()
	manifests, err := currentManifests(t.Context(), current)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifests {
		for entry, err := range m.Entries(icebergFiles{t.Context(), l.files}, false) {
			if err != nil {
				t.Fatal(err)
			}
			if entry.Status() == iceberg.EntryStatusDELETED {
				t.Errorf("a manifest tells of %s, which was removed", entry.DataFile().FilePath())
			}
		}
	}
}

// Nothing of a person is left in any version, file or manifest, whatever pinned it; everything of others is, also what was
// in the same files and the same browser.
func TestErase(t *testing.T) { onEachStore(t, testErase) }

func testErase(t *testing.T, fresh func() Config) {
	l := openLake(t, fresh())
	events, exposures := erasable(t, l, 7)
	if len(events) == 7*40 || len(exposures) == 7*10 {
		t.Fatal("nothing is to be erased")
	}
	before, err := l.Next(t.Context(), TableEvents)
	if err != nil {
		t.Fatal(err)
	}
	done, err := l.Erase(t.Context(), erasedPerson(1))
	if err != nil {
		t.Fatal(err)
	}
	if done[0].Rows != int64(7*40-len(events)) || done[1].Rows != int64(7*10-len(exposures)) {
		t.Errorf("erased %+v, want %d and %d rows", done, 7*40-len(events), 7*10-len(exposures))
	}
	checkErased(t, l, events, exposures)
	after, err := l.Next(t.Context(), TableEvents)
	if err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("the fences have moved from %v to %v (%v)", before, after, err)
	}
	if again, err := l.Erase(t.Context(), erasedPerson(1)); err != nil || again[0].Rows+again[1].Rows != 0 || again[0].Deleted != 0 {
		t.Errorf("a second erasure found %+v (%v)", again, err)
	}
	compact(t, l) // which reads every file
	checkLeft(t, l, events, exposures)
}

// TestEraseKilled kills an erasure at each of its steps; the next one ends it.
func TestEraseKilled(t *testing.T) {
	steps := []string{stepMarked, stepRewritten, stepChangeStaged, stepChanged, stepErased, stepForgotten, stepManifests, stepErasedGone}
	for _, step := range steps {
		for _, at := range []int{1, 2} { // the first table, or later within it
			t.Run(fmt.Sprintf("%s %d", step, at), func(t *testing.T) {
				dir := t.TempDir()
				l := openLakeAt(t, dir)
				events, exposures := erasable(t, l, 11)
				passed := 0
				l.hook = func(s string) error {
					if s == step {
						if passed++; passed >= at {
							return errCrash
						}
					}
					return nil
				}
				// A failed commit may be tried again by the same process; a killed one is not there to do so.
				ctx, kill := context.WithCancel(t.Context())
				hook := l.hook
				l.hook = func(s string) error {
					err := hook(s)
					if err != nil {
						kill()
					}
					return err
				}
				if _, err := l.Erase(ctx, erasedPerson(1)); err == nil {
					t.Fatal("the erasure was not killed")
				}
				kill()
				again := openLakeAt(t, dir)
				if _, err := again.Erase(t.Context(), erasedPerson(1)); err != nil {
					t.Fatal(err)
				}
				checkErased(t, again, events, exposures)
			})
		}
	}
}

// A landing that was on its way with rows from before the erasure cannot bring them back, wherever it stood still.
func TestEraseBesideLanding(t *testing.T) {
	for _, step := range []string{"", stepFilesWritten, stepStaged} {
		t.Run("at "+step, func(t *testing.T) {
			dir := t.TempDir()
			ledger := erasedPerson(1)
			l := openLake(t, Config{Dir: dir, Erased: func(context.Context) (*erasure.Ledger, error) { return ledger, nil }})
			events, exposures := erasable(t, openLakeAt(t, dir), 13)
			eraser := openLakeAt(t, dir)
			erase := func() {
				if _, err := eraser.Erase(t.Context(), ledger); err != nil {
					t.Error(err)
				}
			}
			late := withAnna(newSampler(3), newSampler(5).landEvents(0, 7*40, 60))
			for _, r := range late.Events {
				if !ledger.Covers(erasure.EventRow(r.Event)) {
					events[r.At] = true
				}
			}
			if step == "" {
				erase()
			}
			erased := false
			l.hook = func(s string) error {
				if s == step && !erased {
					erased = true
					erase()
				}
				return nil
			}
			// A file that was written before the mark may be gone; the stream offers its landing again after any error.
			if err := l.Commit(t.Context(), late); err != nil && (step != stepFilesWritten || !errors.Is(err, fs.ErrNotExist)) {
				t.Fatal(err)
			}
			if err := l.Commit(t.Context(), late); err != nil {
				t.Fatal(err)
			}
			checkErased(t, l, events, exposures)
			if next, err := l.Next(t.Context(), TableEvents); err != nil || next[late.Fences[0].Key()].Next != 7*40+60 {
				t.Errorf("the fence stands at %v (%v)", next, err)
			}
		})
	}
}

// Until the rows are gone every scan leaves them out, by rows and by columns; then it costs nothing any more.
func TestScanLeavesErasedOut(t *testing.T) {
	dir := t.TempDir()
	events, exposures := erasable(t, openLakeAt(t, dir), 17)
	ledger := erasedPerson(2)
	l := openLake(t, Config{Dir: dir, Erased: func(context.Context) (*erasure.Ledger, error) { return ledger, nil }})
	check := func() {
		t.Helper()
		got := make(map[Position]bool)
		if err := l.ScanEvents(t.Context(), ScanRequest{}, func(r EventRow) error { got[r.At] = true; return nil }); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got, events) {
			t.Errorf("%d events by rows, want %d", len(got), len(events))
		}
		clear(got)
		for batch, err := range l.Scan(t.Context(), ScanRequest{Table: TableEvents, Columns: []string{"items.item_id", "kafka_partition", "kafka_offset"}}) {
			if err != nil {
				t.Fatal(err)
			}
			for i := range int(batch.NumRows()) {
				got[Position{event.TopicEvents, 1, batch.Column(1).(*array.Int32).Value(i), batch.Column(2).(*array.Int64).Value(i)}] = true
			}
		}
		if !maps.Equal(got, events) {
			t.Errorf("%d events by columns, want %d", len(got), len(events))
		}
		clear(got)
		if err := l.ScanExposures(t.Context(), ScanRequest{}, func(r ExposureRow) error { got[r.At] = true; return nil }); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got, exposures) {
			t.Errorf("%d exposures, want %d", len(got), len(exposures))
		}
	}
	check()
	if _, err := l.Erase(t.Context(), ledger); err != nil {
		t.Fatal(err)
	}
	check()
	p, err := l.plan(t.Context(), ScanRequest{Table: TableEvents})
	if err != nil || p.filter.erased != nil {
		t.Errorf("a clean table is filtered still (%v)", err)
	}
	older := erasure.NewLedger(ledger.Key(), 1, nil)
	l.erased = func(context.Context) (*erasure.Ledger, error) { return older, nil }
	if err := l.Commit(t.Context(), newSampler(1).landEvents(1, 0, 3)); !errors.Is(err, ErrLedgerBehind) {
		t.Errorf("a landing that was filtered by an older ledger gave %v", err)
	}
}

// A file of erased rows that a dead process has left without its end is counted, and does not stop the erasure.
func TestEraseCountsTornFiles(t *testing.T) {
	l := openTestLake(t)
	events, exposures := erasable(t, l, 19)
	torn := filepath.Join(localDir(t, l, eventsSpec(t)), "data", "received_at_day=2026-01-01", "torn.parquet")
	if err := os.MkdirAll(filepath.Dir(torn), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(torn, []byte("PAR1 and not more"), 0o644); err != nil {
		t.Fatal(err)
	}
	done, err := l.Erase(t.Context(), erasedPerson(1))
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(done, func(e Erasure) bool { return e.Table == TableEvents }); done[i].Unreadable != 1 {
		t.Errorf("counted %+v", done[i])
	}
	if err := os.Remove(torn); err != nil {
		t.Fatal(err)
	}
	checkErased(t, l, events, exposures)
}

// A version that an erasure has not dropped yet shows nobody whom the current one does not.
func TestErasedOfOlderVersion(t *testing.T) {
	ledger := (*erasure.Ledger)(nil)
	l := openLake(t, Config{Dir: t.TempDir(), Erased: func(context.Context) (*erasure.Ledger, error) { return ledger, nil }})
	erasable(t, l, 8)
	older := mustLoad(t, l).CurrentSnapshot().SnapshotID
	ledger = erasedPerson(3)
	looked := 0
	l.hook = func(step string) error {
		if step != stepErased || looked > 0 {
			return nil
		}
		return l.ScanEvents(t.Context(), ScanRequest{SnapshotID: older}, func(r EventRow) error {
			if looked++; ledger.Covers(erasure.EventRow(r.Event)) {
				t.Errorf("event %s of an erased person is shown", r.Event.EventID)
			}
			return nil
		})
	}
	if _, err := l.Erase(t.Context(), ledger); err != nil || looked == 0 {
		t.Fatalf("looked at %d rows, %v", looked, err)
	}
	for _, name := range []string{erasedProperty, cleanProperty} {
		if n, err := erasedSequence(mustLoad(t, l).Properties(), name); err != nil || n != 3 {
			t.Errorf("%s is %d, %v", name, n, err)
		}
	}
}
