package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/millrace/millrace/internal/event"
)

// manyFiles lands events and exposures in so many commits a day, over three days, two partitions in turn.
func manyFiles(t *testing.T, l *Lake, s sampler, commits int) {
	t.Helper()
	for day := range 3 {
		for n := range commits {
			commit := day*commits + n
			in := s.landEvents(int32(commit%2), commit/2*10, 10)
			shown := s.landExposures(int32(commit%2), commit/2*4, 4)
			changed := s.landItems(int32(commit%2), commit/2*2, 2)
			in.Exposures, in.Items, in.Fences = shown.Exposures, changed.Items, slices.Concat(in.Fences, shown.Fences, changed.Fences)
			inDay(in, testStart.AddDate(0, 0, day))
			if err := l.Commit(t.Context(), in); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func inDay(in Landing, at time.Time) {
	for _, r := range in.Events {
		r.Event.ReceivedAt = at
	}
	for _, r := range in.Exposures {
		r.Exposure.ServedAt = at
	}
	for _, r := range in.Items {
		r.Item.UpdatedAt = at
	}
}

func compact(t *testing.T, l *Lake) map[string]Compaction {
	t.Helper()
	done, err := l.Compact(t.Context(), CompactRequest{})
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]Compaction)
	for _, c := range done {
		out[c.Table] = c
	}
	return out
}

// A compacted lake has the same rows, fences and properties in few sorted files, and its older versions stay readable.
func TestCompact(t *testing.T) {
	l, s := openTestLake(t), newSampler(41)
	manyFiles(t, l, s, classFiles+2)
	before, infoBefore := lakeFigures(t, l), infoOf(t, l)
	fences, err := l.Next(t.Context(), TableEvents)
	if err != nil {
		t.Fatal(err)
	}
	done := compact(t, l)
	if after := lakeFigures(t, l); !reflect.DeepEqual(after, before) {
		t.Errorf("the rows were\n%+v and are\n%+v", before, after)
	}
	for name, info := range infoOf(t, l) {
		if info.Files != 3 || info.Rows != infoBefore[name].Rows {
			t.Errorf("%s has %d files and %d rows, want one file a day and %d rows", name, info.Files, info.Rows, infoBefore[name].Rows)
		}
		if info.Bytes >= infoBefore[name].Bytes {
			t.Errorf("%s has %d bytes, had %d", name, info.Bytes, infoBefore[name].Bytes)
		}
		got := done[name]
		if got.FilesRead != 3*(classFiles+2) || got.FilesWritten != 3 || got.Rows != info.Rows || got.Duplicates != 0 || got.FilesBefore != 3*(classFiles+2) || got.FilesAfter != 3 {
			t.Errorf("%s: done %+v", name, got)
		}
		if got.Manifests == 0 || got.Manifests > manifestsWorthMerging {
			t.Errorf("%s has %d manifests", name, got.Manifests)
		}
	}
	if now, err := l.Next(t.Context(), TableEvents); err != nil || !maps.Equal(now, fences) {
		t.Errorf("fences %v, error %v, want %v", now, err, fences)
	}
	if n := countEvents(t, l, ScanRequest{SnapshotID: infoBefore[TableEvents].SnapshotID}); n != int(infoBefore[TableEvents].Rows) {
		t.Errorf("%d rows in the version before, want %d", n, infoBefore[TableEvents].Rows)
	}
	checkSorted(t, l, eventsSpec(t), eventOrder)
	if again := compact(t, l)[TableEvents]; again.FilesRead != 0 {
		t.Errorf("a second compaction did %+v", again)
	}
	next := s.landEvents(0, 3*(classFiles+2)/2*10, 5)
	if err := l.Commit(t.Context(), next); err != nil {
		t.Errorf("landing after the compaction: %v", err)
	}
}

func infoOf(t *testing.T, l *Lake) map[string]TableInfo {
	t.Helper()
	tables, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]TableInfo)
	for _, info := range tables {
		out[info.Name] = info
	}
	return out
}

