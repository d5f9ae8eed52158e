package lake

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

func mustLoad(t *testing.T, l *Lake) *table.Table {
	t.Helper()
	out, err := l.current(t.Context(), eventsSpec(t))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func verify(t *testing.T, l *Lake) Verification {
	t.Helper()
	found, err := l.Verify(t.Context(), VerifyRequest{})
	if err != nil || len(found) != len(tables()) || found[0].Table != TableEvents {
		t.Fatalf("verify: %+v, %v", found, err)
	}
	return found[0]
}

func checkSound(t *testing.T, l *Lake) {
	t.Helper()
	if found := verify(t, l); !found.Sound() {
		t.Errorf("the lake is not sound: %+v", found)
	}
}

// TestVerify finds each kind of damage, and nothing in a lake that was landed in and compacted.
func TestVerify(t *testing.T) { onEachStore(t, testVerify) }

func testVerify(t *testing.T, fresh func() Config) {
	l, s := openLake(t, fresh()), newSampler(91)
	for i := range 6 {
		if err := l.Commit(t.Context(), s.landEvents(int32(i%2), i/2*10, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if found := verify(t, l); !found.Sound() || found.Rows != 60 || found.Files < 6 || found.Bytes == 0 || found.Snapshots < 6 {
		t.Errorf("found %+v", found)
	}
	compact(t, l)
	checkSound(t, l)
}

func TestVerifyDamages(t *testing.T) {
	for _, kind := range []string{"manifest list", "manifest", "data file"} {
		for name, how := range damages {
			dir := t.TempDir()
			_, newest := tornLake(t, dir, 3)
			damage(t, newest[kind], how)
			found := verify(t, openLakeAt(t, dir))
			if found.Damaged == 0 || len(found.Damages) != found.Damaged || !strings.Contains(found.Damages[0].File, ".") {
				t.Errorf("%s %s: found %+v", kind, name, found)
			}
			if kind == "data file" && (found.Damaged != 1 || found.Damages[0].File != newest[kind] || found.Files != 3) {
				t.Errorf("%s %s: found %+v", kind, name, found)
			}
		}
	}
}

// Damage is told also of a lake that lands meanwhile, and that was moved to where a symbolic link leads.
func TestVerifyMovedOn(t *testing.T) {
	made, moved := filepath.Join(t.TempDir(), "made"), filepath.Join(t.TempDir(), "moved")
	tornLake(t, made, 3)
	if err := os.Rename(made, moved); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(moved, made); err != nil {
		t.Fatal(err)
	}
	l := openLakeAt(t, moved)
	files, err := liveFiles(t.Context(), mustLoad(t, l))
	if err != nil || len(files) != 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		damage(t, f.location, func(text []byte) []byte { clear(text[len(text)/4 : len(text)/4+64]); return text })
	}
	s := newSampler(94)
	landed := false
	progress := func(VerifyProgress) {
		if landed {
			return
		}
		landed = true
		if err := l.Commit(t.Context(), s.landEvents(1, 0, 5)); err != nil {
			t.Error(err)
		}
	}
	found, err := l.Verify(t.Context(), VerifyRequest{Table: TableEvents, Progress: progress})
	if err != nil || !landed || found[0].Damaged != 3 {
		t.Errorf("landed %t, found %+v, %v", landed, found, err)
	}
}

// What only the content of a data file tells, a quick look does not find.
func TestVerifyQuick(t *testing.T) {
	dir := t.TempDir()
	_, newest := tornLake(t, dir, 3)
	damage(t, newest["data file"], func(text []byte) []byte {
		clear(text[len(text)/4 : len(text)/4+64])
		return text
	})
	l := openLakeAt(t, dir)
	if found := verify(t, l); found.Damaged != 1 {
		t.Errorf("found %+v", found)
	}
	quick, err := l.Verify(t.Context(), VerifyRequest{Table: TableEvents, Quick: true})
	if err != nil || len(quick) != 1 || !quick[0].Sound() {
		t.Errorf("a quick look: %+v, %v", quick, err)
	}
}

// Rows that are there twice, behind the fence, or in another day's partition come from somebody who is not Millrace.
func TestVerifyRows(t *testing.T) {
	l, s, spec := openTestLake(t), newSampler(92), eventsSpec(t)
	in := s.landEvents(0, 0, 10)
	inDay(in, testStart)
	if err := l.Commit(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	add := func(rows []EventRow) {
		t.Helper()
		var text bytes.Buffer
		if err := EncodeEvents(&text, rows); err != nil {
			t.Fatal(err)
		}
		at := l.dataLocation(spec, rows[0].Event.ReceivedAt.UTC().Format(time.DateOnly), "foreign"+rows[0].Event.EventID+".parquet")
		if err := writeFile(t.Context(), l.files, at, text.Bytes()); err != nil {
			t.Fatal(err)
		}
		tx := mustLoad(t, l).NewTransaction()
		if err := tx.AddFiles(t.Context(), []string{at}, nil, true); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	add(in.Events[2:5]) // three twice
	behind := s.landEvents(0, 10, 4)
	inDay(behind, testStart)
	add(behind.Events)
	if found := verify(t, l); found.Twice != 3 || found.Behind != 4 || found.Misplaced != 0 || found.Damaged != 0 || found.Sound() {
		t.Errorf("found %+v", found)
	}
}

// Rows in the partition of another day are found by nobody who asks for theirs.
func TestVerifyDays(t *testing.T) {
	l, s, spec := openTestLake(t), newSampler(93), eventsSpec(t)
	in := s.landEvents(0, 0, 10)
	inDay(in, testStart)
	if err := l.Commit(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	now := mustLoad(t, l)
	files, err := liveFiles(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	f := files[0]
	text, err := readFile(t.Context(), l.files, f.location)
	if err != nil {
		t.Fatal(err)
	}
	wrong := l.dataLocation(spec, dayName(f.day), "foreign.parquet")
	if err := writeFile(t.Context(), l.files, wrong, text); err != nil {
		t.Fatal(err)
	}
	b, err := iceberg.NewDataFileBuilder(now.Spec(), iceberg.EntryContentData, wrong, iceberg.ParquetFile, map[int]any{dayPartitionField: iceberg.Date(f.day + 1)},
		nil, nil, f.rows, f.bytes)
	if err != nil {
		t.Fatal(err)
	}
	tx := now.NewTransaction()
	if err := stageReplacement(t.Context(), now, tx, files, []iceberg.DataFile{b.Build()}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := verify(t, l); found.Misplaced != 10 || found.Twice != 0 || found.Damaged != 0 {
		t.Errorf("found %+v", found)
	}
}
