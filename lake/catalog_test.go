package lake

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/objstore/s3test"
	"github.com/millrace/millrace/internal/sqldb/postgrestest"
)

// The contract of a lake is its suite of tests that several processes, faults and crashes meet in. It runs on every kind of
// catalog over every kind of storage.

// s3Faults is what befalls the requests to the store of these tests: a tenth of them does not go as it should.
var s3Faults = s3test.Rates{Refused: 0.01, Lost: 0.02, Late: 0.01, Cut: 0.01, Slow: 0.05}

// catalogKind makes catalogs of one kind; place configures a new one for a lake whose files are there.
type catalogKind struct {
	name  string
	start func(t *testing.T) (place func(cfg Config, in files) Config)
}

func catalogKinds() []catalogKind {
	return []catalogKind{
		{"sqlite", func(t *testing.T) func(Config, files) Config {
			return func(cfg Config, _ files) Config {
				cfg.Catalog = filepath.Join(t.TempDir(), "catalog.db")
				return cfg
			}
		}},
		{"postgres", func(t *testing.T) func(Config, files) Config {
			server := postgrestest.Start(t)
			return func(cfg Config, _ files) Config {
				cfg.Catalog = server.Database(t)
				return cfg
			}
		}},
		{"rest", func(t *testing.T) func(Config, files) Config {
			return func(cfg Config, in files) Config {
				server, url := startRESTServer(t, in, 1)
				t.Cleanup(func() { t.Logf("faults of the catalog: %v", server.faults) })
				cfg.Catalog, cfg.REST.Token = url, server.token
				return cfg
			}
		}},
	}
}

// onEachStore runs a test on every kind of lake, all at once, because faults are mostly waited for; fresh configures a new one.
func onEachStore(t *testing.T, test func(t *testing.T, fresh func() Config)) {
	onOneStoreAfterTheOther(t, func(t *testing.T, fresh func() Config) {
		t.Parallel()
		test(t, fresh)
	})
}

// onOneStoreAfterTheOther is onEachStore for a test that nothing may run beside.
func onOneStoreAfterTheOther(t *testing.T, test func(t *testing.T, fresh func() Config)) {
	for i, kind := range catalogKinds() {
		t.Run("local/"+kind.name, func(t *testing.T) {
			catalog := kind.start(t)
			test(t, func() Config { return catalog(Config{Dir: t.TempDir()}, localFiles{}) })
		})
		t.Run("s3/"+kind.name, func(t *testing.T) {
			catalog, store := kind.start(t), s3test.Start(t)
			n := 0
			store.Faults.Set(uint64(i), s3Faults)
			t.Cleanup(func() { t.Logf("faults: %v", store.Faults.Count()) })
			test(t, func() Config {
				n++
				cfg := store.Config(fmt.Sprint("lakes/", n))
				bucket, err := objstore.OpenS3(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(bucket.Close)
				return catalog(Config{Dir: t.TempDir(), S3: &cfg}, bucketFiles{bucket: bucket, root: cfg.Location()})
			})
		})
	}
}
