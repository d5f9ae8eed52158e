package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/basket"
	"github.com/millrace/millrace/internal/model/content"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
	"github.com/millrace/millrace/internal/objstore"
)

const site = "shop"

func open(t testing.TB) *Registry {
	t.Helper()
	r, err := Open(t.Context(), objstore.Place{Dir: filepath.Join(t.TempDir(), "models")})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// artifacts fits every kind of model on three short sessions.
func artifacts(t testing.TB) []Artifact {
	t.Helper()
	vocabulary := model.NewVocabulary("a", "b", "c")
	var sessions model.Sessions
	sessions.Append([]int32{0, 1}, []int64{1000, 2000})
	sessions.Append([]int32{0, 1, 2}, []int64{3000, 4000, 5000})
	sessions.Append([]int32{1, 2}, []int64{6000, 7000})
	var orders model.Sessions
	for range 3 {
		orders.Append([]int32{0, 1}, []int64{1000, 1000})
		orders.Append([]int32{2}, []int64{1000})
	}
	pop, err := popularity.Fit(popularity.Default(), &sessions, 3, [][]string{{"x"}, {"x"}, {"y"}})
	if err != nil {
		t.Fatal(err)
	}
	trans, err := transitions.Fit(transitions.Default(), &sessions, 3)
	if err != nil {
		t.Fatal(err)
	}
	knn, err := vmisknn.Fit(vmisknn.Default(vmisknn.VSTAN), &sessions, 3)
	if err != nil {
		t.Fatal(err)
	}
	similar, err := content.Fit(t.Context(), content.Default(), []*event.CatalogueItem{{Title: "Dome tent"}, {Title: "Family tent"}, nil})
	if err != nil {
		t.Fatal(err)
	}
	together := basket.Default()
	together.Significance = 0
	baskets, err := basket.Fit(t.Context(), together, &orders, 3)
	if err != nil {
		t.Fatal(err)
	}
	return []Artifact{
		{"vocabulary", vocabulary}, {"popularity", pop}, {"transitions", trans}, {"vmisknn", knn}, {"content", similar}, {"basket", baskets},
	}
}

func publish(t testing.TB, r *Registry, at time.Time) Manifest {
	t.Helper()
	m, err := r.Publish(t.Context(), Manifest{Site: site, CreatedAt: at, Seed: 7}, artifacts(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var start = time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)

func TestPublishAndLoad(t *testing.T) {
	r := open(t)
	if _, err := r.ChampionVersion(t.Context(), site); !errors.Is(err, ErrNoChampion) {
		t.Fatalf("an empty registry has champion error %v", err)
	}
	if _, ok, err := r.Champion(t.Context(), site); ok || err != nil {
		t.Fatalf("an empty registry has a champion: %v, %v", ok, err)
	}
	m := publish(t, r, start)
	if _, err := r.ChampionVersion(t.Context(), site); !errors.Is(err, ErrNoChampion) {
		t.Fatalf("publishing promoted: %v", err)
	}
	b, err := r.Load(t.Context(), site, m.Version)
	if err != nil {
		t.Fatal(err)
	}
	if b.Manifest.Seed != 7 || b.Vocabulary.Len() != 3 || b.Popularity == nil {
		t.Fatalf("loaded %+v", b)
	}
	for _, a := range artifacts(t)[1:] {
		want := a.Model.(model.Scorer).Score(nil, model.Query{Items: []int32{0}}, 3)
		got := b.Scorers[a.Name].Score(nil, model.Query{Items: []int32{0}}, 3)
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s answers %v after loading, %v before", a.Name, got, want)
		}
	}
	if b.Scorers[popularity.TrendingName] == nil {
		t.Error("trending is not among the scorers")
	}
}

// The same models give the same files, whenever they are published.
func TestArtifactsAreReproducible(t *testing.T) {
	r := open(t)
	first, second := publish(t, r, start), publish(t, r, start.Add(time.Hour))
	if !slices.Equal(first.Files, second.Files) {
		t.Fatalf("files %+v became %+v", first.Files, second.Files)
	}
	if first.Version == second.Version {
		t.Fatal("two versions share a name")
	}
}

func TestDamageIsNamed(t *testing.T) {
	for _, file := range []string{"vocabulary.arrow", "popularity.arrow", "transitions.arrow", "vmisknn.arrow", "content.arrow", "basket.arrow", manifestName} {
		for damage, spoil := range map[string]func(path string) error{
			"a flipped bit": func(path string) error {
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				b[len(b)/2] ^= 1
				if strings.HasSuffix(path, ".json") {
					b[0] = 'x'
				}
				return os.WriteFile(path, b, 0o600)
			},
			"a torn end": func(path string) error { return os.Truncate(path, 20) },
			"no bytes":   func(path string) error { return os.Truncate(path, 0) },
			"more bytes": func(path string) error {
				f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
				if err != nil {
					return err
				}
				_, err = f.WriteString("x")
				return errors.Join(err, f.Close())
			},
		} {
			t.Run(file+" with "+damage, func(t *testing.T) {
				r := open(t)
				m := publish(t, r, start)
				path := filepath.Join(r.Location(""), site, m.Version, file)
				if err := spoil(path); err != nil {
					t.Fatal(err)
				}
				_, err := r.Load(t.Context(), site, m.Version)
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "millrace train") {
					t.Fatalf("gave %v", err)
				}
			})
		}
	}
}

func TestMissingFileIsNamed(t *testing.T) {
	r := open(t)
	m := publish(t, r, start)
	path := filepath.Join(r.Location(""), site, m.Version, "vmisknn.arrow")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(t.Context(), site, m.Version); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
		t.Fatalf("gave %v", err)
	}
}

