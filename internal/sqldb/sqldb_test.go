package sqldb_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/sqldb"
	"github.com/millrace/millrace/internal/sqldb/postgrestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSQLite(t *testing.T) {
	testDB(t, func(t *testing.T) string { return filepath.Join(t.TempDir(), "a b?c#d.db") })
}

func TestPostgres(t *testing.T) {
	server := postgrestest.Start(t)
	testDB(t, func(t *testing.T) string { return server.Database(t) })
}

// testDB is what both databases promise.
func testDB(t *testing.T, place func(*testing.T) string) {
	t.Run("transactions", func(t *testing.T) { testTransactions(t, place(t)) })
	t.Run("rollback", func(t *testing.T) { testRollback(t, place(t)) })
	t.Run("clock", func(t *testing.T) { testClock(t, place(t)) })
}

func open(t *testing.T, place string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// testTransactions lets two processes create one schema and raise one counter by reading and writing it: no schema is made
// twice, and no raise is lost.
func testTransactions(t *testing.T, place string) {
	const each = 20
	ctx := t.Context()
	raise := func(db *sqldb.DB) error {
		return db.InTx(ctx, func(tx *sqldb.Tx) error {
			var n int
			if err := tx.QueryRowContext(ctx, `SELECT n FROM counter WHERE name = ?`, "c").Scan(&n); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `UPDATE counter SET n = ? WHERE name = ?`, n+1, "c")
			return err
		})
	}
	errs := make(chan error, 2)
	for range 2 {
		db := open(t, place)
		go func() {
			err := db.Alone(ctx, func(tx *sqldb.Tx) error {
				_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, n INTEGER NOT NULL);
					INSERT INTO counter VALUES ('c', 0) ON CONFLICT DO NOTHING`)
				return err
			})
			for i := 0; i < each && err == nil; i++ {
				err = raise(db)
			}
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	var n int
	if err := open(t, place).QueryRowContext(ctx, `SELECT n FROM counter`).Scan(&n); err != nil || n != 2*each {
		t.Errorf("%d raises gave %d, %v", 2*each, n, err)
	}
}

func testRollback(t *testing.T, place string) {
	ctx, db := t.Context(), open(t, place)
	boom := errors.New("boom")
	err := db.InTx(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.ExecContext(ctx, `CREATE TABLE gone (n INTEGER)`); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, `INSERT INTO gone VALUES (1)`); err == nil {
		t.Error("a transaction that failed has left its table")
	}
}

func testClock(t *testing.T, place string) {
	now, err := open(t, place).Now(t.Context())
	if err != nil || time.Since(now).Abs() > time.Minute { // the same machine here
		t.Errorf("the clock says %s, %v", now, err)
	}
}

// A wrong URL says what does not answer, and never the password.
func TestUnreachable(t *testing.T) {
	for _, place := range []string{"postgres://millrace:hush@127.0.0.1:1/db", "postgres://millrace:hush@127.0.0.1:x/db"} {
		_, err := sqldb.Open(t.Context(), place)
		if err == nil {
			t.Fatalf("%s was opened", place)
		}
		if closed := strings.Contains(place, ":1/"); sqldb.Unavailable(err) != closed {
			t.Errorf("unavailable is %v of %v", !closed, err)
		}
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}
