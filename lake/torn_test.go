package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
)

const (
	tornCommits = 6
	tornRows    = 20 // of each
)

// damages are what a power cut makes of a file.
var damages = map[string]func(text []byte) []byte{
	"lost":  nil,
	"empty": func([]byte) []byte { return nil },
	"cut":   func(text []byte) []byte { return text[:len(text)/2] },
	"half zeros": func(text []byte) []byte {
		return append(slices.Clone(text[:len(text)/2]), make([]byte, len(text)-len(text)/2)...)
	},
}

// newestFiles are the files that the last commit of a landing has made, by what they are.
func newestFiles(t *testing.T, l *Lake) map[string]string {
	t.Helper()
	current, err := l.current(t.Context(), eventsSpec(t))
	if err != nil {
		t.Fatal(err)
	}
	s := current.CurrentSnapshot()
	manifests, err := s.Manifests(icebergFiles{t.Context(), l.files})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{"metadata": current.MetadataLocation(), "manifest list": s.ManifestList}
	for _, m := range manifests {
		if m.SnapshotID() == s.SnapshotID {
			out["manifest"] = m.FilePath()
		}
	}
	err = manifestEntries(t.Context(), l.files, s, func(f iceberg.DataFile, broughtBy int64) error {
		if broughtBy == s.SnapshotID {
			out["data file"] = f.FilePath()
		}
		return nil
	})
	if err != nil || len(out) != 4 {
		t.Fatalf("newest files %v: %v", out, err)
	}
	return out
}

