package control

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
)

// What a site has fills its own limits alone, and what it has stays changeable at them.
func TestLimitsAreOfASite(t *testing.T) {
	ctx := t.Context()
	s := openAt(t, filepath.Join(t.TempDir(), "control.db"))
	const counted = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO `
	for _, fill := range []struct {
		insert string
		limit  int
	}{
		{`placements SELECT 'full', 'p' || i, 'popular', 12, 0, '', 0 FROM n`, maxPlacements},
		{`feeds SELECT 'full', 'f' || i, '{}', '{}', '', 0, 0, 0, 0 FROM n`, maxFeeds},
	} {
		if _, err := s.db.ExecContext(ctx, counted+fill.insert, fill.limit); err != nil {
			t.Fatal(err)
		}
	}
	placement := func(site, name string) error {
		return s.PutPlacement(ctx, Placement{Site: site, Name: name, Kind: KindPopular, Limit: 3})
	}
	feed := func(site, name string) error {
		return s.PutFeed(ctx, Feed{Site: site, Name: name, Settings: json.RawMessage(`{}`)})
	}
	if err := placement("full", "one-more"); !errors.Is(err, ErrTooManyPlacements) {
		t.Errorf("one placement more: %v", err)
	}
	if err := feed("full", "one-more"); !errors.Is(err, ErrTooManyFeeds) {
		t.Errorf("one feed more: %v", err)
	}
	for what, err := range map[string]error{
		"another site's placement": placement("other", "p1"), "another site's feed": feed("other", "f1"),
		"a placement that is there": placement("full", "p1"), "a feed that is there": feed("full", "f1"),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
