package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/seal"
	"github.com/millrace/millrace/internal/sqldb"
)

// signingPrefix starts a signing secret, so that it is not taken for a key.
const signingPrefix = "ss_"

// signingKept is how long the list shows a signing secret that has ended.
const signingKept = 30 * 24 * time.Hour

var (
	// ErrNoSealKey means that the store was opened without the key that signing secrets are sealed with.
	ErrNoSealKey = errors.New("no seal key is configured: set access.seal_key (MILLRACE_ACCESS__SEAL_KEY_FILE names a file with it); " +
		"`openssl rand -hex 32` makes one, and all processes need the same")
	// ErrUnknownSigningSecret means that the site has no signing secret in force with an id.
	ErrUnknownSigningSecret = errors.New("unknown signing secret; `millrace tokens list` shows them")
)

// SigningSecret is what a shop's server signs user tokens with, without the secret itself. The zero ExpiresAt is never.
type SigningSecret struct {
	ID        string    `json:"id" doc:"Names it; no secret." example:"signing_q5xw3m7k2ahd4e6f"`
	Site      string    `json:"site" doc:"Whose tokens it signs." example:"default"`
	Hint      string    `json:"hint" doc:"How it begins." example:"ss_ab3d"`
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
	ExpiresAt time.Time `json:"expires_at,omitzero" doc:"When it ended, or will; absent for the newest."`
}

// UseSealKey sets the key that signing secrets are sealed with, before the store is shared; nil is none.
func (s *Store) UseSealKey(key *seal.Key) { s.sealKey = key }

// RotateSigningSecret makes a site's signing secret, its first or the next, and returns it with its text, which is shown this once.
// The former one signs until the overlap is over; one of before that ends at once.
func (s *Store) RotateSigningSecret(ctx context.Context, site string, overlap time.Duration) (SigningSecret, string, error) {
	fail := func(err error) (SigningSecret, string, error) {
		return SigningSecret{}, "", fmt.Errorf("make a signing secret: %w", err)
	}
	switch {
	case s.sealKey == nil:
		return fail(ErrNoSealKey)
	case overlap < 0 || overlap > MaxOverlap:
		return fail(ErrBadOverlap)
	}
	if err := event.CheckSite(site); err != nil {
		return fail(err)
	}
	text := signingPrefix + randomText(keyBytes)
	made := SigningSecret{ID: newID("signing"), Site: site, Hint: text[:len(signingPrefix)+hintChars], CreatedAt: storedNow()}
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		now := made.CreatedAt
		for _, change := range []struct {
			query string
			args  []any
		}{
			{`DELETE FROM signing_secrets WHERE expires_at > 0 AND expires_at < ?`, []any{millis(now.Add(-signingKept))}},
			{`UPDATE signing_secrets SET expires_at = ? WHERE site = ? AND expires_at > ?`, []any{millis(now), site, millis(now)}},
			{`UPDATE signing_secrets SET expires_at = ? WHERE site = ? AND expires_at = 0`, []any{millis(now.Add(overlap)), site}},
			{`INSERT INTO signing_secrets (id, site, hint, sealed, created_at, expires_at) VALUES (?,?,?,?,?,0)`,
				[]any{made.ID, site, made.Hint, s.sealKey.Seal(signingPlace(made), text), millis(now)}},
		} {
			if _, err := tx.ExecContext(ctx, change.query, change.args...); err != nil {
				return err
			}
		}
		return s.audit(ctx, tx, AuditEntry{Site: site, Action: "signing-secret.rotate", Target: made.ID, After: made})
	})
	if err != nil {
		return fail(err)
	}
	s.signing.drop()
	return made, text, nil
}

// EndSigningSecret ends a signing secret of a site: at once in this process, within CacheAge in others.
func (s *Store) EndSigningSecret(ctx context.Context, site, id string) error {
	now := millis(storedNow())
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE signing_secrets SET expires_at = ? WHERE id = ? AND site = ? AND (expires_at = 0 OR expires_at > ?)`,
			now, id, site, now)
		if err := changedOne(res, err, "end signing secret "+clip(id), ErrUnknownSigningSecret); err != nil {
			return err
		}
		return s.audit(ctx, tx, AuditEntry{Site: site, Action: "signing-secret.end", Target: id})
	})
	s.signing.drop()
	return err
}

// SigningSecrets lists a site's signing secrets, oldest first, with those that ended lately.
func (s *Store) SigningSecrets(ctx context.Context, site string) ([]SigningSecret, error) {
	list := []SigningSecret{}
	err := s.eachSigning(ctx, `site = ?`, func(secret SigningSecret, _ string) error {
		list = append(list, secret)
		return nil
	}, site)
	return list, err
}

// SigningTexts are the signing secrets of a site that are in force, to check tokens with. The answer is at most CacheAge old. It is an
// error where there are some and none can be read.
func (s *Store) SigningTexts(ctx context.Context, site string) ([]string, error) {
	all, err := s.signing.get(ctx)
	if err != nil {
		return nil, fmt.Errorf("read signing secrets: %w", err)
	}
	var texts []string
	now := time.Now()
	for _, secret := range all[site] {
		switch {
		case !secret.ExpiresAt.IsZero() && !now.Before(secret.ExpiresAt):
		case secret.unreadable != nil:
			err = secret.unreadable
		default:
			texts = append(texts, secret.text)
		}
	}
	if len(texts) > 0 {
		return texts, nil
	}
	return nil, err
}

// openSigning is a signing secret with its text, or why that cannot be read. One that cannot takes no other with it.
type openSigning struct {
	SigningSecret
	text       string
	unreadable error
}

func (s *Store) loadSigning(ctx context.Context) (map[string][]openSigning, error) {
	bySite := map[string][]openSigning{}
	err := s.eachSigning(ctx, `expires_at = 0 OR expires_at > ?`, func(secret SigningSecret, sealed string) error {
		text, err := s.openSigning(secret, sealed)
		bySite[secret.Site] = append(bySite[secret.Site], openSigning{secret, text, err})
		return nil
	}, millis(time.Now()))
	return bySite, err
}

func (s *Store) openSigning(secret SigningSecret, sealed string) (string, error) {
	if s.sealKey == nil {
		return "", ErrNoSealKey
	}
	text, err := s.sealKey.Open(signingPlace(secret), sealed)
	if err != nil {
		return "", fmt.Errorf("signing secret %s: %w: restore the former access.seal_key (or seal.key in the data directory), or make a new secret "+
			"with `millrace tokens rotate`", secret.ID, err)
	}
	return text, nil
}

// signingPlace is where a signing secret is kept, as its seal knows it.
func signingPlace(secret SigningSecret) string { return "signing/" + secret.Site + "/" + secret.ID }

func (s *Store) eachSigning(ctx context.Context, where string, visit func(secret SigningSecret, sealed string) error, args ...any) error {
	rows, err := s.db.QueryContext(ctx,
		`SELECT id, site, hint, sealed, created_at, expires_at FROM signing_secrets WHERE `+where+` ORDER BY created_at, id`, args...)
	if err != nil {
		return fmt.Errorf("read signing secrets: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var secret SigningSecret
		var sealed string
		var created, expires int64
		if err := rows.Scan(&secret.ID, &secret.Site, &secret.Hint, &sealed, &created, &expires); err != nil {
			return fmt.Errorf("read signing secrets: %w", err)
		}
		secret.CreatedAt, secret.ExpiresAt = fromMillis(created), fromMillis(expires)
		if err := visit(secret, sealed); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read signing secrets: %w", err)
	}
	return nil
}