func damage(t *testing.T, at string, how func([]byte) []byte) {
	t.Helper()
	path, err := localPath(at)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err == nil && how == nil {
		err = os.Remove(path)
	} else if err == nil {
		err = os.WriteFile(path, how(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// tornLake lands a few commits and closes the lake. The landings are what Kafka still holds.
func tornLake(t *testing.T, dir string, commits int) (landings []Landing, newest map[string]string) {
	t.Helper()
	l, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	landings = landCommits(t, l, newSampler(71), 0, commits)
	newest = newestFiles(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return landings, newest
}

// landCommits lands the commits of partition 0 from one number up to, not including, another.
func landCommits(t *testing.T, l *Lake, s sampler, from, to int) (landings []Landing) {
	t.Helper()
	for i := from; i < to; i++ {
		in := s.landEvents(0, i*tornRows, tornRows)
		inDay(in, testStart)
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		landings = append(landings, in)
	}
	return landings
}

// openTorn opens a lake as a writer does and returns what that was told.
func openTorn(t *testing.T, cfg Config) (*Lake, []SetBack) {
	t.Helper()
	var told []SetBack
	cfg.SetBack = func(s SetBack) { told = append(told, s) }
	return openLake(t, cfg), told
}

// landAgain lands what is behind the fence, as a writer does that goes on from there, and wants every row once.
func landAgain(t *testing.T, l *Lake, landings []Landing, fence int) {
	t.Helper()
	next, err := l.Next(t.Context(), TableEvents)
	if err != nil {
		t.Fatal(err)
	}
	if got := next[FenceKey{event.TopicEvents, 1, 0}].Next; got != int64(fence) {
		t.Fatalf("the fence is at %d, want %d", got, fence)
	}
	for _, in := range landings[fence/tornRows:] {
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	checkOffsets(t, l, []int{len(landings) * tornRows})
}

// TestTornVersion tears each kind of file of the newest version in each way: the table falls back to the version before, what
// was lost lands again, and nothing is doubled.
func TestTornVersion(t *testing.T) {
	for _, kind := range []string{"metadata", "manifest list", "manifest", "data file"} {
		for name, how := range damages {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				landings, newest := tornLake(t, dir, tornCommits)
				damage(t, newest[kind], how)
				if kind == "metadata" {
					if _, err := Open(t.Context(), Config{Dir: dir}); !errors.Is(err, ErrTorn) {
						t.Errorf("opened by a reader: %v", err)
					}
				}
				l, told := openTorn(t, Config{Dir: dir})
				if len(told) != 1 || told[0].Table != TableEvents || told[0].Why == nil || told[0].Rows != (tornCommits-1)*tornRows {
					t.Fatalf("told %+v", told)
				}
				landAgain(t, l, landings, (tornCommits-1)*tornRows)
			})
		}
	}
}

// What is zeros from any place on is not whole, also where they read as the end of its entries: behind the schema in its head, of which
// the writer has the parts in any order.
func TestTornAnywhere(t *testing.T) {
	for range 6 {
		dir := t.TempDir()
		_, newest := tornLake(t, dir, 1)
		l := openLake(t, Config{Dir: dir})
		at, err := l.catalog.pointer(t.Context(), eventsSpec(t).ident())
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"manifest list", "manifest"} {
			path, err := localPath(newest[kind])
			if err != nil {
				t.Fatal(err)
			}
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for cut := len(whole) - 61; cut > 0; cut -= 61 {
				if err := os.WriteFile(path, append(slices.Clone(whole[:cut]), make([]byte, len(whole)-cut)...), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := l.wholeVersion(t.Context(), eventsSpec(t), at, false); err == nil {
					t.Fatalf("a %s with zeros from %d of %d bytes on is taken for whole", kind, cut, len(whole))
				}
			}
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.wholeVersion(t.Context(), eventsSpec(t), at, false); err != nil {
			t.Fatalf("a whole version: %v", err)
		}
	}
}

// A page in the middle of a data file whose size and end are right is found by its checksum.
func TestTornPage(t *testing.T) {
	dir := t.TempDir()
	landings, newest := tornLake(t, dir, tornCommits)
	damage(t, newest["data file"], func(text []byte) []byte {
		clear(text[len(text)/4 : len(text)/4+64])
		return text
	})
	l, told := openTorn(t, Config{Dir: dir})
	if len(told) != 1 {
		t.Fatalf("told %+v", told)
	}
	landAgain(t, l, landings, (tornCommits-1)*tornRows)
}

// Where several of the newest files are torn the table goes back as far as it has to.
func TestTornVersions(t *testing.T) {
	dir := t.TempDir()
	landings, newest := tornLake(t, dir, tornCommits-2)
	damage(t, newest["data file"], damages["cut"])
	l, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	landings = append(landings, landCommits(t, l, newSampler(72), tornCommits-2, tornCommits)...)
	newest = newestFiles(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, newest["metadata"], damages["half zeros"])
	l, told := openTorn(t, Config{Dir: dir})
	if len(told) != 1 || told[0].Rows != (tornCommits-3)*tornRows {
		t.Fatalf("told %+v", told)
	}
	landAgain(t, l, landings, (tornCommits-3)*tornRows)
}

// A table that is set back to before it got the columns of today gets them again.
func TestTornBeforeEvolution(t *testing.T) {
	cfg, s := Config{Dir: t.TempDir()}, newSampler(72)
	older := openOlder(t, cfg)
	if err := older.Commit(t.Context(), s.landEvents(0, 0, tornRows)); err != nil {
		t.Fatal(err)
	}
	evolved, err := openLake(t, cfg).current(t.Context(), eventsSpec(t))
	if err != nil {
		t.Fatal(err)
	}
	damage(t, evolved.MetadataLocation(), damages["cut"])
	l, told := openTorn(t, cfg)
	if len(told) != 1 || told[0].Table != TableEvents {
		t.Errorf("told of %+v", told)
	}
	if lines := columnIDs(t, l); !slices.Equal(lines, columnIDs(t, openTestLake(t))) {
		t.Errorf("the table has\n%v", lines)
	}
	if err := l.Commit(t.Context(), s.landEvents(0, tornRows, tornRows)); err != nil {
		t.Fatal(err)
	}
	checkSound(t, l)
}

// Nothing is changed where no version is whole, and where the table is.
func TestTornBeyondRepair(t *testing.T) {
	dir := t.TempDir()
	_, newest := tornLake(t, dir, 1)
	damage(t, newest["metadata"], damages["cut"])
	zero := ""
	l := localFiles{dir}
	err := l.list(t.Context(), l.location(Namespace, TableEvents, "metadata"), func(f storedFile) error {
		if n, err := metadataNumber(f.location); err == nil && n == 0 {
			zero = f.location
		}
		return nil
	})
	if err != nil || zero == "" {
		t.Fatalf("first version %q: %v", zero, err)
	}
	path, err := localPath(zero)
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage(t, zero, damages["empty"])
	_, err = Open(t.Context(), Config{Dir: dir, SetBack: func(s SetBack) { t.Errorf("set back: %+v", s) }})
	if !errors.Is(err, ErrTorn) {
		t.Fatalf("opened without a whole version: %v", err)
	}
	// With its first version whole again the table starts from nothing.
	if err := os.WriteFile(path, first, 0o600); err != nil {
		t.Fatal(err)
	}
	again, told := openTorn(t, Config{Dir: dir})
	if len(told) != 1 || told[0].Rows != 0 {
		t.Fatalf("told %+v", told)
	}
	if next, err := again.Next(t.Context(), TableEvents); err != nil || len(next) != 0 {
		t.Errorf("fences of an empty table: %v, %v", next, err)
	}
	if _, told := openTorn(t, Config{Dir: dir}); len(told) != 0 {
		t.Errorf("a whole table was set back: %+v", told)
	}
}

// A fall behind the last step of an erasure brings nothing of the person back, keeps the mark, and leaves no snapshot that
// maintenance cannot read.
func TestTornAfterErasure(t *testing.T) {
	ledger := erasedPerson(3)
	cfg := Config{Dir: t.TempDir(), Erased: func(context.Context) (*erasure.Ledger, error) { return ledger, nil }}
	l, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	events, exposures := erasable(t, l, 7)
	if _, err := l.Erase(t.Context(), ledger); err != nil {
		t.Fatal(err)
	}
	current, err := l.current(t.Context(), eventsSpec(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, current.MetadataLocation(), damages["cut"])
	l, told := openTorn(t, cfg)
	if len(told) != 1 {
		t.Fatalf("told %+v", told)
	}
	checkErased(t, l, events, exposures)
	again, err := l.current(t.Context(), eventsSpec(t))
	if err != nil {
		t.Fatal(err)
	}
	if mark, err := erasedSequence(again.Properties(), erasedProperty); err != nil || mark != 3 {
		t.Errorf("the mark is %d, %v", mark, err)
	}
	if _, _, err := liveManifests(again.Metadata(), icebergFiles{t.Context(), l.files}); err != nil {
		t.Errorf("a snapshot cannot be read: %v", err)
	}
	if _, err := l.Expire(t.Context(), TableEvents, testStart); err != nil {
		t.Errorf("expire: %v", err)
	}
}

// A file that all versions share and that was lost long after it was written is no power cut: going back to where it was not there yet
// would leave nothing of the table.
func TestTornLongAgo(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s := newSampler(73)
	if err := l.Commit(t.Context(), s.landEvents(0, 0, tornRows)); err != nil {
		t.Fatal(err)
	}
	shared := newestFiles(t, l)["manifest"]
	if err := l.Commit(t.Context(), s.landEvents(0, tornRows, tornRows)); err != nil {
		t.Fatal(err)
	}
	current, err := l.current(t.Context(), eventsSpec(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	at := current.Metadata().LastUpdatedMillis()
	damage(t, current.MetadataLocation(), func(text []byte) []byte {
		field := `"last-updated-ms":%d`
		return bytes.Replace(text, fmt.Appendf(nil, field, at), fmt.Appendf(nil, field, at+2*maxSetBack.Milliseconds()), 1)
	})
	damage(t, shared, damages["cut"])
	_, err = Open(t.Context(), Config{Dir: dir, SetBack: func(s SetBack) { t.Errorf("set back: %+v", s) }})
	if !errors.Is(err, ErrTorn) || !strings.Contains(err.Error(), "backup") {
		t.Errorf("opened: %v", err)
	}
}

// A torn table on which another process lands meanwhile is looked at again, and set back with what that has landed.
func TestTornAndMoved(t *testing.T) {
	dir := t.TempDir()
	landings, newest := tornLake(t, dir, tornCommits)
	other := openLakeAt(t, dir)
	damage(t, newest["data file"], damages["cut"])
	s := newSampler(71)
	s.landEvents(0, 0, tornCommits*tornRows)
	more := s.landEvents(0, tornCommits*tornRows, tornRows)
	inDay(more, testStart)
	landed := false
	l, told := openTorn(t, Config{Dir: dir, Erased: func(ctx context.Context) (*erasure.Ledger, error) { // asked between the look and the commit
		if landed {
			return nil, nil //nolint:nilnil // nobody was erased
		}
		landed = true
		return nil, other.Commit(ctx, more)
	}})
	if !landed || len(told) != 1 || told[0].Rows != (tornCommits-1)*tornRows {
		t.Fatalf("landed meanwhile: %t, told %+v", landed, told)
	}
	landAgain(t, l, append(landings, more), (tornCommits-1)*tornRows)
	checkSound(t, l)
}

// What a version that is given up had of fences stays where the older one stands.
func TestSetBackFences(t *testing.T) {
	fence := func(epoch int64, partition int32, next int64) (string, string) {
		return Fence{Topic: event.TopicEvents, Epoch: epoch, Partition: partition, Next: next, Hash: 5}.property()
	}
	properties := func(fences ...[3]int64) iceberg.Properties {
		props := iceberg.Properties{}
		for _, f := range fences {
			name, value := fence(f[0], int32(f[1]), f[2])
			props[name] = value
		}
		return props
	}
	for _, c := range []struct {
		name           string
		torn, to, want iceberg.Properties
	}{
		{"further", properties([3]int64{1, 0, 100}), properties([3]int64{1, 0, 40}), properties([3]int64{1, 0, 40})},
		{"new partition", properties([3]int64{1, 0, 100}, [3]int64{1, 1, 9}), properties([3]int64{1, 0, 40}), properties([3]int64{1, 0, 40}, [3]int64{1, 1, 0})},
		{"closed", properties([3]int64{1, 0, ClosedEpoch}, [3]int64{2, 0, 110}), properties([3]int64{1, 0, 40}), properties([3]int64{1, 0, ClosedEpoch}, [3]int64{2, 0, 40})},
		{"closed before", properties([3]int64{1, 0, ClosedEpoch}, [3]int64{2, 0, 110}), properties([3]int64{1, 0, ClosedEpoch}, [3]int64{2, 0, 90}),
			properties([3]int64{1, 0, ClosedEpoch}, [3]int64{2, 0, 90})},
		{"closed twice", properties([3]int64{1, 0, ClosedEpoch}, [3]int64{2, 0, ClosedEpoch}, [3]int64{3, 0, 120}), properties([3]int64{1, 0, 40}),
			properties([3]int64{1, 0, ClosedEpoch}, [3]int64{2, 0, ClosedEpoch}, [3]int64{3, 0, 40})},
	} {
		got := maps.Clone(c.to)
		if err := setBackFences(c.torn, c.to, got); err != nil {
			t.Fatal(err)
		}
		have, err := readFences(got)
		if err != nil {
			t.Fatal(err)
		}
		want, err := readFences(c.want)
		if err != nil {
			t.Fatal(err)
		}
		same := func(a, b Fence) bool { return a.Next == b.Next }
		if !maps.EqualFunc(have, want, same) {
			t.Errorf("%s: fences %v, want %v", c.name, have, want)
		}
	}
}

// What another engine or a newer version has written is no damage: the table stays where it is.
func TestNotTornButForeign(t *testing.T) {
	dir := t.TempDir()
	tornLake(t, dir, tornCommits)
	l, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w := parquet.NewGenericWriter[eventRow](&packed, parquet.Compression(&parquet.Lz4Raw))
	row := eventRow{EventID: "foreign", ReceivedAt: testStart.UnixMicro()}
	if _, err := w.Write([]eventRow{row}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	at := l.dataLocation(eventsSpec(t), testStart.Format(time.DateOnly), "foreign.parquet")
	if err := writeFile(t.Context(), l.files, at, packed.Bytes()); err != nil {
		t.Fatal(err)
	}
	tx := mustLoad(t, l).NewTransaction()
	if err := tx.AddFiles(t.Context(), []string{at}, nil, true); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	newest := newestFiles(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, told := openTorn(t, Config{Dir: dir})
	if len(told) != 0 || tableRows(mustLoad(t, again).CurrentSnapshot()) != tornCommits*tornRows+1 {
		t.Errorf("a file that is not read here was taken for damage: %+v", told)
	}
	damage(t, newest["metadata"], func(text []byte) []byte {
		return bytes.Replace(text, []byte(`"format-version":2`), []byte(`"format-version":9`), 1)
	})
	for _, setBack := range []func(SetBack){nil, func(s SetBack) { t.Errorf("set back: %+v", s) }} {
		if _, err := Open(t.Context(), Config{Dir: dir, SetBack: setBack}); err == nil || errors.Is(err, ErrTorn) {
			t.Errorf("metadata of a later format: %v", err)
		}
	}
}
