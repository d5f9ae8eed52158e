package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/sqldb"
)

// StateBasis is what the state of a partition was made for: the version of the features, the epoch of the topic (which
// decides what key lives in which partition), and how often operators had asked for a rebuild.
type StateBasis struct {
	Version    int32
	Epoch      int64
	Generation int64
}

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

// ReportState tells what the state of a partition is made for, once it is in force and the online store shows it. A report
// of an earlier epoch than the last one is that of a process which has not heard of it, and changes nothing.
func (s *Store) ReportState(ctx context.Context, topic string, partition int32, b StateBasis) error {
	_, err := s.db.ExecContext(ctx,
		`INSERT INTO state_reports (topic, partition_number, version, epoch, generation, reported_at) VALUES (?, ?, ?, ?, ?, ?)
		 ON CONFLICT (topic, partition_number) DO UPDATE SET version = excluded.version, epoch = excluded.epoch,
		 generation = excluded.generation, reported_at = excluded.reported_at WHERE state_reports.epoch <= excluded.epoch`,
		topic, partition, b.Version, b.Epoch, b.Generation, millis(time.Now()))
	if err != nil {
		return fmt.Errorf("report state of %s/%d: %w", topic, partition, err)
	}
	return nil
}

// ReportedStates are the last reports of all partitions of a topic.
func (s *Store) ReportedStates(ctx context.Context, topic string) (map[int32]StateBasis, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT partition_number, version, epoch, generation FROM state_reports WHERE topic = ?`, topic)
	if err != nil {
		return nil, fmt.Errorf("read states of %s: %w", topic, err)
	}
	defer rows.Close()
	states := make(map[int32]StateBasis)
	for rows.Next() {
		var partition int32
		var b StateBasis
		if err := rows.Scan(&partition, &b.Version, &b.Epoch, &b.Generation); err != nil {
			return nil, fmt.Errorf("read states of %s: %w", topic, err)
		}
		states[partition] = b
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read states of %s: %w", topic, err)
	}
	return states, nil
}
