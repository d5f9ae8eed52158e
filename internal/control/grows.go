package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/sqldb"
)

// GrowStep is how far the growing of a topic has come. A step is entered when all before it is done, so that whoever
// finds it goes on from there.
type GrowStep string

const (
	GrowClosing    GrowStep = "closing"    // no new events are taken; those on their way are awaited, applied and landed
	GrowRaising    GrowStep = "raising"    // the topic gets its partitions, the lake its fences, the control store the epoch
	GrowRebuilding GrowStep = "rebuilding" // the states follow the new partitioning; then events are taken again
)

// Grow is a topic that is being grown to a number of partitions.
type Grow struct {
	Topic      string
	Partitions int32
	Step       GrowStep
	Age        time.Duration // since it was asked for, by the clock that all processes share
}

// ErrGrowing is what a *GrowingError is.
var ErrGrowing = errors.New("topic is being grown to another count")

// GrowingError says that a topic is on its way to another number of partitions than asked for.
type GrowingError struct {
	Topic            string
	Running, Refused int32
}

func (e *GrowingError) Error() string {
	return fmt.Sprintf("topic %s is being grown to %d partitions; ask for %d when that is done", e.Topic, e.Running, e.Refused)
}

// Is makes errors.Is(err, ErrGrowing) true.
func (e *GrowingError) Is(target error) bool { return target == ErrGrowing }

// StartGrow begins to grow a topic at a step. One that is on its way to the same count goes on where it is, and one that has
// it is left alone: whoever crashed in between asks again.
func (s *Store) StartGrow(ctx context.Context, topic string, partitions int32, first GrowStep) error {
	at, err := s.now(ctx)
	if err != nil {
		return fmt.Errorf("grow topic %s: %w", topic, err)
	}
	now := millis(at)
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		known, err := readEpoch(ctx, tx, topic)
		if err != nil {
			return err
		}
		running, ok, err := readGrow(ctx, tx, topic)
		switch {
		case err != nil:
			return err
		case ok && running.Partitions != partitions:
			return &GrowingError{Topic: topic, Running: running.Partitions, Refused: partitions}
		case ok || partitions == known.Partitions:
			return nil
		case partitions < known.Partitions:
			return fmt.Errorf("it has %d partitions, and none can be taken away", known.Partitions)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO topic_grows (topic, partitions, step, started_at, updated_at) VALUES (?, ?, ?, ?, ?)`,
			topic, partitions, string(first), now, now)
		return err
	})
	s.intake.drop()
	if err != nil {
		return fmt.Errorf("grow topic %s to %d partitions: %w", topic, partitions, err)
	}
	return nil
}

// Grows are the topics that are being grown.
func (s *Store) Grows(ctx context.Context) ([]Grow, error) {
	now, err := s.now(ctx)
	if err != nil {
		return nil, fmt.Errorf("read growing topics: %w", err)
	}
	rows, err := s.db.QueryContext(ctx, `SELECT topic, partitions, step, started_at FROM topic_grows ORDER BY topic`)
	if err != nil {
		return nil, fmt.Errorf("read growing topics: %w", err)
	}
	defer rows.Close()
	var grows []Grow
	for rows.Next() {
		var g Grow
		var started int64
		if err := rows.Scan(&g.Topic, &g.Partitions, &g.Step, &started); err != nil {
			return nil, fmt.Errorf("read growing topics: %w", err)
		}
		g.Age = now.Sub(fromMillis(started))
		grows = append(grows, g)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read growing topics: %w", err)
	}
	return grows, nil
}

func readGrow(ctx context.Context, q queryer, topic string) (g Grow, ok bool, err error) {
	g.Topic = topic
	err = q.QueryRowContext(ctx, `SELECT partitions, step FROM topic_grows WHERE topic = ?`, topic).Scan(&g.Partitions, &g.Step)
	if errors.Is(err, sql.ErrNoRows) {
		return Grow{}, false, nil
	}
	return g, err == nil, err
}

// RaiseGrow enters the step raising: nothing of the topic is on its way any more.
func (s *Store) RaiseGrow(ctx context.Context, topic string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE topic_grows SET step = ?, updated_at = ? WHERE topic = ? AND step = ?`,
		string(GrowRaising), millis(time.Now()), topic, string(GrowClosing))
	if err != nil {
		return fmt.Errorf("grow topic %s: %w", topic, err)
	}
	return nil
}

// OpenGrownEpoch begins the next epoch of a topic that has its partitions now, and of those that grow with it, and enters
// the step rebuilding. Called again it changes nothing.
func (s *Store) OpenGrownEpoch(ctx context.Context, topic string, with ...string) error {
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		g, ok, err := readGrow(ctx, tx, topic)
		if err != nil || !ok || g.Step != GrowRaising {
			return err
		}
		for _, name := range append([]string{topic}, with...) {
			e, err := readEpoch(ctx, tx, name)
			if err != nil {
				return err
			}
			e.Epoch, e.Partitions, e.UpdatedAt = e.Epoch+1, max(e.Partitions, g.Partitions), storedNow()
			if err := writeEpoch(ctx, tx, e); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `UPDATE topic_grows SET step = ?, updated_at = ? WHERE topic = ?`, string(GrowRebuilding), millis(time.Now()), topic)
		return err
	})
	if err != nil {
		return fmt.Errorf("open the next epoch of %s: %w", topic, err)
	}
	return nil
}

// FinishGrow ends the growing of a topic.
func (s *Store) FinishGrow(ctx context.Context, topic string) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM topic_grows WHERE topic = ?`, topic)
	s.intake.drop()
	if err != nil {
		return fmt.Errorf("finish growing topic %s: %w", topic, err)
	}
	return nil
}

// Intake says whether events are taken now, and how many partitions they are spread over. Both come from one moment: who
// finds the door open after a grow knows the new count.
type Intake struct {
	Closed     bool
	Partitions int32 // 0 before the topic is known
}

// Intake reads the intake of events, at most CacheAge old.
func (s *Store) Intake(ctx context.Context) (Intake, error) { return s.intake.get(ctx) }

func (s *Store) loadIntake(ctx context.Context) (in Intake, err error) {
	var growing int
	err = s.db.QueryRowContext(ctx, `SELECT e.partitions, (SELECT COUNT(*) FROM topic_grows g WHERE g.topic = e.topic)
		 FROM topic_epochs e WHERE e.topic = ?`, event.TopicEvents).Scan(&in.Partitions, &growing)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Intake{}, fmt.Errorf("read intake of events: %w", err)
	}
	in.Closed = growing > 0
	return in, nil
}
