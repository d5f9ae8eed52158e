package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/sqldb"
)

var (
	// ErrPartitionsChanged is what a *PartitionsChangedError is.
	ErrPartitionsChanged = errors.New("partition count of a topic changed")

	// ErrTopicRecreated is what a *TopicRecreatedError is.
	ErrTopicRecreated = errors.New("topic was recreated")
)

// PartitionsChangedError says that a topic does not have the partitions that Millrace gave it.
type PartitionsChangedError struct {
	Topic       string
	Known, Seen int32
}

func (e *PartitionsChangedError) Error() string {
	return fmt.Sprintf("topic %s has %d partitions, but Millrace knows it with %d: keys would move between partitions and lose "+
		"their order; recreate it with %d partitions, or run `millrace topics adopt %s` to start a new epoch with what is there",
		e.Topic, e.Seen, e.Known, e.Known, e.Topic)
}

// Is makes errors.Is(err, ErrPartitionsChanged) true.
func (e *PartitionsChangedError) Is(target error) bool { return target == ErrPartitionsChanged }

// TopicRecreatedError says that a topic which Millrace knew was missing and has been created anew, empty.
type TopicRecreatedError struct {
	Topic string
	Epoch int64
	At    time.Time
}

func (e *TopicRecreatedError) Error() string {
	return fmt.Sprintf("topic %s (epoch %d) had disappeared and was created anew at %s: events in the old log that had not "+
		"landed are gone; restore the broker's data, or run `millrace topics adopt %s` to go on with the new log",
		e.Topic, e.Epoch, e.At.Format(time.RFC3339), e.Topic)
}

// Is makes errors.Is(err, ErrTopicRecreated) true.
func (e *TopicRecreatedError) Is(target error) bool { return target == ErrTopicRecreated }

// TopicEpoch tells one life of a topic from the next: offsets compare only within an epoch. Epochs count from 1.
type TopicEpoch struct {
	Topic      string
	Epoch      int64
	Partitions int32
	UpdatedAt  time.Time
	// RecreatedAt is when a known topic was found to be created anew; zero once it was adopted.
	RecreatedAt time.Time
}

// TopicEpoch reads what is known of a topic; ok is false for one never seen.
func (s *Store) TopicEpoch(ctx context.Context, topic string) (e TopicEpoch, ok bool, err error) {
	e, err = readEpoch(ctx, s.db, topic)
	if errors.Is(err, sql.ErrNoRows) {
		return TopicEpoch{}, false, nil
	}
	return e, err == nil, err
}

// EnsureEpoch is called at start for every topic, with its partition count and whether this process just created it.
// The first call opens epoch 1. Afterwards another partition count is a *PartitionsChangedError, and a known topic that
// had to be created again is a *TopicRecreatedError, at this and every later start, until AdoptTopic.
func (s *Store) EnsureEpoch(ctx context.Context, topic string, partitions int32, created bool) (TopicEpoch, error) {
	var e TopicEpoch
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		var err error
		e, err = readEpoch(ctx, tx, topic)
		if errors.Is(err, sql.ErrNoRows) {
			e = TopicEpoch{Topic: topic, Epoch: 1, Partitions: partitions, UpdatedAt: storedNow()}
			return writeEpoch(ctx, tx, e)
		}
		if err != nil || !created || !e.RecreatedAt.IsZero() {
			return err
		}
		e.RecreatedAt = storedNow()
		return writeEpoch(ctx, tx, e)
	})
	switch {
	case err != nil:
		return TopicEpoch{}, fmt.Errorf("ensure epoch of %s: %w", topic, err)
	case !e.RecreatedAt.IsZero():
		return TopicEpoch{}, &TopicRecreatedError{Topic: topic, Epoch: e.Epoch, At: e.RecreatedAt}
	case e.Partitions != partitions:
		return TopicEpoch{}, &PartitionsChangedError{Topic: topic, Known: e.Partitions, Seen: partitions}
	}
	return e, nil
}

// AdoptTopic accepts a topic as it is now, whatever happened to it: a new epoch with this partition count begins.
func (s *Store) AdoptTopic(ctx context.Context, topic string, partitions int32) (TopicEpoch, error) {
	if partitions < 1 {
		return TopicEpoch{}, fmt.Errorf("adopt topic %s: %d partitions", topic, partitions)
	}
	var e TopicEpoch
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		known, err := readEpoch(ctx, tx, topic)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		e = TopicEpoch{Topic: topic, Epoch: known.Epoch + 1, Partitions: partitions, UpdatedAt: storedNow()}
		if err := writeEpoch(ctx, tx, e); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM topic_grows WHERE topic = ?`, topic) // it has the partitions that it has
		return err
	})
	s.intake.drop()
	if err != nil {
		return TopicEpoch{}, fmt.Errorf("adopt topic %s: %w", topic, err)
	}
	return e, nil
}

// queryer is what *sqldb.DB and *sqldb.Tx have in common for reading one row.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func readEpoch(ctx context.Context, q queryer, topic string) (TopicEpoch, error) {
	e := TopicEpoch{Topic: topic}
	var updated, recreated int64
	err := q.QueryRowContext(ctx, `SELECT epoch, partitions, updated_at, recreated_at FROM topic_epochs WHERE topic = ?`, topic).
		Scan(&e.Epoch, &e.Partitions, &updated, &recreated)
	if err != nil {
		return TopicEpoch{}, fmt.Errorf("read topic epoch: %w", err)
	}
	e.UpdatedAt, e.RecreatedAt = fromMillis(updated), fromMillis(recreated)
	return e, nil
}

func writeEpoch(ctx context.Context, tx *sqldb.Tx, e TopicEpoch) error {
	_, err := tx.ExecContext(ctx,
		`INSERT INTO topic_epochs (topic, epoch, partitions, updated_at, recreated_at) VALUES (?, ?, ?, ?, ?)
		 ON CONFLICT (topic) DO UPDATE SET epoch = excluded.epoch, partitions = excluded.partitions,
		 updated_at = excluded.updated_at, recreated_at = excluded.recreated_at`,
		e.Topic, e.Epoch, e.Partitions, millis(e.UpdatedAt), millis(e.RecreatedAt))
	if err != nil {
		return fmt.Errorf("write topic epoch: %w", err)
	}
	return nil
}

// storedNow is the time as it reads back from the store.
func storedNow() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
