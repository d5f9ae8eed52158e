package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/objstore"
)

// vault is a state with its checkpoints in a bucket.
type vault struct {
	*testing.T
	cache  *Cache
	db     *DB
	dir    string // of the bucket
	bucket objstore.Bucket
	points *Checkpoints
	n      int // directories made

	generation int64 // of checkpoints
}

func newVault(t *testing.T) *vault {
	v := &vault{T: t, cache: NewCache(1 << 20), dir: t.TempDir(), generation: 2}
	t.Cleanup(v.cache.Close)
	bucket, err := objstore.OpenLocal(v.dir)
	v.must(err)
	v.bucket = bucket
	v.points = NewCheckpoints(bucket, 3, 5)
	v.db = v.open(t.TempDir())
	return v
}

func (v *vault) must(err error) {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
}

func (v *vault) open(dir string) *DB {
	v.Helper()
	db, err := Open(dir, Options{Cache: v.cache})
	v.must(err)
	v.Cleanup(func() { v.must(db.Close()) })
	return db
}

func (v *vault) next() string {
	v.n++
	return filepath.Join(v.TempDir(), fmt.Sprint("d", v.n))
}

// write commits rows up to an offset.
func (v *vault) write(offset int64, rows map[string]string) {
	v.Helper()
	b := v.db.NewBatch()
	for key, value := range rows {
		b.Set(key, []byte(value))
	}
	v.must(v.db.Commit(b, Position{Epoch: 3, Offset: offset, Hash: 1<<63 + uint64(offset)}))
}

// checkpoint puts the state of now and returns how many bytes were new.
func (v *vault) checkpoint() int64 {
	v.Helper()
	dir := v.next()
	p, err := v.db.Freeze(dir)
	v.must(err)
	n, err := v.points.Put(v.Context(), dir, Manifest{Position: p, Version: 7, Epoch: 3, Generation: v.generation})
	v.must(err)
	return n
}

// restore opens the newest sound checkpoint and returns its rows.
func (v *vault) restore() (Restored, map[string]string) {
	v.Helper()
	dir := v.next()
	r, err := NewCheckpoints(v.bucket, 3, 5).Restore(v.Context(), dir, func(m Manifest) bool { return m.Version == 7 })
	v.must(err)
	rows := map[string]string{}
	if !r.Found {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			v.Errorf("nothing was restored, but %s is there", dir)
		}
		return r, rows
	}
	db := v.open(dir)
	v.must(db.Scan("", func(key string, value []byte) error {
		rows[key] = string(value)
		return nil
	}))
	p, ok, err := db.Position()
	v.must(err)
	if !ok || p != r.Manifest.Position {
		v.Errorf("the state stands at %+v, its manifest at %+v", p, r.Manifest.Position)
	}
	return r, rows
}

// object is the path of the object put last of those whose keys contain a text.
func (v *vault) object(text string) string {
	v.Helper()
	var last objstore.Info
	for info, err := range v.bucket.List(v.Context(), "") {
		v.must(err)
		if strings.Contains(info.Key, text) && !info.Modified.Before(last.Modified) {
			last = info
		}
	}
	if last.Key == "" {
		v.Fatalf("no object with %q", text)
	}
	return filepath.Join(v.dir, last.Key)
}

func TestCheckpointComesBack(t *testing.T) {
	v := newVault(t)
	if r, _ := v.restore(); r.Found || r.Skipped != nil {
		t.Fatalf("an empty bucket restores %+v", r)
	}
	want := map[string]string{}
	for round := range int64(3) {
		rows := map[string]string{"same": fmt.Sprint("round ", round), fmt.Sprint("row", round): "x"}
		maps.Copy(want, rows)
		v.write(10*round+10, rows)
		v.checkpoint()
		if r, got := v.restore(); !r.Found || r.Skipped != nil || !maps.Equal(got, want) || r.Manifest.Position.Offset != 10*round+10 ||
			r.Manifest.Generation != 2 || r.Manifest.Epoch != 3 {
			t.Fatalf("round %d: %+v\nrows %v", round, r, got)
		}
	}
}

// A second checkpoint of a large state with one more row uploads little.
func TestCheckpointUploadsTheDelta(t *testing.T) {
	v := newVault(t)
	big := map[string]string{}
	for i := range 2000 {
		big[fmt.Sprintf("row%04d", i)] = strings.Repeat(fmt.Sprint(i*7919), 50)
	}
	v.write(1, big)
	whole := v.checkpoint()
	if again := v.checkpoint(); again > whole/10 {
		t.Errorf("the same state uploads %d of %d bytes again", again, whole)
	}
	v.write(2, map[string]string{"one": "more"})
	if delta := v.checkpoint(); delta > whole/10 {
		t.Errorf("one more row uploads %d bytes, everything was %d", delta, whole)
	}
	if r, rows := v.restore(); len(rows) != 2001 || r.Manifest.Position.Offset != 2 {
		t.Errorf("%d rows at %+v", len(rows), r.Manifest.Position)
	}
}