// The history of the catalogue is merged like the rest, item by item, and nothing of it is a duplicate; retention leaves it alone.
func TestCompactItems(t *testing.T) {
	l, s := openLake(t, Config{Dir: t.TempDir(), Retention: Retention{EventDays: 1, ExposureDays: 1}}), newSampler(44)
	for n := range classFiles + 2 {
		in := s.landItems(0, n*10, 10)
		for i, r := range in.Items {
			r.Item.UpdatedAt = testStart.Add(time.Duration(n) * time.Second)
			r.Item.Revision = int64(i % 2) // some of two writers at once
		}
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if done := compact(t, l)[TableItems]; done.FilesRead != classFiles+2 || done.Duplicates != 0 {
		t.Errorf("done %+v", done)
	}
	spec, err := specByName(TableItems)
	if err != nil {
		t.Fatal(err)
	}
	checkSorted(t, l, spec, itemOrder)
	if err := l.Commit(t.Context(), func() Landing {
		in := s.landItems(0, 10*(classFiles+2), 1)
		in.Items[0].Item.UpdatedAt = testStart.AddDate(1, 0, 0)
		return in
	}()); err != nil {
		t.Fatal(err)
	}
	if err := l.Maintain(t.Context(), testStart.AddDate(1, 0, 1)); err != nil {
		t.Fatal(err)
	}
	n := 0
	err = l.ScanItems(t.Context(), ScanRequest{}, func(ItemRow) error { n++; return nil })
	if err != nil || n != 10*(classFiles+2)+1 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// checkSorted reads every data file and compares the order of its rows, and that the table says so.
func checkSorted[Row any](t *testing.T, l *Lake, spec tableSpec, order *rowOrder[Row]) {
	t.Helper()
	current, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := currentManifests(t.Context(), current)
	if err != nil {
		t.Fatal(err)
	}
	if sum := current.CurrentSnapshot().Summary; sum.Operation != table.OpReplace {
		t.Errorf("the newest version was made by %q", sum.Operation)
	}
	for _, m := range manifests {
		for entry, err := range m.Entries(icebergFiles{t.Context(), l.files}, true) {
			if err != nil {
				t.Fatal(err)
			}
			f := entry.DataFile()
			if id := f.SortOrderID(); id == nil || *id != current.SortOrder().OrderID() || *id == 0 {
				t.Errorf("%s does not say how it is sorted", f.FilePath())
			}
			var last *Row
			own := func(row *Row) (*Row, error) { owned := *row; return &owned, nil }
			err := scanFile(t.Context(), l.files, plannedFile{location: f.FilePath(), bytes: f.FileSizeBytes()}, own, func(row *Row) error {
				if last != nil && order.byTime(last, row) >= 0 {
					return fmt.Errorf("%+v stands before %+v", order.at(last), order.at(row))
				}
				last = row
				return nil
			})
			if err != nil {
				t.Errorf("%s: %v", f.FilePath(), err)
			}
		}
	}
}

// Of the copies of an event the one that came first stays, whatever time they tell and however they fell on files; events
// of other profiles, sites or origins with its id are no copies.
func TestCompactDropsDuplicates(t *testing.T) {
	l, s := openTestLake(t), newSampler(42)
	user := func(e *event.Event) { e.AnonymousID, e.UserID = "", "u" }
	kinds := []struct {
		name   string
		change func(first, second *event.Event)
		copies bool
	}{
		{"of a browser", func(_, _ *event.Event) {}, true},
		{"that tells an earlier time", func(_, second *event.Event) { second.OccurredAt = second.OccurredAt.Add(-time.Hour) }, true},
		{"of a user", func(first, second *event.Event) { user(first); user(second) }, true},
		{"of nobody", func(first, second *event.Event) {
			first.AnonymousID, first.UserID, second.AnonymousID, second.UserID = "", "", "", ""
		}, true},
		{"of a browser that signed in", func(_, second *event.Event) { second.UserID = "u" }, true},
		{"of another browser", func(_, second *event.Event) { second.AnonymousID = "b" }, false},
		{"on another site", func(_, second *event.Event) { second.Site = "demo" }, false},
		{"imported", func(_, second *event.Event) { second.Source = event.SourceImport }, false},
	}
	want := map[int64]bool{} // offsets that stay
	for i := range 2 * len(kinds) {
		in := s.landEvents(0, i, 1)
		e, kind := in.Events[0].Event, kinds[i%len(kinds)]
		*e = event.Event{
			EventID: fmt.Sprint("id-", i%len(kinds)), Site: "default", Type: event.ViewItem, OccurredAt: testStart, ReceivedAt: testStart, AnonymousID: "a",
		}
		if i >= len(kinds) {
			kind.change(new(event.Event), e)
		} else {
			kind.change(e, new(event.Event))
		}
		want[int64(i)] = i < len(kinds) || !kind.copies
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	done := compact(t, l)[TableEvents]
	got := map[int64]bool{}
	if err := l.ScanEvents(t.Context(), ScanRequest{}, func(r EventRow) error { got[r.At.Offset] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	dropped := int64(0)
	for offset, stays := range want {
		if got[offset] != stays {
			t.Errorf("event %d, a copy %s, stays: %t", offset, kinds[int(offset)%len(kinds)].name, got[offset])
		}
		if !stays {
			dropped++
		}
	}
	if done.Duplicates != dropped {
		t.Errorf("%d duplicates reported, want %d", done.Duplicates, dropped)
	}
}

// A sorter that has to write runs and to merge them in rounds gives what sorting in memory gives.
func TestSorterRuns(t *testing.T) {
	s := newSampler(43)
	dir := t.TempDir()
	sorted := newSorter(dir, 8<<10, eventOrder.byTime)
	var want []eventRow
	for _, r := range s.landEvents(0, 0, 5000).Events {
		row := new(eventRow)
		if err := row.fill(r); err != nil {
			t.Fatal(err)
		}
		if row.Props == nil {
			row.Props = map[string]string{}
		}
		want = append(want, *row)
		if err := sorted.add(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	if len(sorted.levels) < 3 {
		t.Fatalf("%d levels of runs", len(sorted.levels))
	}
	for _, level := range sorted.levels {
		if len(level) >= sortFanIn {
			t.Errorf("%d runs are open in one level", len(level))
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%d files have a name, error %v", len(left), err)
	}
	slices.SortFunc(want, func(a, b eventRow) int { return eventOrder.byTime(&a, &b) })
	i := 0
	err := sorted.each(t.Context(), func(row *eventRow) error {
		if !reflect.DeepEqual(*row, want[i]) {
			return fmt.Errorf("row %d is\n%+v, want\n%+v", i, *row, want[i])
		}
		i++
		return nil
	})
	if err != nil || i != len(want) {
		t.Errorf("%d rows, error %v", i, err)
	}
}

// Files of a size meet files of their size while their day is running, and all small ones when it is over.
func TestPlanCompaction(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	files := func(day int32, n int, bytes int64) []liveFile {
		out := make([]liveFile, n)
		for i := range out {
			out[i] = liveFile{location: fmt.Sprintf("%d-%d-%04d", day, bytes, i), day: day, bytes: bytes}
		}
		return out
	}
	for name, tc := range map[string]struct {
		files []liveFile
		jobs  []int // files of each
	}{
		"nothing":                  {nil, nil},
		"too few":                  {files(7, classFiles-1, kib), nil},
		"enough":                   {files(7, classFiles, kib), []int{classFiles}},
		"enough, of two sizes":     {append(files(7, classFiles-1, kib), files(7, classFiles-1, 4*mib)...), nil},
		"of a past day":            {append(files(6, 2, kib), files(7, 1, kib)...), []int{2}},
		"one of a past day":        {append(files(6, 1, kib), files(7, 1, kib)...), nil},
		"of two sizes, a past day": {append(append(files(6, 3, kib), files(6, 3, 4*mib)...), files(7, 1, kib)...), []int{6}},
		"large ones":               {append(files(6, 9, compactedBytes), files(7, 99, compactedBytes)...), nil},
		"more than a job":          {files(7, 2*classFiles, 16*mib), []int{16, 16}},
		"more than a job holds":    {files(7, jobFiles+10, kib), []int{jobFiles, 10}},
		"a past day, even halves":  {append(files(6, 4, 100*mib), files(7, 1, kib)...), []int{2, 2}},
	} {
		var got []int
		for _, job := range planCompaction(tc.files) {
			got = append(got, len(job))
			bytes := int64(0)
			for _, f := range job {
				bytes += f.bytes
				if f.day != job[0].day {
					t.Errorf("%s: a job has files of two days", name)
				}
			}
			if bytes > jobBytes+compactedBytes {
				t.Errorf("%s: a job has %d bytes", name, bytes)
			}
		}
		if !slices.Equal(got, tc.jobs) {
			t.Errorf("%s: jobs of %v files, want %v", name, got, tc.jobs)
		}
	}
}

// A version that does not know a column leaves the table alone, or the column would be lost.
func TestCompactRefusesNewerColumns(t *testing.T) {
	l, s := openTestLake(t), newSampler(44)
	for i := range classFiles {
		in := s.landEvents(0, i, 1)
		inDay(in, testStart)
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if err := addMood(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Compact(t.Context(), CompactRequest{Table: TableEvents}); !errors.Is(err, errNewerColumns) {
		t.Errorf("error %v", err)
	}
}

// A job whose input another process has replaced meanwhile is given up; nothing doubles.
func TestCompactInputsGone(t *testing.T) {
	l, s := openTestLake(t), newSampler(45)
	manyFiles(t, l, s, classFiles)
	before := lakeFigures(t, l)
	other := openLakeAt(t, l.scratch)
	met := false
	l.hook = func(step string) error {
		if step == stepMerged && !met {
			met = true
			_, err := other.Compact(context.WithoutCancel(t.Context()), CompactRequest{Table: TableEvents})
			return err
		}
		return nil
	}
	compact(t, l)
	if after := lakeFigures(t, l); !met || !reflect.DeepEqual(after, before) {
		t.Errorf("met: %t; the rows were\n%+v and are\n%+v", met, before, after)
	}
}
