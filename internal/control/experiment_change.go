package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/sqldb"
)

var experimentTable = documents[Experiment]{
	table: "experiments", column: "experiment", most: MaxExperiments, tooMany: ErrTooManyExperiments, tooLong: ErrLongExperiment,
	restore: func(e *Experiment, site, id string, revision int64) { e.Site, e.ID, e.Revision = site, id, revision },
}

// ExperimentStateError means that what was asked for cannot be done with an experiment where it stands.
type ExperimentStateError struct {
	ID    string
	State ExperimentState
}

func (e *ExperimentStateError) Error() string {
	return fmt.Sprintf("experiment %s is %s", e.ID, map[ExperimentState]string{
		ExperimentDraft: "a draft", ExperimentRunning: "running", ExperimentStopped: "stopped",
	}[e.State])
}

// PlacementTestedError means that an experiment runs on a placement: no other can be started there, and the placement stays as it is.
type PlacementTestedError struct{ Placement, Experiment string }

func (e *PlacementTestedError) Error() string {
	return fmt.Sprintf("experiment %s runs on placement %s", e.Experiment, e.Placement)
}

// Experiments are those of a site by id, as they stand now.
func (s *Store) Experiments(ctx context.Context, site string) ([]Experiment, error) {
	all, err := experimentTable.read(ctx, s.db, `WHERE site = ?`, site)
	slices.SortFunc(all[site], func(a, b Experiment) int { return cmp.Compare(a.ID, b.ID) })
	return all[site], err
}

// Experiment is one of them; ErrUnknownExperiment where there is none.
func (s *Store) Experiment(ctx context.Context, site, id string) (Experiment, error) {
	e, err := experimentTable.find(ctx, s.db, site, id)
	if err != nil {
		return Experiment{}, err
	}
	if e == nil {
		return Experiment{}, ErrUnknownExperiment
	}
	return *e, nil
}

// PutExperiment stores an experiment as a draft and returns it with its revision. One that is not a draft any more stays, which is an
// *ExperimentStateError. IfMatch is as for PutRule.
func (s *Store) PutExperiment(ctx context.Context, e Experiment, ifMatch string) (Experiment, error) {
	if err := e.Check(); err != nil {
		return e, fmt.Errorf("put experiment: %w", err)
	}
	e.State, e.StartedAt, e.StoppedAt = ExperimentDraft, time.Time{}, time.Time{}
	return s.changeExperiment(ctx, e.Site, e.ID, ifMatch, "put", func(_ *sqldb.Tx, before *Experiment, now time.Time) (*Experiment, error) {
		e.Revision = 1
		if before != nil {
			if before.State != ExperimentDraft {
				return nil, &ExperimentStateError{before.ID, before.State}
			}
			e.Revision = before.Revision + 1
		}
		e.UpdatedAt = now
		return &e, nil
	})
}

// StartExperiment lets a draft run. It returns ErrUnknownExperiment, an *ExperimentStateError where it has been stopped, a
// *PlacementTestedError where another runs on the placement, and an *UnknownPlacementError where that is gone. One that runs is returned
// as it stands.
func (s *Store) StartExperiment(ctx context.Context, site, id, ifMatch string) (Experiment, error) {
	return s.changeExperiment(ctx, site, id, ifMatch, "start", func(tx *sqldb.Tx, before *Experiment, now time.Time) (*Experiment, error) {
		switch {
		case before == nil:
			return nil, ErrUnknownExperiment
		case before.State == ExperimentRunning:
			return before, nil
		case before.State != ExperimentDraft:
			return nil, &ExperimentStateError{before.ID, before.State}
		}
		p, err := findPlacement(ctx, tx, site, before.Placement)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return nil, &UnknownPlacementError{Site: site, Name: before.Placement, Known: Kinds()}
		}
		if err := untested(ctx, tx, site, before.Placement); err != nil {
			return nil, err
		}
		e := *before
		e.State, e.StartedAt, e.UpdatedAt, e.Revision = ExperimentRunning, now, now, e.Revision+1
		return &e, nil
	})
}

