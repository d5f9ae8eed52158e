package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/sqldb"
)

// RequestRebuild asks for all states of a topic to be made again and returns the generation that they will have then. The
// request outlives every process.
func (s *Store) RequestRebuild(ctx context.Context, topic string) (generation int64, err error) {
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.ExecContext(ctx,
			`INSERT INTO feature_rebuilds (topic, generation, requested_at) VALUES (?, 1, ?)
			 ON CONFLICT (topic) DO UPDATE SET generation = feature_rebuilds.generation + 1, requested_at = excluded.requested_at`,
			topic, millis(time.Now()))
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT generation FROM feature_rebuilds WHERE topic = ?`, topic).Scan(&generation)
	})
	if err != nil {
		return 0, fmt.Errorf("request rebuild of %s: %w", topic, err)
	}
	return generation, nil
}

// WantedRebuild is the generation that was requested last, 0 when none was.
func (s *Store) WantedRebuild(ctx context.Context, topic string) (generation int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT generation FROM feature_rebuilds WHERE topic = ?`, topic).Scan(&generation)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read wanted rebuild of %s: %w", topic, err)
	}
	return generation, nil
}
