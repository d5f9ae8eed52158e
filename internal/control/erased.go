package control

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/sqldb"
)

// erasedPeople is the ledger as it stood at one moment. Both are nil while nobody was erased.
type erasedPeople struct {
	all       *erasure.Ledger
	forgotten *erasure.Ledger // of those whom states and online store may still know
}

// Ledger is everybody who was erased, as of this call, nil while that is nobody. One that has not changed is not read again.
func (s *Store) Ledger(ctx context.Context) (*erasure.Ledger, error) {
	sequence, check, err := readLedgerRow(ctx, s.db)
	if err != nil {
		return nil, wrapLedger(err)
	}
	if last := s.ledger.Load(); last.Sequence() == sequence {
		return last, nil
	}
	switch {
	case s.erasureKey == nil:
		return nil, wrapLedger(ErrNoErasureKey)
	case check != s.erasureKey.Check():
		return nil, wrapLedger(ErrOtherErasureKey)
	}
	var entries []erasure.Entry
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) (err error) { // entries and sequence of one moment
		if sequence, _, err = readLedgerRow(ctx, tx); err == nil {
			entries, err = readEntries(ctx, tx)
		}
		return err
	})
	if err != nil {
		return nil, wrapLedger(err)
	}
	read := erasure.NewLedger(*s.erasureKey, sequence, entries)
	s.ledger.Store(read)
	return read, nil
}

// Erased is Ledger, at most CacheAge old, and at once what this process has requested.
func (s *Store) Erased(ctx context.Context) (*erasure.Ledger, error) {
	people, err := s.erased.get(ctx)
	return people.all, err
}

// Forgotten are the erased people of whom the online store may still have something, which nobody may show any more. The
// answer is as old as that of Erased.
func (s *Store) Forgotten(ctx context.Context) (*erasure.Ledger, error) {
	people, err := s.erased.get(ctx)
	return people.forgotten, err
}

// loadErased reads the ledger, and which erasures have not left the step rebuilding.
func (s *Store) loadErased(ctx context.Context) (people erasedPeople, err error) {
	if people.all, err = s.Ledger(ctx); err != nil || people.all == nil {
		return people, err
	}
	list, err := s.UnfinishedErasures(ctx)
	if err != nil {
		return people, err
	}
	open := make(map[string]bool)
	for _, e := range list {
		open[e.ID] = e.Step.Before(ErasureRewriting)
	}
	if len(open) > 0 {
		people.forgotten = people.all.Of(func(id string) bool { return open[id] })
	}
	return people, nil
}

func wrapLedger(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read ledger of erasures: %w", err)
}

func readEntries(ctx context.Context, tx *sqldb.Tx) (entries []erasure.Entry, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT site, kind, hash, erasure, until FROM erased_identities`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e erasure.Entry
		var text string
		var until int64
		if err := rows.Scan(&e.Site, &e.Kind, &text, &e.Erasure, &until); err != nil {
			return nil, err
		}
		if e.Hash, err = erasure.ParseHash(text); err != nil {
			return nil, err
		}
		e.Until = fromMillis(until)
		entries = append(entries, e)
	}
	return entries, rows.Err()
}
