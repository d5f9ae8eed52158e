package control

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/sqldb"
)

// ErasureStep is how far an erasure has come. A step is entered when all before it is done, so that whoever finds it goes on
// from there; each may be done again.
type ErasureStep string

// The steps of an erasure, in their order.
const (
	ErasureResolving  ErasureStep = "resolving"  // browsers and sessions of the person are looked for
	ErasureRebuilding ErasureStep = "rebuilding" // states and online store are made again without the person
	ErasureRewriting  ErasureStep = "rewriting"  // files of the lake are rewritten, old versions and their files go
	ErasureTruncating ErasureStep = "truncating" // the logs lose what the person left in them
	ErasureProving    ErasureStep = "proving"    // every store is searched once more
	ErasureDone       ErasureStep = "done"
)

// order is the place of a step; steps of a newer version come last.
func (s ErasureStep) order() int {
	for i, step := range []ErasureStep{ErasureResolving, ErasureRebuilding, ErasureRewriting, ErasureTruncating, ErasureProving, ErasureDone} {
		if s == step {
			return i
		}
	}
	return len(s)
}

// Before reports whether a step comes before another.
func (s ErasureStep) Before(o ErasureStep) bool { return s.order() < o.order() }

// Erasure is a request to erase a person, and what has become of it. It does not say whom.
type Erasure struct {
	ID          string          `json:"id" doc:"Its id." example:"019c0f6e-5d2a-7c31-9a4e-2f7d1c0b8a55"`
	Site        string          `json:"site" doc:"The site that the person is forgotten on." example:"default"`
	Step        ErasureStep     `json:"step" enum:"resolving,rebuilding,rewriting,truncating,proving,done" doc:"How far it has come." example:"rewriting"`
	Until       time.Time       `json:"until" doc:"What happened later belongs to somebody new."`
	Generation  int64           `json:"-"` // of the states that know nothing of the person; 0 before they are asked for
	Certificate json.RawMessage `json:"certificate,omitempty" doc:"What was searched and removed, once done."`
	Trouble     string          `json:"trouble,omitempty" doc:"Why it does not go on; it is tried again."`
	RequestedAt time.Time       `json:"requested_at" doc:"When it was asked for."`
	UpdatedAt   time.Time       `json:"updated_at" doc:"When it last went on."`
	FinishedAt  time.Time       `json:"finished_at,omitzero" doc:"When it was done."`
}

var (
	// ErrUnknownErasure means that there is no erasure of an id on the site.
	ErrUnknownErasure = errors.New("unknown erasure")
	// ErrErasureMoved means that an erasure is not in the step that somebody went on from: it was begun again, because more of the
	// person came.
	ErrErasureMoved = errors.New("the erasure was begun again meanwhile")
	// ErrNoErasureKey means that the store was opened without the key of its ledger.
	ErrNoErasureKey = errors.New("no erasure key is configured: set erasure.key (MILLRACE_ERASURE__KEY_FILE names a file with it); " +
		"`openssl rand -hex 32` makes one, and all roles need the same")
	// ErrOtherErasureKey means that the ledger was made with another key, and would filter nothing with this one.
	ErrOtherErasureKey = errors.New("the erasure key is not the one that the ledger of erased people was made with: restore the former one " +
		"(erasure.key, or the file erasure.key in the data directory)")
)

// UseErasureKey sets the key of the ledger; nil is none, which is fine as long as nobody was erased. The first key that is
// ever used is the only one from then on.
func (s *Store) UseErasureKey(ctx context.Context, key *erasure.Key) error {
	sequence, check, err := readLedgerRow(ctx, s.db)
	switch {
	case err != nil:
		return fmt.Errorf("open ledger of erasures: %w", err)
	case key == nil && sequence > 0:
		return fmt.Errorf("open ledger of erasures: %w", ErrNoErasureKey)
	case key != nil && check != "" && check != key.Check():
		return fmt.Errorf("open ledger of erasures: %w", ErrOtherErasureKey)
	}
	s.erasureKey = key
	s.erased.drop()
	return nil
}

