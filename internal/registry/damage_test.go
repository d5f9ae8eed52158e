package registry

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// spoil flips one bit in the middle of a version's file and returns the file's path. Of a manifest it spoils the first
// byte too, so that the text is no JSON whichever bit it was.
func spoil(t *testing.T, r *Registry, version, file string) string {
	t.Helper()
	path := filepath.Join(r.Location(""), site, version, file)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if file == manifestName {
		b[0] ^= 1
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkDamage expects a *CorruptError that names the file and the way out.
func checkDamage(t *testing.T, err error, path string) {
	t.Helper()
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || corrupt.Path != path {
		t.Fatalf("gave %v, want damage to %s", err, path)
	}
	for _, want := range []string{path, "millrace train", "millrace models promote"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %s", err, want)
		}
	}
}

func checkChampion(t *testing.T, r *Registry, want string) {
	t.Helper()
	if got, err := r.ChampionVersion(t.Context(), site); err != nil || got != want {
		t.Fatalf("champion is %q, %v; want %q", got, err, want)
	}
}

// Neither a promotion nor a rollback puts a damaged version in force, whichever of its files it is.
func TestADamagedVersionDoesNotComeIntoForce(t *testing.T) {
	for _, file := range []string{"vocabulary.arrow", "popularity.arrow", "transitions.arrow", "vmisknn.arrow", manifestName} {
		t.Run(file, func(t *testing.T) {
			r, ctx := open(t), t.Context()
			oldest, old, sound := publish(t, r, start), publish(t, r, start.Add(time.Hour)), publish(t, r, start.Add(2*time.Hour))
			for _, m := range []Manifest{oldest, old, sound} {
				if err := r.Promote(ctx, site, m.Version); err != nil {
					t.Fatal(err)
				}
			}
			path := spoil(t, r, old.Version, file)
			checkDamage(t, r.Promote(ctx, site, old.Version), path)
			checkChampion(t, r, sound.Version)
			_, err := r.Rollback(ctx, site)
			checkDamage(t, err, path)
			checkChampion(t, r, sound.Version)

			if err := r.Promote(ctx, site, oldest.Version); err != nil { // the way out that the error names
				t.Fatal(err)
			}
			checkChampion(t, r, oldest.Version)
			path = spoil(t, r, oldest.Version, file)
			checkDamage(t, r.Promote(ctx, site, oldest.Version), path) // being the champion is no excuse
		})
	}
}

// A manifest may be sound JSON with sound checksums and still not list enough to serve.
func TestAnIncompleteVersionDoesNotComeIntoForce(t *testing.T) {
	for _, missing := range []string{"vocabulary", "popularity"} {
		r := open(t)
		m := publish(t, r, start)
		version, path := m.Version, filepath.Join(r.Location(""), site, m.Version, manifestName)
		for i, f := range m.Files {
			if f.Kind == missing {
				m.Files = append(m.Files[:i:i], m.Files[i+1:]...)
				break
			}
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		checkDamage(t, r.Promote(t.Context(), site, version), path)
		_, err = r.Load(t.Context(), site, version)
		checkDamage(t, err, path)
	}
}

// A rollback passes over what is gone, for good reason or not.
func TestRollbackPassesOverTheAbsent(t *testing.T) {
	r, ctx := open(t), t.Context()
	var versions []string
	for i := range 3 {
		m := publish(t, r, start.Add(time.Duration(i)*time.Hour))
		versions = append(versions, m.Version)
		if err := r.Promote(ctx, site, m.Version); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(r.Location(""), site, versions[1])); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Rollback(ctx, site); err != nil || got != versions[0] {
		t.Fatalf("rolled back to %q, %v", got, err)
	}
	checkChampion(t, r, versions[0])
}

// Who promotes a version decides which one is in force: a damaged alias file is no obstacle.
func TestPromotionMendsTheAlias(t *testing.T) {
	r, ctx := open(t), t.Context()
	m := publish(t, r, start)
	path := filepath.Join(r.Location(""), site, championName)
	for _, content := range []string{"", "{", `{"version":"../x"}`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := r.ChampionVersion(ctx, site)
		checkDamage(t, err, path)
		if err := r.Promote(ctx, site, m.Version); err != nil {
			t.Fatal(err)
		}
		checkChampion(t, r, m.Version)
	}
}

func TestPredecessors(t *testing.T) {
	r, ctx := open(t), t.Context()
	if _, err := r.Predecessors(ctx, site); !errors.Is(err, ErrNoChampion) {
		t.Fatalf("an empty registry gave %v", err)
	}
	var want []string
	for i := range keepPredecessors + 2 {
		m := publish(t, r, start.Add(time.Duration(i)*time.Hour))
		if err := r.Promote(ctx, site, m.Version); err != nil {
			t.Fatal(err)
		}
		want = append([]string{m.Version}, want...)
	}
	got, err := r.Predecessors(ctx, site)
	if err != nil || strings.Join(got, " ") != strings.Join(want[1:1+keepPredecessors], " ") {
		t.Fatalf("gave %v, %v; want the newest %d after the first of %v", got, err, keepPredecessors, want)
	}
}

// One damaged manifest hides no other version, and is shown itself.
func TestListShowsDamage(t *testing.T) {
	for damage, do := range map[string]func(path string) error{
		"missing": os.Remove,
		"torn":    func(path string) error { return os.Truncate(path, 20) },
		"endless": func(path string) error { return os.Truncate(path, MaxManifestBytes+1) },
		"another's": func(path string) error {
			return os.WriteFile(path, []byte(`{"version":"v","site":"other"}`), 0o600)
		},
	} {
		t.Run(damage, func(t *testing.T) {
			r := open(t)
			first, second, third := publish(t, r, start), publish(t, r, start.Add(time.Hour)), publish(t, r, start.Add(2*time.Hour))
			if err := do(filepath.Join(r.Location(""), site, second.Version, manifestName)); err != nil {
				t.Fatal(err)
			}
			list, err := r.List(t.Context(), site)
			if err != nil || len(list) != 3 {
				t.Fatalf("listed %v, %v", list, err)
			}
			for i, want := range []Manifest{third, second, first} {
				got := list[i]
				if got.Version != want.Version || got.Site != site || !got.CreatedAt.Equal(want.CreatedAt) {
					t.Errorf("entry %d is %+v, want %+v", i, got, want)
				}
				if damaged := want.Version == second.Version; (got.Damaged != "") != damaged {
					t.Errorf("version %s has damage %q", got.Version, got.Damaged)
				} else if damaged && !strings.HasPrefix(got.Damaged, manifestName+": ") {
					t.Errorf("damage %q does not name the file", got.Damaged)
				}
			}
			b, err := json.Marshal(list[0])
			if err != nil || strings.Contains(string(b), "damaged") {
				t.Errorf("a sound manifest is %s, %v", b, err)
			}
		})
	}
}

// Two publishers may remove the same old version.
func TestRemovedTwice(t *testing.T) {
	r := open(t)
	m := publish(t, r, start)
	for range 2 {
		if err := r.removeVersion(t.Context(), site, m.Version); err != nil {
			t.Fatal(err)
		}
	}
	if left := keys(t, r); len(left) != 0 {
		t.Fatalf("left %v", left)
	}
}
