package control

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/sqldb"
)

// UserAttributes is what a shop says of one of its users: a JSON object of names and scalars.
type UserAttributes struct {
	Site       string          `json:"-"`
	UserID     string          `json:"user_id"`
	Attributes json.RawMessage `json:"attributes"`
	UpdatedAt  time.Time       `json:"updated_at"` // on the database's clock; later writes have later ones
}

// PutUserAttributes replaces the attributes of a user and returns them with the time of the write.
func (s *Store) PutUserAttributes(ctx context.Context, u UserAttributes) (UserAttributes, error) {
	if err := errors.Join(event.CheckSite(u.Site), event.CheckID(u.UserID)); err != nil {
		return u, fmt.Errorf("put user attributes: %w", err)
	}
	now, err := s.now(ctx)
	if err != nil {
		return u, fmt.Errorf("put user attributes: %w", err)
	}
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		var before int64
		err := tx.QueryRowContext(ctx, `SELECT updated_at FROM user_attributes WHERE site = ? AND user_id = ?`, u.Site, u.UserID).Scan(&before)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		u.UpdatedAt = fromMillis(max(millis(now), before+1))
		_, err = tx.ExecContext(ctx, `INSERT INTO user_attributes (site, user_id, attributes, updated_at) VALUES (?,?,?,?)
			 ON CONFLICT (site, user_id) DO UPDATE SET attributes = excluded.attributes, updated_at = excluded.updated_at`,
			u.Site, u.UserID, string(u.Attributes), millis(u.UpdatedAt))
		return err
	})
	if err != nil {
		return u, fmt.Errorf("put user attributes: %w", err)
	}
	return u, nil
}

// UserAttributes are those of one user; false where the shop said nothing.
func (s *Store) UserAttributes(ctx context.Context, site, user string) (UserAttributes, bool, error) {
	found := false
	var u UserAttributes
	_, err := s.eachAttributes(ctx, `site = ? AND user_id = ?`, func(row UserAttributes) error {
		u, found = row, true
		return nil
	}, site, user)
	return u, found, err
}

// attributesPage is how many rows EachUserAttributes reads at once.
const attributesPage = 1_000

// EachUserAttributes visits the attributes of all users of all sites, to fill a copy. Writes beside it may be visited or not.
func (s *Store) EachUserAttributes(ctx context.Context, visit func(UserAttributes) error) error {
	var last UserAttributes
	for {
		n, err := s.eachAttributes(ctx, `site > ? OR site = ? AND user_id > ?`, func(row UserAttributes) error {
			last = row
			return visit(row)
		}, last.Site, last.Site, last.UserID)
		if err != nil || n < attributesPage {
			return err
		}
	}
}

func (s *Store) eachAttributes(ctx context.Context, where string, visit func(UserAttributes) error, args ...any) (n int, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT site, user_id, attributes, updated_at FROM user_attributes WHERE `+where+
		` ORDER BY site, user_id LIMIT ?`, append(args, attributesPage)...)
	if err != nil {
		return 0, fmt.Errorf("read user attributes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var u UserAttributes
		var attributes string
		var updated int64
		if err := rows.Scan(&u.Site, &u.UserID, &attributes, &updated); err != nil {
			return n, fmt.Errorf("read user attributes: %w", err)
		}
		u.Attributes, u.UpdatedAt = json.RawMessage(attributes), fromMillis(updated)
		if err := visit(u); err != nil {
			return n, err
		}
		n++
	}
	if err := rows.Err(); err != nil {
		return n, fmt.Errorf("read user attributes: %w", err)
	}
	return n, nil
}

// forgetAttributes removes what a shop said of somebody who is erased. A browser has no attributes.
func forgetAttributes(ctx context.Context, tx *sqldb.Tx, who erasure.Who) error {
	if who.User == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM user_attributes WHERE site = ? AND user_id = ?`, who.Site, who.User)
	return err
}
