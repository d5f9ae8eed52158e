package stream

import (
	"context"
	"errors"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/state"
)

// What belongs to erased people is left out where events are applied: it counts for no feature and does not land. A state is
// what the log gives of one ledger. Which one needs no note: the ledger is read when a state is opened and before one is made,
// after the generation that is wanted, and never goes back; and an erasure asks for a generation after it has entered the
// ledger. So the state of a generation knows nothing of anybody who was erased for it, whoever made it.

// Ledgers reads who was erased, as of the call; *control.Store does.
type Ledgers interface {
	Ledger(ctx context.Context) (*erasure.Ledger, error)
	UnfinishedErasures(ctx context.Context) ([]control.Erasure, error)
	LinkErased(ctx context.Context, id string, kind erasure.Kind, hash erasure.Hash) error
}

// readLedger makes the ledger as it stands now that of this process.
func (s *Stream) readLedger(ctx context.Context) error {
	if s.deps.Ledgers == nil {
		return nil
	}
	read, err := s.deps.Ledgers.Ledger(ctx)
	if err != nil {
		return err
	}
	for have := s.ledger.Load(); have.Sequence() < read.Sequence(); have = s.ledger.Load() {
		if s.ledger.CompareAndSwap(have, read) {
			break
		}
	}
	return nil
}

// erased is the ledger as this process read it last.
func (s *Stream) erased() *erasure.Ledger { return s.ledger.Load() }

// errErasing means that states and ledger are of different times at the moment.
var errErasing = errors.New("people are being erased: the states are made again without them; try again when `millrace users erasures` shows no step before rewriting")

// settledLedger reads the ledger, and fails while states still know people who are in it.
func (s *Stream) settledLedger(ctx context.Context) error {
	if s.deps.Ledgers == nil {
		return nil
	}
	unfinished, err := s.deps.Ledgers.UnfinishedErasures(ctx)
	if err != nil {
		return err
	}
	for _, e := range unfinished {
		if e.Step.Before(control.ErasureRewriting) {
			return errErasing
		}
	}
	return s.readLedger(ctx)
}

// newApplier makes an applier that leaves erased people out.
func (s *Stream) newApplier(db *state.DB, partition int32) (*applier, error) {
	a, err := newApplier(db, partition, s.rowShare)
	if err != nil {
		return nil, err
	}
	a.erased = s.erased
	return a, nil
}

// leaves reports whether an event belongs to an erased person, and counts it.
func (a *applier) leaves(e *event.Event) bool {
	if a.erased == nil || !a.erased().Covers(erasure.EventRow(e)) {
		return false
	}
	a.left++
	a.noteLink(e)
	return true
}

// lateLink is a browser in which an erased user was seen, of which the ledger does not know.
type lateLink struct {
	erasure string
	hash    erasure.Hash
}

// noteLink notes the browser of an event that is left out, if it is the first to link it to its user: it comes late, from a device
// that was offline or a file.
func (a *applier) noteLink(e *event.Event) {
	ledger := a.erased()
	for _, id := range ledger.NewLinks(erasure.EventRow(e)) {
		a.links = append(a.links, lateLink{id, ledger.Hash(erasure.KindLinked, e.Site, e.AnonymousID)})
	}
}

// linkErased enters late links into the ledger, which begins their erasures again. It comes before the position moves past them.
func (p *partition) linkErased(ctx context.Context) error {
	for _, l := range p.applier.links {
		if err := p.s.deps.Ledgers.LinkErased(ctx, l.erasure, erasure.KindLinked, l.hash); err != nil {
			return err
		}
	}
	p.applier.links = nil
	return nil
}

// FillerSchema is the schema header of a record without key and value that stands in a log only so that a record before it can
// be deleted: a partition must not be emptied. Readers pass over it.
const FillerSchema = "filler/1"

// isFiller reports whether a record is a filler.
func isFiller(r *kafka.Record) bool {
	if len(r.Key) > 0 || len(r.Value) > 0 {
		return false
	}
	for _, h := range r.Headers {
		if h.Key == event.HeaderSchema && string(h.Value) == FillerSchema {
			return true
		}
	}
	return false
}
