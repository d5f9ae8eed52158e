package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"modernc.org/sqlite" // also the database/sql driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

func openSQLite(path string) (*DB, error) {
	pool, err := sql.Open("sqlite", sqliteDSN(path))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &DB{pool, dialect{
		now:   func(context.Context, *sql.DB) (time.Time, error) { return time.Now(), nil }, // all processes are on this machine
		again: sqliteBusy,
	}}, nil
}

// sqliteDSN asks for WAL (readers never wait for the writer), a full fsync at commit (what was acknowledged survives a
// power cut) and write transactions that take their lock at BEGIN, so that none fails half-way as busy.
func sqliteDSN(path string) string {
	q := url.Values{}
	q.Add("_pragma", "busy_timeout("+strconv.FormatInt(lockWait.Milliseconds(), 10)+")")
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", "foreign_keys(1)")
	q.Set("_txlock", "immediate")
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// sqliteBusy reports that another process was in the way. Beside the busy timeout there is one such moment: while another
// process switches a fresh file to WAL, SQLite answers at once.
func sqliteBusy(err error) bool {
	var failed *sqlite.Error
	return errors.As(err, &failed) && failed.Code()&0xff == sqlite3.SQLITE_BUSY
}