// StopExperiment ends one that runs, for good. It returns ErrUnknownExperiment, and an *ExperimentStateError for a draft. One that was
// stopped is returned as it stands.
func (s *Store) StopExperiment(ctx context.Context, site, id, ifMatch string) (Experiment, error) {
	return s.changeExperiment(ctx, site, id, ifMatch, "stop", func(_ *sqldb.Tx, before *Experiment, now time.Time) (*Experiment, error) {
		switch {
		case before == nil:
			return nil, ErrUnknownExperiment
		case before.State == ExperimentStopped:
			return before, nil
		case before.State != ExperimentRunning:
			return nil, &ExperimentStateError{before.ID, before.State}
		}
		e := *before
		e.State, e.StoppedAt, e.UpdatedAt, e.Revision = ExperimentStopped, now, now, e.Revision+1
		return &e, nil
	})
}

// DeleteExperiment forgets an experiment that does not run. One that does is an *ExperimentStateError.
func (s *Store) DeleteExperiment(ctx context.Context, site, id, ifMatch string) error {
	_, err := s.changeExperiment(ctx, site, id, ifMatch, "delete", func(_ *sqldb.Tx, before *Experiment, _ time.Time) (*Experiment, error) {
		switch {
		case before == nil:
			return nil, ErrUnknownExperiment
		case before.State == ExperimentRunning:
			return nil, &ExperimentStateError{before.ID, before.State}
		}
		return nil, nil //nolint:nilnil // it is gone
	})
	return err
}

// changeExperiment lets a change say how an experiment stands after it: as it stood, otherwise, or not any more, which is nil.
func (s *Store) changeExperiment(ctx context.Context, site, id, ifMatch, verb string,
	change func(tx *sqldb.Tx, before *Experiment, now time.Time) (*Experiment, error),
) (after Experiment, err error) {
	defer s.running.drop()
	now, err := s.now(ctx)
	if err != nil {
		return after, fmt.Errorf("%s experiment %s: %w", verb, clip(id), err)
	}
	err = changeRow(ctx, s.db, ifMatch, func(tx *sqldb.Tx) (*Experiment, error) { return experimentTable.find(ctx, tx, site, id) },
		func(tx *sqldb.Tx, before *Experiment) error {
			e, err := change(tx, before, now)
			switch {
			case err != nil:
				return err
			case e == nil:
				err = experimentTable.remove(ctx, tx, site, id)
			case e == before:
				after = *e
				return nil
			default:
				after, err = *e, putExperiment(ctx, tx, e)
			}
			if err != nil {
				return err
			}
			return s.audit(ctx, tx, AuditEntry{Site: site, Action: "experiment." + verb, Target: id, Before: orNil(before), After: orNil(e)})
		})
	if err != nil {
		return after, fmt.Errorf("%s experiment %s: %w", verb, clip(id), err)
	}
	return after, nil
}

// putExperiment writes an experiment, and where it runs.
func putExperiment(ctx context.Context, tx *sqldb.Tx, e *Experiment) error {
	if err := experimentTable.put(ctx, tx, *e, e.Site, e.ID, e.Revision, e.UpdatedAt); err != nil {
		return err
	}
	running := ""
	if e.State == ExperimentRunning {
		running = e.Placement
	}
	_, err := tx.ExecContext(ctx, `UPDATE experiments SET running = ? WHERE site = ? AND id = ?`, running, e.Site, e.ID)
	return err
}

// untested is a *PlacementTestedError where an experiment runs on a placement.
func untested(ctx context.Context, tx *sqldb.Tx, site, placement string) error {
	all, err := experimentTable.read(ctx, tx, `WHERE site = ? AND running = ?`, site, placement)
	if err != nil {
		return err
	}
	for i := range all[site] {
		return &PlacementTestedError{placement, all[site][i].ID}
	}
	return nil
}
