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
	sequence, _, err := readLedgerRow(ctx, s.db)
	if err != nil {
		return nil, wrapLedger(err)
	}
	if last := s.ledger.Load(); last.Sequence() == sequence {
		return last, nil
	}
	people, err := s.loadErased(ctx)
	if err != nil {
		return nil, err
	}
	s.ledger.Store(people.all)
	return people.all, nil
}

// Forgotten are the erased people of whom the online store may still have something, which nobody may show any more. The
// answer is at most CacheAge old, and at once what this process has requested.
func (s *Store) Forgotten(ctx context.Context) (*erasure.Ledger, error) {
	people, err := s.erased.get(ctx)
	return people.forgotten, err
}

// loadErased reads the ledger.
func (s *Store) loadErased(ctx context.Context) (people erasedPeople, err error) {
	sequence, check, err := readLedgerRow(ctx, s.db)
	if err != nil || sequence == 0 {
		return people, wrapLedger(err)
	}
	switch {
	case s.erasureKey == nil:
		return people, wrapLedger(ErrNoErasureKey)
	case check != s.erasureKey.Check():
		return people, wrapLedger(ErrOtherErasureKey)
	}
	var entries []erasure.Entry
	open := make(map[string]bool)
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) (err error) { // entries and sequence of one moment
		clear(open)
		if sequence, _, err = readLedgerRow(ctx, tx); err == nil {
			entries, err = readEntries(ctx, tx, open)
		}
		return err
	})
	if err != nil {
		return people, wrapLedger(err)
	}
	people.all = erasure.NewLedger(*s.erasureKey, sequence, entries)
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

// readEntries reads all entries, and which erasures have not left the step rebuilding.
func readEntries(ctx context.Context, tx *sqldb.Tx, open map[string]bool) (entries []erasure.Entry, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT i.site, i.kind, i.hash, i.erasure, i.until, e.step FROM erased_identities i JOIN erasures e ON e.id = i.erasure`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e erasure.Entry
		var text string
		var until int64
		var step ErasureStep
		if err := rows.Scan(&e.Site, &e.Kind, &text, &e.Erasure, &until, &step); err != nil {
			return nil, err
		}
		if e.Hash, err = erasure.ParseHash(text); err != nil {
			return nil, err
		}
		e.Until = fromMillis(until)
		if entries = append(entries, e); step.Before(ErasureRewriting) {
			open[e.Erasure] = true
		}
	}
	return entries, rows.Err()
}
