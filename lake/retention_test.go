package lake

import (
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// landDays lands two rows a day from the first to the last, two files each.
func landDays(t *testing.T, l *Lake, days int) {
	t.Helper()
	s := newSampler(51)
	for day := range days {
		for n := range 2 {
			in := s.landEvents(0, 2*day+n, 1)
			inDay(in, testStart.AddDate(0, 0, day))
			if err := l.Commit(t.Context(), in); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Days past the retention go, whole and counted back from the newest; their bytes go a day later, and fences stay.
func TestRetention(t *testing.T) {
	l := openLake(t, Config{Dir: t.TempDir(), Retention: Retention{EventDays: 3}})
	landDays(t, l, 5)
	now := testStart.AddDate(0, 0, 30)
	done, err := l.Expire(t.Context(), TableEvents, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(done) != 1 || done[0].Days != 2 || done[0].Rows != 4 || done[0].FilesSwept != 0 {
		t.Errorf("done %+v", done)
	}
	oldest := testStart.AddDate(0, 0, 5)
	err = l.ScanEvents(t.Context(), ScanRequest{}, func(r EventRow) error {
		if r.Event.ReceivedAt.Before(oldest) {
			oldest = r.Event.ReceivedAt
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := testStart.AddDate(0, 0, 2); !oldest.Equal(want) {
		t.Errorf("the oldest row is of %v, want %v", oldest, want)
	}
	if n := countEvents(t, l, ScanRequest{}); n != 6 {
		t.Errorf("%d rows, want 6", n)
	}
	if next, err := l.Next(t.Context(), TableEvents); err != nil || len(next) != 1 {
		t.Errorf("fences %v, error %v", next, err)
	}
	dropped, err := filepath.Glob(filepath.Join(localDir(t, l, eventsSpec(t)), "data", "*-01", "*.parquet"))
	if err != nil || len(dropped) != 2 {
		t.Fatalf("files %v, error %v", dropped, err)
	}
	later := time.Now().Add(2 * orphanAge) // the snapshots that had them are old by then, but too few to go
	if done, err = l.Expire(t.Context(), TableEvents, later); err != nil || done[0].FilesSwept != 1 {
		t.Errorf("done %+v, error %v; want the note of what was replaced alone: the older versions still refer to the files", done, err)
	}
	s := newSampler(52)
	for i := range snapshotsKept + 1 {
		in := s.landEvents(0, 10+i, 1)
		inDay(in, testStart.AddDate(0, 0, 4))
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if done, err = l.Expire(t.Context(), TableEvents, later); err != nil || done[0].FilesSwept < 4 || done[0].BytesSwept == 0 {
		t.Errorf("done %+v, error %v", done, err)
	}
	for _, path := range dropped {
		if exists(path) {
			t.Errorf("%s is still there", path)
		}
	}
}

// Replaced files count as written when they were replaced: a scan that has planned with them may read on for orphanAge.
func TestReplacedFilesStay(t *testing.T) {
	l := openTestLake(t)
	landDays(t, l, 3)
	ageFiles(t, l, time.Now().Add(-2*orphanAge))
	p, err := l.plan(t.Context(), ScanRequest{Table: TableEvents})
	if err != nil {
		t.Fatal(err)
	}
	compact(t, l)
	s := newSampler(53)
	for i := range snapshotsKept + 1 {
		if err := l.Commit(t.Context(), s.landEvents(0, 6+i, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Expire(t.Context(), TableEvents, time.Now().Add(2*snapshotAge)); err != nil {
		t.Fatal(err)
	}
	rows := 0
	if err := scanRows(t.Context(), l.files, p, (*eventRow).value, func(EventRow) error { rows++; return nil }); err != nil || rows != 6 {
		t.Errorf("%d rows, error %v", rows, err)
	}
}

func TestPastRetention(t *testing.T) {
	now := time.Unix(0, 0).AddDate(0, 0, 20) // day 20
	files := func(days ...int32) []liveFile {
		var out []liveFile
		for _, day := range days {
			out = append(out, liveFile{day: day})
		}
		return out
	}
	for name, tc := range map[string]struct {
		days []int32
		keep int
		old  []int32
	}{
		"no files":                    {nil, 1, nil},
		"all within":                  {[]int32{18, 19, 20}, 3, nil},
		"some past":                   {[]int32{16, 17, 18, 19, 20}, 3, []int32{16, 17}},
		"the newest alone":            {[]int32{18, 19}, 1, []int32{18}},
		"counted from the newest":     {[]int32{5, 6, 7}, 3, nil},
		"a clock a century ahead":     {[]int32{18, 19, 20, 36520}, 3, nil},
		"only days that are to begin": {[]int32{30, 40}, 3, nil},
	} {
		var got []int32
		for _, f := range pastRetention(files(tc.days...), tc.keep, now) {
			got = append(got, f.day)
		}
		if !slices.Equal(got, tc.old) {
			t.Errorf("%s: days %v go, want %v", name, got, tc.old)
		}
	}
}
