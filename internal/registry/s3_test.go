package registry

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/objstore/s3test"
)

// In a store that fails at random, every version that was published is whole, the champion is the one promoted last, and
// old versions go.
func TestS3WithFaults(t *testing.T) {
	store := s3test.Start(t)
	cfg := store.Config("models")
	r, err := Open(t.Context(), objstore.Place{S3: &cfg})
	if err != nil {
		t.Fatal(err)
	}
	store.Faults.Set(11, s3test.Rates{Refused: 0.03, Lost: 0.03, Cut: 0.03, Slow: 0.1})
	var versions []string
	for i := range KeepVersions + 2 {
		m := publish(t, r, start.Add(time.Duration(i)*time.Minute))
		versions = append(versions, m.Version)
	}
	for _, version := range versions[2:] {
		if bundle, err := r.Load(t.Context(), site, version); err != nil || len(bundle.Scorers) == 0 {
			t.Fatalf("load %s: %v", version, err)
		}
	}
	list, err := r.List(t.Context(), site)
	if err != nil || len(list) != KeepVersions {
		t.Fatalf("listed %d versions, %v; want %d", len(list), err, KeepVersions)
	}
	for _, version := range versions[len(versions)-2:] {
		if err := r.Promote(t.Context(), site, version); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := r.ChampionVersion(t.Context(), site); err != nil || got != versions[len(versions)-1] {
		t.Fatalf("champion is %s, %v", got, err)
	}
	if slices.ContainsFunc(keys(t, r), func(key string) bool { return strings.HasSuffix(key, incompleteName) }) {
		t.Errorf("left a marker among %v", keys(t, r))
	}
	if err := r.bucket.Delete(t.Context(), site+"/"+versions[5]+"/vmisknn.arrow"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(t.Context(), site, versions[5]); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "s3://shop/models/shop/"+versions[5]) {
		t.Errorf("a lost file gave %v", err)
	}
}
