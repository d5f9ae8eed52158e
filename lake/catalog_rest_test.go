package lake

import (
	"errors"
	"strings"
	"testing"
)

func restConfig(t *testing.T) Config {
	t.Helper()
	server, url := startRESTServer(t, localFiles{}, 3)
	return Config{Dir: t.TempDir(), Catalog: url, REST: RESTCatalog{Token: server.token}}
}

// A landing without rows makes a snapshot of its own on such a catalog: it counts what the one before counted, and what was
// built before it is refused.
func TestRESTLandingWithoutRows(t *testing.T) {
	cfg := restConfig(t)
	l, late := openLake(t, cfg), openLake(t, cfg)
	s := newSampler(61)
	empty := s.landEvents(0, 0, 3)
	empty.Events = nil // on a table that has never had a snapshot
	if err := l.Commit(t.Context(), empty); err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(t.Context(), s.landEvents(0, 3, 5)); err != nil {
		t.Fatal(err)
	}
	before := infoOf(t, l)[TableEvents]
	duplicates := s.landEvents(0, 8, 4)
	met := false
	late.hook = func(step string) error { // the other one moves the fence while this one's rows are ready
		if step == stepStaged && !met {
			met = true
			in := duplicates
			in.Events = nil
			return l.Commit(t.Context(), in)
		}
		return nil
	}
	rows := duplicates
	rows.Fences = []Fence{{Topic: rows.Fences[0].Topic, Epoch: 1, From: 8, Next: 10}}
	rows.Events = rows.Events[:2]
	var moved *FenceMovedError
	if err := late.Commit(t.Context(), rows); !met || !errors.As(err, &moved) {
		t.Errorf("a landing from before the fence moved gave %v", err)
	}
	after := infoOf(t, l)[TableEvents]
	if after.SnapshotID == before.SnapshotID || after.Rows != 5 || after.Files != before.Files || after.Bytes != before.Bytes || after.NextOffsets["0"] != 12 {
		t.Errorf("the table was %+v and is %+v", before, after)
	}
	if n := countEvents(t, l, ScanRequest{}); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
	if n := countEvents(t, l, ScanRequest{SnapshotID: before.SnapshotID}); n != 5 {
		t.Errorf("%d rows in the version before, want 5", n)
	}
}

// A catalog that cannot be used says so at once.
func TestRESTRefused(t *testing.T) {
	cfg := restConfig(t)
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"wrong token": {func(c *Config) { c.REST.Token = "wrong" }, "NotAuthorizedException"},
		"no catalog":  {func(c *Config) { c.Catalog += "/elsewhere" }, "/elsewhere"},
		"no server":   {func(c *Config) { c.Catalog = "http://127.0.0.1:1" }, "127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			other := cfg
			c.change(&other)
			l, err := Open(t.Context(), other)
			if err == nil {
				t.Cleanup(func() { _ = l.Close() })
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("opened with %v", err)
			}
		})
	}
}
