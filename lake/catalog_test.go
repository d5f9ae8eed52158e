package lake

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/objstore/s3test"
	"github.com/millrace/millrace/internal/sqldb/postgrestest"
)

// The contract of a lake is its suite of tests that several processes, faults and crashes meet in. It runs on every kind of
// catalog over every kind of storage.

// s3Faults is what befalls the requests to the store of these tests: a tenth of them does not go as it should.
var s3Faults = s3test.Rates{Refused: 0.02, Lost: 0.03, Late: 0.02, Cut: 0.02, Slow: 0.05}

// onEachStore runs a test on every kind of lake; fresh configures a new one.
func onEachStore(t *testing.T, test func(t *testing.T, fresh func() Config)) {
	catalogs := []struct {
		name string
		new  func(t *testing.T) (place func() string)
	}{
		{"sqlite", func(t *testing.T) func() string {
			return func() string { return filepath.Join(t.TempDir(), "catalog.db") }
		}},
		{"postgres", func(t *testing.T) func() string {
			server := postgrestest.Start(t)
			return func() string { return server.Database(t) }
		}},
	}
	for i, c := range catalogs {
		t.Run("local/"+c.name, func(t *testing.T) {
			catalog := c.new(t)
			test(t, func() Config { return Config{Dir: t.TempDir(), Catalog: catalog()} })
		})
		t.Run("s3/"+c.name, func(t *testing.T) {
			catalog, store := c.new(t), s3test.Start(t)
			n := 0
			store.Faults.Set(uint64(i), s3Faults)
			t.Cleanup(func() { t.Logf("faults: %v", store.Faults.Count()) })
			test(t, func() Config {
				n++
				cfg := store.Config(fmt.Sprint("lakes/", n))
				return Config{Dir: t.TempDir(), S3: &cfg, Catalog: catalog()}
			})
		})
	}
}