// RequestErasure enters a person into the ledger and asks for the erasure, in one step: from then on nothing of the person
// that happened before counts any more, wherever the ledger is read.
func (s *Store) RequestErasure(ctx context.Context, who erasure.Who) (Erasure, error) {
	if s.erasureKey == nil {
		return Erasure{}, fmt.Errorf("request erasure: %w", ErrNoErasureKey)
	}
	if err := errors.Join(event.CheckSite(who.Site), event.CheckID(who.ID())); err != nil {
		return Erasure{}, fmt.Errorf("request erasure: %w", err)
	}
	now, err := s.now(ctx)
	if err != nil {
		return Erasure{}, fmt.Errorf("request erasure: %w", err)
	}
	e := Erasure{ID: newID("erasure"), Site: who.Site, Step: ErasureResolving, Until: now, RequestedAt: now, UpdatedAt: now}
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.ExecContext(ctx,
			`INSERT INTO erasures (id, site, step, until, generation, certificate, trouble, requested_at, updated_at, finished_at)
			 VALUES (?, ?, ?, ?, 0, '', '', ?, ?, 0)`, e.ID, e.Site, string(e.Step), millis(now), millis(now), millis(now))
		if err != nil {
			return err
		}
		first := erasure.Entry{Site: e.Site, Kind: who.Kind(), Hash: s.erasureKey.Hash(who.Kind(), who.Site, who.ID()), Until: now, Erasure: e.ID}
		if err := s.addEntries(ctx, tx, []erasure.Entry{first}); err != nil {
			return err
		}
		if err := forgetAttributes(ctx, tx, who); err != nil {
			return err
		}
		return s.audit(ctx, tx, AuditEntry{Site: e.Site, Action: "erasure.request", Target: e.ID})
	})
	s.erased.drop()
	if err != nil {
		return Erasure{}, fmt.Errorf("request erasure: %w", err)
	}
	return e, nil
}

// ResolveErasure adds the other identities of a person to the ledger and enters the step rebuilding, from the step that the caller
// knows it in (ErrErasureMoved). until replaces that of all the person's entries where it is later, and the states of before
// count no more. Called again it adds what is new.
func (s *Store) ResolveErasure(ctx context.Context, id string, from ErasureStep, until time.Time, entries []erasure.Entry) error {
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		for _, set := range []string{`UPDATE erasures SET until = ? WHERE id = ? AND until < ?`,
			`UPDATE erased_identities SET until = ? WHERE erasure = ? AND until < ?`} {
			if _, err := tx.ExecContext(ctx, set, millis(until), id, millis(until)); err != nil {
				return err
			}
		}
		if err := s.addEntries(ctx, tx, entries); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE erasures SET generation = 0 WHERE id = ?`, id); err != nil {
			return err
		}
		return enterStep(ctx, tx, id, from, ErasureRebuilding)
	})
	s.erased.drop()
	if err != nil {
		return fmt.Errorf("resolve erasure %s: %w", id, err)
	}
	return nil
}

// LinkErased adds an identity of a person that showed only after the erasure was resolved, in an event that was late, and begins
// the erasure again. One that is known already changes nothing.
func (s *Store) LinkErased(ctx context.Context, id string, kind erasure.Kind, hash erasure.Hash) error {
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		var known int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM erased_identities WHERE erasure = ? AND hash = ?`, id, hash.String()).Scan(&known); err != nil || known > 0 {
			return err
		}
		e := erasure.Entry{Kind: kind, Hash: hash, Erasure: id}
		var until int64
		if err := tx.QueryRowContext(ctx, `SELECT site, until FROM erasures WHERE id = ?`, id).Scan(&e.Site, &until); err != nil {
			return err
		}
		e.Until = fromMillis(until)
		if err := s.addEntries(ctx, tx, []erasure.Entry{e}); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE erasures SET step = ?, generation = 0, finished_at = 0, updated_at = ? WHERE id = ?`,
			string(ErasureResolving), millis(time.Now()), id)
		return err
	})
	s.erased.drop()
	if err != nil {
		return fmt.Errorf("add to erasure %s: %w", id, err)
	}
	return nil
}

// addEntries changes the ledger, and counts that. The first change fixes the key.
func (s *Store) addEntries(ctx context.Context, tx *sqldb.Tx, entries []erasure.Entry) error {
	for _, e := range entries {
		_, err := tx.ExecContext(ctx, `INSERT INTO erased_identities (site, kind, hash, erasure, until) VALUES (?, ?, ?, ?, ?)
			 ON CONFLICT (site, kind, hash, erasure) DO NOTHING`, e.Site, string(e.Kind), e.Hash.String(), e.Erasure, millis(e.Until))
		if err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO erasure_ledger (one, sequence, key_check) VALUES (1, 1, ?)
		 ON CONFLICT (one) DO UPDATE SET sequence = erasure_ledger.sequence + 1`, s.erasureKey.Check())
	if err != nil {
		return err
	}
	_, check, err := readLedgerRow(ctx, tx)
	if err == nil && check != s.erasureKey.Check() {
		err = ErrOtherErasureKey // another process was first
	}
	return err
}

func enterStep(ctx context.Context, tx *sqldb.Tx, id string, from, to ErasureStep) error {
	res, err := tx.ExecContext(ctx, `UPDATE erasures SET step = ?, trouble = '', updated_at = ? WHERE id = ? AND step = ?`,
		string(to), millis(time.Now()), id, string(from))
	return changedOne(res, err, "enter step "+string(to), ErrErasureMoved)
}

// AwaitErasedStates notes which generation of states knows nothing of the person.
func (s *Store) AwaitErasedStates(ctx context.Context, id string, generation int64) error {
	_, err := s.db.ExecContext(ctx, `UPDATE erasures SET generation = ?, updated_at = ? WHERE id = ?`, generation, millis(time.Now()), id)
	if err != nil {
		return fmt.Errorf("update erasure %s: %w", id, err)
	}
	return nil
}