func TestPromoteAndRollback(t *testing.T) {
	r, ctx := open(t), t.Context()
	var versions []string
	for i := range 3 {
		m := publish(t, r, start.Add(time.Duration(i)*time.Hour))
		versions = append(versions, m.Version)
		for range 2 { // promoting twice is promoting once
			if err := r.Promote(ctx, site, m.Version); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, want := range []string{versions[1], versions[0]} {
		got, err := r.Rollback(ctx, site)
		if err != nil || got != want {
			t.Fatalf("rolled back to %s, %v; want %s", got, err, want)
		}
		if champion, _, err := r.Champion(ctx, site); err != nil || champion.Version != want {
			t.Fatalf("champion is %s, %v", champion.Version, err)
		}
	}
	if _, err := r.Rollback(ctx, site); !errors.Is(err, ErrNothingToRollBackTo) {
		t.Fatalf("rolling back past the first gave %v", err)
	}
	err := r.Promote(ctx, site, "none")
	if !errors.Is(err, ErrUnknownVersion) || !strings.Contains(err.Error(), versions[2]) {
		t.Fatalf("promoting the unknown gave %v", err)
	}
	for _, bad := range []string{"", "..", "../shop", ".publishing-x"} {
		if err := r.Promote(ctx, site, bad); !errors.Is(err, ErrUnknownVersion) {
			t.Errorf("promoting %q gave %v", bad, err)
		}
	}
	if _, err := r.ChampionVersion(ctx, "../shop"); err == nil {
		t.Error("a path passed as a site")
	}
}

func TestOldVersionsGoTheChampionStays(t *testing.T) {
	r, ctx := open(t), t.Context()
	var versions []string
	for i := range KeepVersions + 4 {
		m := publish(t, r, start.Add(time.Duration(i)*time.Minute))
		versions = append(versions, m.Version)
		if i < 2 {
			if err := r.Promote(ctx, site, m.Version); err != nil {
				t.Fatal(err)
			}
		}
	}
	list, err := r.List(ctx, site)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range list {
		got = append(got, m.Version)
	}
	want := append(slices.Clone(versions[4:]), versions[1], versions[0]) // the champion and the one before it
	slices.Sort(want)
	slices.Reverse(want)
	if !slices.Equal(got, want) {
		t.Fatalf("kept %v, want %v", got, want)
	}
}

// failingArtifact stops in the middle, as a full disk does.
type failingArtifact struct{ model.Artifact }

func (failingArtifact) Encode(w io.Writer) error {
	_, err := io.WriteString(w, "half")
	return errors.Join(errors.New("disk full"), err)
}

func TestHalfAVersionIsNone(t *testing.T) {
	r := open(t)
	list := artifacts(t)
	list[3].Model = failingArtifact{list[3].Model}
	if _, err := r.Publish(t.Context(), Manifest{Site: site, CreatedAt: start}, list); err == nil {
		t.Fatal("a failed write was published")
	}
	if left := keys(t, r); len(left) != 0 {
		t.Fatalf("left behind %v", left)
	}
}

// keys lists what a registry has in its bucket.
func keys(t *testing.T, r *Registry) (keys []string) {
	t.Helper()
	for info, err := range r.bucket.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// brokenBucket ends its process, as it were, after some puts: that one and all later ones fail.
type brokenBucket struct {
	objstore.Bucket
	puts int
}

var errEnded = errors.New("the process has ended")

func (b *brokenBucket) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	if b.puts--; b.puts < 0 {
		return errEnded
	}
	return b.Bucket.Put(ctx, key, body, size)
}

func (b *brokenBucket) PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) error {
	if b.puts--; b.puts < 0 {
		return errEnded
	}
	return b.Bucket.PutIfAbsent(ctx, key, body, size)
}

// Wherever a publisher is killed, nobody takes what it left for a version, and after a while it is removed.
func TestAbandonedVersions(t *testing.T) {
	for puts := range 6 { // a marker, four artifacts, the manifest
		r := open(t)
		sound := r.bucket
		r.bucket = &brokenBucket{Bucket: sound, puts: puts}
		if _, err := r.Publish(t.Context(), Manifest{Site: site, CreatedAt: start}, artifacts(t)); !errors.Is(err, errEnded) {
			t.Fatalf("after %d puts: %v", puts, err)
		}
		r.bucket = sound
		if list, err := r.List(t.Context(), site); err != nil || len(list) != 0 {
			t.Fatalf("after %d puts: listed %v, %v", puts, list, err)
		}
		left := keys(t, r)
		next := publish(t, r, start.Add(time.Hour))
		if got := len(keys(t, r)) - len(next.Files) - 1; got != len(left) {
			t.Fatalf("after %d puts: %d objects of what may be under way were left of %d", puts, got, len(left))
		}
		age(t, r, 2*abandonedAfter)
		last := publish(t, r, start.Add(2*time.Hour))
		for _, key := range keys(t, r) {
			if !strings.Contains(key, next.Version) && !strings.Contains(key, last.Version) {
				t.Errorf("after %d puts: left %s", puts, key)
			}
		}
	}
}

// age makes every file of a registry older.
func age(t *testing.T, r *Registry, by time.Duration) {
	t.Helper()
	when := time.Now().Add(-by)
	for _, key := range keys(t, r) {
		if err := os.Chtimes(r.Location(key), when, when); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPublishRefuses(t *testing.T) {
	r := open(t)
	all := artifacts(t)
	for name, c := range map[string]struct {
		m Manifest
		a []Artifact
	}{
		"a bad site":         {Manifest{Site: "No Site", CreatedAt: start}, all},
		"no time":            {Manifest{Site: site}, all},
		"no vocabulary":      {Manifest{Site: site, CreatedAt: start}, all[1:]},
		"a name with a path": {Manifest{Site: site, CreatedAt: start}, append(slices.Clone(all), Artifact{"../x", all[1].Model})},
	} {
		if _, err := r.Publish(t.Context(), c.m, c.a); err == nil {
			t.Errorf("published %s", name)
		}
	}
}

// While one goroutine promotes back and forth, a reader always finds a champion.
func TestChampionIsNeverAbsent(t *testing.T) {
	r, ctx := open(t), t.Context()
	a, b := publish(t, r, start), publish(t, r, start.Add(time.Hour))
	if err := r.Promote(ctx, site, a.Version); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for i := range 50 {
			if err := r.Promote(ctx, site, []string{b.Version, a.Version}[i%2]); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		v, err := r.ChampionVersion(ctx, site)
		if err != nil || (v != a.Version && v != b.Version) {
			t.Fatalf("champion %q, %v", v, err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}

func BenchmarkChampionVersion(b *testing.B) {
	r := open(b)
	m := publish(b, r, start)
	if err := r.Promote(b.Context(), site, m.Version); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := r.ChampionVersion(b.Context(), site); err != nil {
			b.Fatal(fmt.Errorf("poll: %w", err))
		}
	}
}
