package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/sqldb"
)

// PutPlacement stores a placement; one with the name of a standard placement overrides it. It is in force at once in
// this process and within CacheAge in others.
func (s *Store) PutPlacement(ctx context.Context, p Placement) error {
	return s.PutPlacementIf(ctx, p, "")
}

// PutPlacementIf stores a placement if it stands as the caller knows it, by its ETag, or is none and ifMatch is NoETag; else it is
// ErrChanged. An empty ifMatch is whatever stands. While an experiment runs on it, it is a *PlacementTestedError.
func (s *Store) PutPlacementIf(ctx context.Context, p Placement, ifMatch string) error {
	if err := p.Check(); err != nil {
		return fmt.Errorf("put placement: %w", err)
	}
	err := s.changePlacement(ctx, p.Site, p.Name, ifMatch, func(tx *sqldb.Tx, before *Placement) error {
		var others int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM placements WHERE site = ? AND name <> ?`, p.Site, p.Name).Scan(&others); err != nil {
			return err
		}
		if others >= maxPlacements {
			return ErrTooManyPlacements
		}
		_, err := tx.ExecContext(ctx,
			`INSERT INTO placements (site, name, kind, list_limit, browser_readable, settings, updated_at) VALUES (?,?,?,?,?,?,?)
			 ON CONFLICT (site, name) DO UPDATE SET kind = excluded.kind, list_limit = excluded.list_limit,
			 browser_readable = excluded.browser_readable, settings = excluded.settings, updated_at = excluded.updated_at`,
			p.Site, p.Name, p.Kind, p.Limit, toInt(p.BrowserReadable), string(p.Settings), millis(time.Now()))
		if err != nil {
			return err
		}
		return s.audit(ctx, tx, AuditEntry{Site: p.Site, Action: "placement.put", Target: p.Name, Before: stateOf(before), After: stateOf(&p)})
	})
	if err != nil {
		return fmt.Errorf("put placement %s: %w", p.Name, err)
	}
	return nil
}

// DeletePlacement removes what is stored of a placement: a standard one is as it comes, another one is gone. It answers ErrChanged
// and *PlacementTestedError as PutPlacementIf does, and an *UnknownPlacementError where there is none.
func (s *Store) DeletePlacement(ctx context.Context, site, name, ifMatch string) error {
	err := s.changePlacement(ctx, site, name, ifMatch, func(tx *sqldb.Tx, before *Placement) error {
		if before == nil {
			return &UnknownPlacementError{Site: site, Name: name, Known: Kinds()}
		}
		if before.UpdatedAt.IsZero() {
			return nil // a standard one, as it comes
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM placements WHERE site = ? AND name = ?`, site, name); err != nil {
			return err
		}
		return s.audit(ctx, tx, AuditEntry{Site: site, Action: "placement.delete", Target: name, Before: stateOf(before)})
	})
	if err != nil {
		return fmt.Errorf("delete placement %s: %w", clip(name), err)
	}
	return nil
}

// changePlacement changes a placement that no experiment runs on: what is compared there stays the same to the end.
func (s *Store) changePlacement(ctx context.Context, site, name, ifMatch string, change func(tx *sqldb.Tx, before *Placement) error) error {
	defer s.placements.drop()
	return changeRow(ctx, s.db, ifMatch, func(tx *sqldb.Tx) (*Placement, error) { return findPlacement(ctx, tx, site, name) },
		func(tx *sqldb.Tx, before *Placement) error {
			if err := untested(ctx, tx, site, name); err != nil {
				return err
			}
			return change(tx, before)
		})
}

// findPlacement returns a placement as it stands now, nil where there is none.
func findPlacement(ctx context.Context, from rowsOf, site, name string) (*Placement, error) {
	stored, err := readPlacements(ctx, from, `WHERE site = ? AND name = ?`, site, name)
	if err != nil {
		return nil, err
	}
	if p, ok := stored[site][name]; ok {
		return &p, nil
	}
	if slices.Contains(Kinds(), name) {
		p := standardPlacement(site, name)
		return &p, nil
	}
	return nil, nil //nolint:nilnil // there is none
}

// ETag identifies the content of a placement: equal placements have equal ones.
func (p Placement) ETag() string {
	p.UpdatedAt = time.Time{}
	text, err := json.Marshal(p)
	if err != nil {
		return NoETag // settings that are no JSON are never stored
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}

// stateOf is a placement as the audit log has it.
func stateOf(p *Placement) any {
	if p == nil {
		return nil
	}
	state := *p
	state.UpdatedAt = time.Time{}
	return state
}