// EnterErasureStep notes that everything before a step is done, of an erasure that is in the step that the caller knows it in
// (ErrErasureMoved).
func (s *Store) EnterErasureStep(ctx context.Context, id string, from, to ErasureStep) error {
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error { return enterStep(ctx, tx, id, from, to) })
	s.erased.drop()
	if err != nil {
		return fmt.Errorf("update erasure %s: %w", id, err)
	}
	return nil
}

// TroubleErasure notes why erasures do not go on at the moment.
func (s *Store) TroubleErasure(ctx context.Context, id, trouble string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE erasures SET trouble = ?, updated_at = ? WHERE id = ?`, trouble, millis(time.Now()), id)
	if err != nil {
		return fmt.Errorf("update erasure %s: %w", id, err)
	}
	return nil
}

// CertifyErasure keeps what was counted, a JSON document, and ends the erasure where done is set, if it is in the step proving.
func (s *Store) CertifyErasure(ctx context.Context, id string, certificate any, done bool) error {
	text, err := json.Marshal(certificate)
	if err != nil {
		return fmt.Errorf("certify erasure %s: %w", id, err)
	}
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		now := millis(time.Now())
		if _, err := tx.ExecContext(ctx, `UPDATE erasures SET certificate = ?, updated_at = ? WHERE id = ?`, string(text), now, id); err != nil || !done {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE erasures SET finished_at = ? WHERE id = ?`, now, id); err != nil {
			return err
		}
		return enterStep(ctx, tx, id, ErasureProving, ErasureDone)
	})
	s.erased.drop()
	if err != nil {
		return fmt.Errorf("certify erasure %s: %w", id, err)
	}
	return nil
}

const erasureColumns = `id, site, step, until, generation, certificate, trouble, requested_at, updated_at, finished_at`

// Erasure is one erasure of a site, or ErrUnknownErasure.
func (s *Store) Erasure(ctx context.Context, site, id string) (Erasure, error) {
	list, err := s.erasures(ctx, `WHERE site = ? AND id = ?`, site, id)
	if err == nil && len(list) == 0 {
		err = ErrUnknownErasure
	}
	if err != nil {
		return Erasure{}, fmt.Errorf("read erasure %s: %w", clip(id), err)
	}
	return list[0], nil
}

// Erasures are those of a site, or of all sites where it is empty, the oldest first.
func (s *Store) Erasures(ctx context.Context, site string) ([]Erasure, error) {
	list, err := s.erasures(ctx, `WHERE ? = '' OR site = ?`, site, site)
	if err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	return list, nil
}

// UnfinishedErasures are those that are still to be done, the oldest first.
func (s *Store) UnfinishedErasures(ctx context.Context) ([]Erasure, error) {
	list, err := s.erasures(ctx, `WHERE step <> ?`, string(ErasureDone))
	if err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	return list, nil
}

func (s *Store) erasures(ctx context.Context, where string, args ...any) ([]Erasure, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+erasureColumns+` FROM erasures `+where+` ORDER BY requested_at, id`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Erasure
	for rows.Next() {
		var e Erasure
		var until, requested, updated, finished int64
		var certificate string
		if err := rows.Scan(&e.ID, &e.Site, &e.Step, &until, &e.Generation, &certificate, &e.Trouble, &requested, &updated, &finished); err != nil {
			return nil, err
		}
		if certificate != "" {
			e.Certificate = json.RawMessage(certificate)
		}
		e.Until, e.RequestedAt, e.UpdatedAt, e.FinishedAt = fromMillis(until), fromMillis(requested), fromMillis(updated), fromMillis(finished)
		list = append(list, e)
	}
	return list, rows.Err()
}

func readLedgerRow(ctx context.Context, q queryer) (sequence int64, check string, err error) {
	err = q.QueryRowContext(ctx, `SELECT sequence, key_check FROM erasure_ledger WHERE one = 1`).Scan(&sequence, &check)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil
	}
	return sequence, check, err
}

// NotReproducibleSince is the first erasure of a site that took rows out of the lake after a time, "" where there is none: what
// was computed from the lake before cannot be computed again. Erasures come oldest first.
func NotReproducibleSince(erasures []Erasure, at time.Time) string {
	for _, e := range erasures {
		var c struct {
			Before map[string]int64 `json:"before"`
		}
		if e.Certificate == nil || json.Unmarshal(e.Certificate, &c) != nil || e.Step.Before(ErasureTruncating) {
			continue
		}
		rewritten := e.FinishedAt // about: it comes soon after
		if rewritten.IsZero() {
			rewritten = e.UpdatedAt
		}
		if c.Before["lake events"] > 0 && at.Before(rewritten) {
			return e.ID
		}
	}
	return ""
}
