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

// PartitionState is the state of a partition as its last owner has claimed it.
type PartitionState struct {
	StateBasis
	Claim int64 // counts the claims, from 1
	Shown bool  // the online store has the rows of exactly this state
}

// ErrClaimEnded means that another process has claimed the state of a partition since.
var ErrClaimEnded = errors.New("the state of the partition was claimed by another process")

// ClaimState takes the word for the state of a partition: whoever claimed it before has it no more, wherever he stands still.
// A state of the basis that is shown already stays shown; of another one nobody can say what the online store has, until
// ReportState says so.
func (s *Store) ClaimState(ctx context.Context, topic string, partition int32, b StateBasis) (PartitionState, error) {
	var mine PartitionState
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		mine = PartitionState{StateBasis: b}
		var last PartitionState
		err := tx.QueryRowContext(ctx, `SELECT version, epoch, generation, claim, shown FROM state_reports WHERE topic = ? AND partition_number = ?`,
			topic, partition).Scan(&last.Version, &last.Epoch, &last.Generation, &last.Claim, &last.Shown)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		mine.Claim, mine.Shown = last.Claim+1, last.Shown && last.StateBasis == b
		_, err = tx.ExecContext(ctx,
			`INSERT INTO state_reports (topic, partition_number, version, epoch, generation, claim, shown, reported_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			 ON CONFLICT (topic, partition_number) DO UPDATE SET version = excluded.version, epoch = excluded.epoch,
			 generation = excluded.generation, claim = excluded.claim, shown = excluded.shown, reported_at = excluded.reported_at`,
			topic, partition, b.Version, b.Epoch, b.Generation, mine.Claim, toInt(mine.Shown), millis(time.Now()))
		return err
	})
	if err != nil {
		return PartitionState{}, fmt.Errorf("claim state of %s/%d: %w", topic, partition, err)
	}
	return mine, nil
}

// ReportState tells that the online store has the rows of exactly the state that was claimed. The word of a claim that is over
// (ErrClaimEnded) changes nothing.
func (s *Store) ReportState(ctx context.Context, topic string, partition int32, claim int64) error {
	result, err := s.db.ExecContext(ctx, `UPDATE state_reports SET shown = ?, reported_at = ? WHERE topic = ? AND partition_number = ? AND claim = ?`,
		toInt(true), millis(time.Now()), topic, partition, claim)
	return changedOne(result, err, fmt.Sprintf("report state of %s/%d", topic, partition), ErrClaimEnded)
}

// ReportedStates are the states of all partitions of a topic that were ever claimed.
func (s *Store) ReportedStates(ctx context.Context, topic string) (map[int32]PartitionState, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT partition_number, version, epoch, generation, claim, shown FROM state_reports WHERE topic = ?`, topic)
	if err != nil {
		return nil, fmt.Errorf("read states of %s: %w", topic, err)
	}
	defer rows.Close()
	states := make(map[int32]PartitionState)
	for rows.Next() {
		var partition int32
		var p PartitionState
		if err := rows.Scan(&partition, &p.Version, &p.Epoch, &p.Generation, &p.Claim, &p.Shown); err != nil {
			return nil, fmt.Errorf("read states of %s: %w", topic, err)
		}
		states[partition] = p
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read states of %s: %w", topic, err)
	}
	return states, nil
}
