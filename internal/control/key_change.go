package control

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/sqldb"
)

const (
	// DefaultOverlap is how long a rotated secret goes on working: a day covers a deployment with its caches.
	DefaultOverlap = 24 * time.Hour
	// MaxOverlap bounds it. Longer, and nobody remembers that two secrets are in force.
	MaxOverlap = 90 * 24 * time.Hour
)

// ErrBadOverlap means an overlap below 0 or above MaxOverlap.
var ErrBadOverlap = fmt.Errorf("the overlap must be within 0 and %s", MaxOverlap)

// KeyByID finds a key of a site by its id, revoked ones included; an empty site is any. None is ErrUnknownKey.
func (s *Store) KeyByID(ctx context.Context, site, id string) (Key, error) {
	k, err := keyByID(ctx, s.db, site, id)
	if err != nil {
		return k, fmt.Errorf("key %q: %w", clip(id), err)
	}
	return k, nil
}

func keyByID(ctx context.Context, from rowsOf, site, id string) (found Key, err error) {
	known := false
	err = eachKey(ctx, from, `id = ? AND (? = '' OR site = ?)`, func(_, _ string, k Key) { found, known = k, true }, id, site, site)
	if err == nil && !known {
		err = ErrUnknownKey
	}
	return found, err
}

// RotateKey gives a key another secret, which is shown this once. The former one works until the overlap is over; one that was
// still in force from a rotation before ends at once. An empty site is any; a key that is unknown or ended is ErrUnknownKey.
func (s *Store) RotateKey(ctx context.Context, site, id string, overlap time.Duration) (Key, string, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return Key{}, "", fmt.Errorf("rotate key %q: %w", clip(id), ErrBadOverlap)
	}
	var k Key
	var secret string
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) (err error) {
		if k, err = keyByID(ctx, tx, site, id); err != nil {
			return err
		}
		now := storedNow()
		if !k.RevokedAt.IsZero() || !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt) {
			return ErrUnknownKey
		}
		before := k
		k.PreviousHint, k.PreviousUntil, k.RotatedAt = k.Hint, now.Add(overlap), now
		secret, k.Hint = newSecret(k.Kind)
		_, err = tx.ExecContext(ctx, `UPDATE keys SET previous_hash = hash, previous_hint = hint, previous_until = ?, hash = ?, hint = ?, rotated_at = ?
			 WHERE id = ?`, millis(k.PreviousUntil), hashSecret(secret), k.Hint, millis(now), k.ID)
		if err != nil {
			return err
		}
		return s.audit(ctx, tx, AuditEntry{Site: k.Site, Action: "key.rotate", Target: k.ID, Before: before, After: k})
	})
	if err != nil {
		return Key{}, "", fmt.Errorf("rotate key %q: %w", clip(id), err)
	}
	s.keys.drop()
	return k, secret, nil
}

// RevokeKey ends a key of a site by its id, with all its secrets: at once in this process, within CacheAge in others. An empty site
// is any. Revoking twice keeps the first time; an unknown id is ErrUnknownKey.
func (s *Store) RevokeKey(ctx context.Context, site, id string) error {
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		k, err := keyByID(ctx, tx, site, id)
		if err != nil || !k.RevokedAt.IsZero() {
			return err
		}
		before := k
		k.RevokedAt = storedNow()
		if _, err := tx.ExecContext(ctx, `UPDATE keys SET revoked_at = ? WHERE id = ?`, millis(k.RevokedAt), k.ID); err != nil {
			return err
		}
		return s.audit(ctx, tx, AuditEntry{Site: k.Site, Action: "key.revoke", Target: k.ID, Before: before, After: k})
	})
	if err != nil {
		return fmt.Errorf("revoke key %q: %w", clip(id), err)
	}
	s.keys.drop()
	return nil
}
