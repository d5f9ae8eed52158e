package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/sqldb"
)

// RecordPlace names a record of a topic in one of the topic's lives.
type RecordPlace struct {
	Topic     string
	Epoch     int64
	Partition int32
	Offset    int64
}

// ReplayedLetter says that the record at Source, which the dead letter at Letter holds, was sent again.
type ReplayedLetter struct {
	Source, Letter RecordPlace
}

// LetterReplayed reports whether the record at a place was sent again.
func (s *Store) LetterReplayed(ctx context.Context, source RecordPlace) (bool, error) {
	var at int64
	err := s.db.QueryRowContext(ctx,
		`SELECT replayed_at FROM replayed_letters WHERE topic = ? AND epoch = ? AND partition_number = ? AND record_offset = ?`,
		source.Topic, source.Epoch, source.Partition, source.Offset).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up replayed letter: %w", err)
	}
	return true, nil
}

// RememberLetters keeps that letters were replayed. Of a record that stands in two letters, because a crash came between
// writing the first and moving on, the later letter is kept.
func (s *Store) RememberLetters(ctx context.Context, letters []ReplayedLetter) error {
	now := millis(time.Now())
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		for _, l := range letters {
			_, err := tx.ExecContext(ctx,
				`INSERT INTO replayed_letters (topic, epoch, partition_number, record_offset, letter_epoch, letter_partition, letter_offset, replayed_at)
				 VALUES (?, ?, ?, ?, ?, ?, ?, ?)
				 ON CONFLICT (topic, epoch, partition_number, record_offset) DO UPDATE SET
				 letter_epoch = excluded.letter_epoch, letter_partition = excluded.letter_partition, letter_offset = excluded.letter_offset`,
				l.Source.Topic, l.Source.Epoch, l.Source.Partition, l.Source.Offset, l.Letter.Epoch, l.Letter.Partition, l.Letter.Offset, now)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remember replayed letters: %w", err)
	}
	return nil
}

// ForgetLetters drops what is remembered of letters before a place in the dead letters' topic: retention has removed them.
func (s *Store) ForgetLetters(ctx context.Context, before RecordPlace) error {
	_, err := s.db.ExecContext(ctx,
		`DELETE FROM replayed_letters WHERE letter_partition = ? AND (letter_epoch < ? OR (letter_epoch = ? AND letter_offset < ?))`,
		before.Partition, before.Epoch, before.Epoch, before.Offset)
	if err != nil {
		return fmt.Errorf("forget replayed letters: %w", err)
	}
	return nil
}
