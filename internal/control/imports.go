package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// ErrOtherMapping is what an *OtherMappingError is.
var ErrOtherMapping = errors.New("file is known under another mapping")

// OtherMappingError says that a file was imported before with other columns: doing it again would double its events.
type OtherMappingError struct {
	Site, File   string
	Known, Given string
}

func (e *OtherMappingError) Error() string {
	return fmt.Sprintf("%s was imported into site %s before with another mapping, and importing it again would count its rows "+
		"twice\n  before: %s\n  now:    %s\nrepeat the former mapping to resume, or import into another --site",
		e.File, e.Site, e.Known, e.Given)
}

// Is makes errors.Is(err, ErrOtherMapping) true.
func (e *OtherMappingError) Is(target error) bool { return target == ErrOtherMapping }

// ImportProgress is the ledger's row for one file on one site. Digest identifies the file's bytes; Mapping is the
// canonical text of how its columns are read; NextRow is the first data row (counted from 0) not yet acknowledged by
// the broker; Accepted and Rejected count rows.
type ImportProgress struct {
	Site      string
	Digest    string
	File      string
	Mapping   string
	NextRow   int64
	Accepted  int64
	Rejected  int64
	Done      bool
	StartedAt time.Time
	UpdatedAt time.Time
}

// ImportProgress reads the ledger's row of a file; ok is false for a file never imported.
func (s *Store) ImportProgress(ctx context.Context, site, digest string) (p ImportProgress, ok bool, err error) {
	p = ImportProgress{Site: site, Digest: digest}
	var done int
	var started, updated int64
	err = s.db.QueryRowContext(ctx,
		`SELECT file, mapping, next_row, accepted, rejected, done, started_at, updated_at FROM imports WHERE site = ? AND digest = ?`,
		site, digest).Scan(&p.File, &p.Mapping, &p.NextRow, &p.Accepted, &p.Rejected, &done, &started, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return ImportProgress{}, false, nil
	}
	if err != nil {
		return ImportProgress{}, false, fmt.Errorf("read import ledger: %w", err)
	}
	p.Done, p.StartedAt, p.UpdatedAt = done != 0, fromMillis(started), fromMillis(updated)
	return p, true, nil
}

// SaveImportProgress writes the ledger's row; StartedAt stays that of the first save, and times are set here. A file
// known under another mapping is refused with an *OtherMappingError. Progress never goes back: a save with a smaller
// NextRow than stored changes nothing, so that a repeated run cannot undo what an earlier one achieved.
func (s *Store) SaveImportProgress(ctx context.Context, p ImportProgress) error {
	if err := event.CheckSite(p.Site); err != nil {
		return fmt.Errorf("save import progress: %w", err)
	}
	now := millis(time.Now())
	res, err := s.db.ExecContext(ctx,
		`INSERT INTO imports (site, digest, file, mapping, next_row, accepted, rejected, done, started_at, updated_at)
		 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		 ON CONFLICT (site, digest) DO UPDATE SET file = excluded.file, next_row = excluded.next_row,
		 accepted = excluded.accepted, rejected = excluded.rejected, done = excluded.done, updated_at = excluded.updated_at
		 WHERE imports.mapping = excluded.mapping AND imports.next_row <= excluded.next_row AND imports.done <= excluded.done`,
		p.Site, p.Digest, p.File, p.Mapping, p.NextRow, p.Accepted, p.Rejected, toInt(p.Done), now, now)
	if err != nil {
		return fmt.Errorf("save import progress: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	known, _, err := s.ImportProgress(ctx, p.Site, p.Digest)
	if err != nil {
		return err
	}
	if known.Mapping != p.Mapping {
		return &OtherMappingError{Site: p.Site, File: p.File, Known: known.Mapping, Given: p.Mapping}
	}
	return nil
}

// CheckImport returns the ledger's row of a file about to be imported, or a fresh one; a file known under another
// mapping is an *OtherMappingError. It writes nothing.
func (s *Store) CheckImport(ctx context.Context, site, digest, file, mapping string) (ImportProgress, error) {
	p, ok, err := s.ImportProgress(ctx, site, digest)
	switch {
	case err != nil:
		return ImportProgress{}, err
	case !ok:
		return ImportProgress{Site: site, Digest: digest, File: file, Mapping: mapping}, nil
	case p.Mapping != mapping:
		return ImportProgress{}, &OtherMappingError{Site: site, File: file, Known: p.Mapping, Given: mapping}
	}
	return p, nil
}