// What is damaged is passed over and reported; the checkpoint before serves.
func TestDamagedCheckpointIsPassedOver(t *testing.T) {
	flip := func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b[len(b)/2] ^= 1
		return os.WriteFile(path, b, 0o600)
	}
	for name, damage := range map[string]func(string) error{
		"flipped": flip, "torn": func(path string) error { return os.Truncate(path, 20) }, "gone": os.Remove, "empty": func(path string) error { return os.Truncate(path, 0) },
	} {
		for _, what := range []string{".json", ".sst-", "files/MANIFEST-"} {
			t.Run(name+filepath.Base(what), func(t *testing.T) {
				v := newVault(t)
				v.write(1, map[string]string{"a": "old"})
				v.checkpoint()
				v.write(2, map[string]string{"a": "new"})
				v.checkpoint()
				v.must(damage(v.object(what)))
				r, rows := v.restore()
				manifestGone := name == "gone" && what == ".json" // is no damage: it is as if the upload had died
				if !r.Found || r.Manifest.Position.Offset != 1 || rows["a"] != "old" || (r.Skipped == nil) != manifestGone {
					t.Errorf("%+v, rows %v", r, rows)
				}
			})
		}
	}
}

func TestUnwantedCheckpointIsPassedOver(t *testing.T) {
	v := newVault(t)
	v.write(1, map[string]string{"a": "1"})
	dir := v.next()
	p, err := v.db.Freeze(dir)
	v.must(err)
	_, err = v.points.Put(t.Context(), dir, Manifest{Position: p, Version: 6})
	v.must(err)
	if r, _ := v.restore(); r.Found || r.Skipped != nil {
		t.Errorf("a checkpoint of another version: %+v", r)
	}
}

// dying is a bucket whose process dies at the n-th put.
type dying struct {
	objstore.Bucket
	left int
}

var errDied = errors.New("killed")

func (b *dying) PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) error {
	if b.left--; b.left < 0 {
		return errDied
	}
	return b.Bucket.PutIfAbsent(ctx, key, body, size)
}

// A kill between any two puts leaves the checkpoint before in force, and the next one uploads what is missing.
func TestCheckpointKilledAnywhere(t *testing.T) {
	for puts := 0; ; puts++ {
		v := newVault(t)
		v.write(1, map[string]string{"a": "old"})
		v.checkpoint()
		v.write(2, map[string]string{"a": "new"})
		dir := v.next()
		p, err := v.db.Freeze(dir)
		v.must(err)
		_, err = NewCheckpoints(&dying{v.bucket, puts}, 3, 5).Put(t.Context(), dir, Manifest{Position: p, Version: 7})
		if err == nil {
			if puts < 2 {
				t.Fatalf("a checkpoint needs only %d puts: files and manifest are two", puts)
			}
			return
		}
		if !errors.Is(err, errDied) {
			t.Fatal(err)
		}
		if r, rows := v.restore(); r.Manifest.Position.Offset != 1 || rows["a"] != "old" || r.Skipped != nil {
			t.Fatalf("killed at put %d: %+v, rows %v", puts, r, rows)
		}
		v.checkpoint()
		if r, rows := v.restore(); r.Manifest.Position.Offset != 2 || rows["a"] != "new" || r.Skipped != nil {
			t.Fatalf("after the kill at put %d: %+v, rows %v", puts, r, rows)
		}
	}
}

func TestCleanKeepsWhatIsNeeded(t *testing.T) {
	v := newVault(t)
	for offset := range int64(5) {
		v.write(offset+1, map[string]string{fmt.Sprint(offset): "x"})
		v.checkpoint()
	}
	count := func() (manifests, files int) {
		for info, err := range v.bucket.List(t.Context(), "state/3/5/") {
			v.must(err)
			if strings.HasSuffix(info.Key, ".json") {
				manifests++
			} else {
				files++
			}
		}
		return manifests, files
	}
	_, before := count()
	v.must(v.points.Clean(t.Context(), time.Now()))
	if manifests, files := count(); manifests != 5 || files != before {
		t.Fatalf("of young checkpoints %d manifests and %d of %d files are left", manifests, files, before)
	}
	v.must(v.points.Clean(t.Context(), time.Now().Add(2*time.Hour)))
	if manifests, files := count(); manifests != 2 || files >= before {
		t.Fatalf("of old checkpoints %d manifests and %d of %d files are left", manifests, files, before)
	}
	for range 2 { // both that are left are whole
		r, rows := v.restore()
		if !r.Found || r.Skipped != nil || len(rows) != int(r.Manifest.Position.Offset) {
			t.Fatalf("after the cleaning: %+v, rows %v", r, rows)
		}
		v.must(os.Remove(v.object(".json")))
	}
	v.must(v.points.Clean(t.Context(), time.Now().Add(2*time.Hour)))
	if manifests, files := count(); manifests != 0 || files != 0 {
		t.Errorf("%d manifests and %d files are left of nothing", manifests, files)
	}
}

