// Package control is the control store: what operators and roles agree on besides events. It holds API keys (hashed),
// signing secrets (sealed), placements, rules, experiments, what shops say of their users, jobs, leases, topic epochs, the import
// ledger, that of erased people and the audit log in one SQL schema, which SQLite and PostgreSQL read alike. Several processes have it
// open at once.
package control

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/seal"
	"github.com/millrace/millrace/internal/sqldb"
)

const (
	// CacheAge is how old a cached key or placement may be, in every role, while the store answers: a revoked key stops working
	// within it. While it does not, they stay as they were last read, for at most MaxOutage.
	CacheAge = time.Second

	// fileMode keeps key hashes and job details from other users of the machine. SQLite gives its -wal and -shm
	// files the mode of the database file.
	fileMode = 0o600
)

// ErrNewerSchema means that a newer Millrace wrote the store.
var ErrNewerSchema = errors.New("control store was written by a newer version of millrace; run that version, or restore a backup")

//go:embed schema/*.sql
var schemaFiles embed.FS

// Store is an open control store. It is safe for concurrent use, and several processes may have the same one open.
type Store struct {
	db         *sqldb.DB
	keys       *cached[map[string]secretOf]
	use        keyUses
	audited    atomic.Int64 // entries of the audit log that this process wrote
	placements *cached[map[string]map[string]Placement]
	rules      *cached[map[string][]Rule]              // by site
	running    *cached[map[string]map[string]*Running] // experiments, by site and placement
	intake     *cached[Intake]
	signing    *cached[map[string][]openSigning]
	erased     *cached[erasedPeople]
	ledger     atomic.Pointer[erasure.Ledger] // as it was read last
	erasureKey *erasure.Key                   // set before the store is shared; nil is none
	sealKey    *seal.Key                      // likewise
}

// Open opens the control store at place, a file (created with mode 0600 when missing) or the URL of a PostgreSQL database,
// and brings its schema up to date.
func Open(ctx context.Context, place string) (*Store, error) {
	if !sqldb.IsURL(place) {
		if err := createPrivate(place); err != nil {
			return nil, err
		}
	}
	db, err := sqldb.Open(ctx, place)
	if err != nil {
		return nil, fmt.Errorf("open control store: %w", err)
	}
	if err := db.Alone(ctx, func(tx *sqldb.Tx) error { return migrate(ctx, tx) }); err != nil {
		return nil, errors.Join(fmt.Errorf("open control store: %w", err), db.Close())
	}
	s := &Store{db: db}
	s.keys = &cached[map[string]secretOf]{load: s.loadKeys, outage: MaxOutage}
	s.use.byID = map[string]*keyUse{}
	s.placements = &cached[map[string]map[string]Placement]{load: s.loadPlacements, outage: MaxOutage}
	s.signing = &cached[map[string][]openSigning]{load: s.loadSigning, outage: MaxOutage}
	s.rules = &cached[map[string][]Rule]{load: s.loadRules, outage: MaxOutage}
	s.running = &cached[map[string]map[string]*Running]{load: s.loadRunning, outage: MaxOutage}
	s.intake = &cached[Intake]{load: s.loadIntake}
	s.erased = &cached[erasedPeople]{load: s.loadErased}
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

// migrate applies every schema file above the stored version, in one transaction: of several processes that start
// together, one migrates and the others find the work done.
func migrate(ctx context.Context, tx *sqldb.Tx) error {
	names, err := fs.Glob(schemaFiles, "schema/*.sql")
	if err != nil {
		return fmt.Errorf("list schema: %w", err)
	}
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
	return nil
}

// now is the time on the clock of the database, as it reads back from the store.
func (s *Store) now(ctx context.Context) (time.Time, error) {
	now, err := s.db.Now(ctx)
	return now.UTC().Truncate(time.Millisecond), err
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
