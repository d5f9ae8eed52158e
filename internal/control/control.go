// Package control is the control store: what operators and roles agree on besides events. It holds API keys (hashed),
// placements, jobs, leases, topic epochs and the import ledger in one SQL schema. The store is a SQLite file that
// several processes open at once; the SQL is kept to what PostgreSQL reads too.
package control

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite" // also registers the database/sql driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// CacheAge is how old a cached key or placement may be, in every role: a revoked key stops working within it.
	CacheAge = time.Second

	// busyTimeoutMillis is how long a statement waits for another process's write lock. Writes here take a few
	// milliseconds, so five seconds means that something is badly wrong.
	busyTimeoutMillis = 5000

	// maxConnections bounds the open SQLite connections of one process; more only queue behind one write lock.
	maxConnections = 4

	// fileMode keeps key hashes and job details from other users of the machine. SQLite gives its -wal and -shm
	// files the mode of the database file.
	fileMode = 0o600
)

// ErrNewerSchema means that a newer Millrace wrote the file.
var ErrNewerSchema = errors.New("control store was written by a newer version of millrace; run that version, or restore a backup")

//go:embed schema/*.sql
var schemaFiles embed.FS

// Store is an open control store. It is safe for concurrent use, and several processes may hold the same file open.
type Store struct {
	db         *sql.DB
	keys       *cached[map[string]Key]
	placements *cached[map[string]map[string]Placement]
}

// Open opens the control store in the file path, creating it (mode 0600) and bringing its schema up to date.
func Open(ctx context.Context, path string) (*Store, error) {
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, fmt.Errorf("open control store %s: %w", path, err)
	}
	db.SetMaxOpenConns(maxConnections)
	db.SetMaxIdleConns(maxConnections)
	if err := migrateWhenFree(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("open control store %s: %w", path, err), db.Close())
	}
	s := &Store{db: db}
	s.keys = &cached[map[string]Key]{load: s.loadKeys}
	s.placements = &cached[map[string]map[string]Placement]{load: s.loadPlacements}
	return s, nil
}

// Close closes the store's connections.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close control store: %w", err)
	}
	return nil
}

// createPrivate makes the file with its final mode before SQLite would make it with the process's umask, and takes
// group and world rights from a file that has them. A file that exists is never opened here: closing any descriptor of
// a file drops every POSIX lock that the process has on it, also those of a store that is open already.
func createPrivate(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("create control store: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create control store: %w", err)
	}
	if err := os.Chmod(path, fileMode); err != nil {
		return fmt.Errorf("protect control store: %w", err)
	}
	return nil
}

// dsn asks for WAL (readers never wait for the writer), a full fsync at commit (an acknowledged key or ledger row
// survives a power cut) and write transactions that take their lock at BEGIN, so that none fails half-way as busy.
func dsn(path string) string {
	q := url.Values{}
	q.Add("_pragma", "busy_timeout("+strconv.Itoa(busyTimeoutMillis)+")")
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", "foreign_keys(1)")
	q.Set("_txlock", "immediate")
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// migrateWhenFree migrates, again and again while other processes switch a fresh file to WAL: for that one moment SQLite
// answers "busy" at once, whatever the busy timeout.
func migrateWhenFree(ctx context.Context, db *sql.DB) error {
	const pause = 10 * time.Millisecond
	deadline := time.Now().Add(busyTimeoutMillis * time.Millisecond)
	for {
		err := migrate(ctx, db)
		var busy *sqlite.Error
		if !errors.As(err, &busy) || busy.Code()&0xff != sqlite3.SQLITE_BUSY || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// migrate applies every schema file above the stored version, in one transaction: of several processes that start
// together, one migrates and the others find the work done.
func migrate(ctx context.Context, db *sql.DB) error {
	names, err := fs.Glob(schemaFiles, "schema/*.sql")
	if err != nil {
		return fmt.Errorf("list schema: %w", err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin migration: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // a no-op after Commit
	if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)`); err != nil {
		return fmt.Errorf("create schema version: %w", err)
	}
	var version int
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM schema_version`).Scan(&version); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if version > len(names) {
		return fmt.Errorf("%w (schema %d, this version knows %d)", ErrNewerSchema, version, len(names))
	}
	for i := version; i < len(names); i++ {
		text, err := schemaFiles.ReadFile(names[i])
		if err != nil {
			return fmt.Errorf("read schema: %w", err)
		}
		if _, err := tx.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("apply schema %s: %w", names[i], err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO schema_version (version) VALUES (?)`, i+1); err != nil {
			return fmt.Errorf("write schema version: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit migration: %w", err)
	}
	return nil
}

// clip shortens a caller's text for an error message.
func clip(text string) string {
	const longest = 64
	if len(text) > longest {
		return strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return text
}

// millis is the stored form of a time; the zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is the inverse of millis.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
