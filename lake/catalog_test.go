package lake

import (
	"testing"

	"github.com/millrace/millrace/internal/sqldb/postgrestest"
)

// onEachCatalog runs a test that several writers meet in on every kind of catalog; fresh configures a new lake.
func onEachCatalog(t *testing.T, test func(t *testing.T, fresh func() Config)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, func() Config { return Config{Dir: t.TempDir()} })
	})
	t.Run("postgres", func(t *testing.T) {
		server := postgrestest.Start(t)
		test(t, func() Config { return Config{Dir: t.TempDir(), Catalog: server.Database(t)} })
	})
}
