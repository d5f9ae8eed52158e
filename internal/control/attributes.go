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
	UserID     string          `json:"user_id" doc:"The shop's id of the user." example:"customer-42"`
	Attributes json.RawMessage `json:"attributes" doc:"Texts, numbers and booleans by name."`
	UpdatedAt  time.Time       `json:"updated_at" doc:"When it was written."` // on the database's clock; later writes have later ones
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
func (s *Store) UserAttributes(ctx context.Context, site, user string) (u UserAttributes, ok bool, err error) {
	var attributes string
	var updated int64
	err = s.db.QueryRowContext(ctx, `SELECT attributes, updated_at FROM user_attributes WHERE site = ? AND user_id = ?`, site, user).Scan(&attributes, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return u, false, nil
	}
	if err != nil {
		return u, false, fmt.Errorf("read user attributes: %w", err)
	}
	return UserAttributes{Site: site, UserID: user, Attributes: json.RawMessage(attributes), UpdatedAt: fromMillis(updated)}, true, nil
}

// forgetAttributes removes what a shop said of somebody who is erased. A browser has no attributes.
func forgetAttributes(ctx context.Context, tx *sqldb.Tx, who erasure.Who) error {
	if who.User == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM user_attributes WHERE site = ? AND user_id = ?`, who.Site, who.User)
	return err
}