func TestCleanEpochs(t *testing.T) {
	v := newVault(t)
	for _, key := range []string{"state/2/0/files/x", "state/10/0/files/x", "state/3/0/x.json", "state/other/x", "models/2/x"} {
		v.must(v.bucket.Put(t.Context(), key, strings.NewReader(""), 0))
	}
	v.must(CleanEpochs(t.Context(), v.bucket, 3, time.Now().Add(2*time.Hour)))
	var left []string
	for info, err := range v.bucket.List(t.Context(), "") {
		v.must(err)
		left = append(left, info.Key)
	}
	if want := []string{"models/2/x", "state/10/0/files/x", "state/3/0/x.json", "state/other/x"}; !slices.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}

// goldenManifest is what version 1 looks like for ever.
const goldenManifest = `{"format":1,"position":{"epoch":3,"offset":12345,"hash":"8000000000000001"},"version":2,"epoch":3,"generation":4,` +
	`"files":[{"name":"000007.sst","size":1234,"crc32c":"0badcafe"},{"name":"marker.manifest.000001.MANIFEST-000001","size":0,"crc32c":"00000000"}]}`

func encode(t *testing.T, m Manifest) string {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestManifestGolden(t *testing.T) {
	m, err := ParseManifest([]byte(goldenManifest))
	if err != nil {
		t.Fatal(err)
	}
	want := Manifest{Format: 1, Position: Position{3, 12345, 1<<63 + 1}, Version: 2, Epoch: 3, Generation: 4, Files: []FileInfo{
		{"000007.sst", 1234, 0x0badcafe}, {"marker.manifest.000001.MANIFEST-000001", 0, 0}}}
	if fmt.Sprint(m) != fmt.Sprint(want) || m.Files[0].object() != "000007.sst-0badcafe-1234" {
		t.Errorf("read %+v", m)
	}
	if text := encode(t, m); text != goldenManifest {
		t.Errorf("wrote %s", text)
	}
}

func TestManifestRefused(t *testing.T) {
	for name, change := range map[string][2]string{
		"format": {`"format":1`, `"format":2`}, "unknown field": {`"version"`, `"vers"`}, "path": {"000007.sst", "../7.sst"}, "segment": {"000007.sst", "a/b"},
		"no files": {`"files":[`, `"files":[],"x":[`}, "size": {"1234,", "-1,"}, "crc": {"0badcafe", "badcafe"}, "hash": {"8000000000000001", "1"},
		"offset": {"12345", "-1"}, "twice": {"marker.manifest.000001.MANIFEST-000001", "000007.sst"}, "tail": {"]}", "]}{}"}, "cut": {"]}", "]"},
	} {
		if _, err := ParseManifest([]byte(strings.Replace(goldenManifest, change[0], change[1], 1))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzManifest: what is accepted is written and read again as the same, and names nothing outside its directory.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(goldenManifest))
	f.Add([]byte(`{"format":1,"files":[{"name":"..","size":1,"crc32c":"00000000"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if filepath.Base(file.Name) != file.Name || file.Name == "." || file.Name == ".." {
				t.Fatalf("file %q is accepted", file.Name)
			}
		}
		again, err := ParseManifest([]byte(encode(t, m)))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(m) {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}

// Newest goes by position, and passes over what only looks like a checkpoint.
func TestNewestCheckpoint(t *testing.T) {
	v := newVault(t)
	if m, put, err := v.points.Newest(t.Context()); err != nil || m.Position != (Position{}) || !put.IsZero() {
		t.Fatalf("without any: %v, %v, %v", m, put, err)
	}
	for _, offset := range []int64{9, 100} {
		v.write(offset, map[string]string{"key": fmt.Sprint(offset)})
		v.checkpoint()
	}
	v.must(os.WriteFile(filepath.Join(v.dir, "state", "3", "5", "zebra.json"), []byte("{}"), 0o600))
	m, put, err := v.points.Newest(t.Context())
	if err != nil || m.Position.Epoch != 3 || m.Position.Offset != 100 || time.Since(put) > time.Hour {
		t.Fatalf("%v, %v, %v", m, put, err)
	}
}

// A state that was made again without the log having moved takes the place of the one before, and never the other way round.
func TestCheckpointOfSamePosition(t *testing.T) {
	v := newVault(t)
	put := func(generation int64, value string) {
		t.Helper()
		v.generation = generation
		v.write(9, map[string]string{"key": value})
		v.checkpoint()
	}
	newest := func(generation int64) {
		t.Helper()
		if m, _, err := v.points.Newest(t.Context()); err != nil || m.Generation != generation {
			t.Errorf("the newest is of generation %d, want %d (%v)", m.Generation, generation, err)
		}
	}
	put(1, "old")
	put(2, "new")
	newest(2)
	put(1, "of a process that stood still")
	newest(2)
	v.must(v.points.Forget(t.Context(), 2))
	newest(2)
}
