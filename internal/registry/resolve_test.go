package registry

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Whoever names a version means one, and is told which there are instead of being given another.
func TestResolve(t *testing.T) {
	r := open(t)
	if _, err := r.Resolve(t.Context(), site, "champion"); !errors.Is(err, ErrNoChampion) {
		t.Errorf("champion of nothing: %v", err)
	}
	if _, err := r.Resolve(t.Context(), site, "2026"); !errors.Is(err, ErrUnknownVersion) {
		t.Errorf("version of nothing: %v", err)
	}
	var versions []string
	for _, day := range []int{1, 2} {
		m, err := r.Publish(t.Context(), Manifest{Site: site, CreatedAt: time.Date(2026, 3, day, 12, 0, 0, 0, time.UTC)}, artifacts(t))
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, m.Version)
	}
	if err := r.Promote(t.Context(), site, versions[0]); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"champion": versions[0], versions[1]: versions[1], "20260302": versions[1], "20260301T12": versions[0]} {
		if got, err := r.Resolve(t.Context(), site, name); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"", "2027", "../x", versions[0] + "0"} {
		if got, err := r.Resolve(t.Context(), site, name); !errors.Is(err, ErrUnknownVersion) || !strings.Contains(err.Error(), versions[0]) {
			t.Errorf("%q is %q, %v, want an error that names what there is", name, got, err)
		}
	}
	got, err := r.Resolve(t.Context(), site, "202603")
	if !errors.Is(err, ErrAmbiguousVersion) || errors.Is(err, ErrUnknownVersion) || !strings.Contains(err.Error(), versions[0]) || !strings.Contains(err.Error(), versions[1]) {
		t.Errorf("a beginning of both is %q, %v", got, err)
	}
}
