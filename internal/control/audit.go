package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/sqldb"
)

const (
	// AuditRetention is how long entries of the audit log are kept: two yearly reviews find them.
	AuditRetention = 800 * 24 * time.Hour
	// MaxAudit bounds the entries of an installation; the oldest go first. They take about half a kilobyte each.
	MaxAudit = 200_000
	// DefaultAudit is how many entries a page has when no limit is given, and MaxAuditPage how many it may have.
	DefaultAudit = 100
	MaxAuditPage = 1_000
	// maxAuditBytes bounds what an entry keeps of the state before and after; of more it keeps length and SHA-256.
	maxAuditBytes = 2 << 10
	// auditSweep is after how many entries of one process the bounds are enforced.
	auditSweep = 256
)

// ActorKind says what kind of somebody changed something.
type ActorKind string

// The kinds of actors.
const (
	ActorKey     ActorKind = "key"     // a request with an API key, which Actor.Name names by its id and hint
	ActorCommand ActorKind = "command" // the command line, on a machine of the installation
	ActorSystem  ActorKind = "system"  // Millrace itself: a first start, a training that was promoted
)

// Actor is who changes something.
type Actor struct {
	Kind ActorKind
	Name string
}

type actorKey struct{}

// As returns a context whose changes are the actor's in the audit log. Without it they are of ActorSystem.
func As(ctx context.Context, actor Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// Actor is the key as the audit log names it, without its secret.
func (k Key) Actor() Actor { return Actor{Kind: ActorKey, Name: k.ID + " (" + k.Hint + "...)"} }

// AuditEntry is one change. Action is a noun and a verb ("placement.put"), Target the name or id of what was changed, never that
// of a visitor: the log outlives erasures. Before and After are any values without secrets, nil for nothing; they are kept as JSON.
type AuditEntry struct {
	Site          string
	Action        string
	Target        string
	Before, After any
}

// AuditRecord is an entry as it is read. Before and After are null, what the entry had, or {"bytes", "sha256"} of it where that
// was long.
type AuditRecord struct {
	ID        string          `json:"id" doc:"Names the entry." example:"019c0f6e-5d2a-7c31-9a4e-2f7d1c0b8a55"`
	Site      string          `json:"site" doc:"Whose it is." example:"default"`
	At        time.Time       `json:"at" doc:"When it happened."`
	ActorKind ActorKind       `json:"actor_kind" enum:"key,command,system" doc:"What kind of somebody did it."`
	Actor     string          `json:"actor" doc:"Who did it: a key by its id and how it begins, or a command." example:"key_q5xw3m7k2ahd4e6f (sk_ab3d...)"`
	Action    string          `json:"action" doc:"What was done." example:"placement.put"`
	Target    string          `json:"target" doc:"To what." example:"home"`
	Before    json.RawMessage `json:"before,omitempty" doc:"The state before; of a long one its length and SHA-256."`
	After     json.RawMessage `json:"after,omitempty" doc:"The state after, likewise."`
}

// Audit writes down a change that is not one of the control store itself, whose own changes are in the log with them.
func (s *Store) Audit(ctx context.Context, e AuditEntry) error {
	return s.db.InTx(ctx, func(tx *sqldb.Tx) error { return s.audit(ctx, tx, e) })
}

// audit writes an entry in the transaction of the change.
func (s *Store) audit(ctx context.Context, tx *sqldb.Tx, e AuditEntry) error {
	if err := event.CheckSite(e.Site); err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	was, err := auditState(e.Before)
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	became, err := auditState(e.After)
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	actor, ok := ctx.Value(actorKey{}).(Actor)
	if !ok {
		actor.Kind = ActorSystem
	}
	now := time.Now()
	_, err = tx.ExecContext(ctx, `INSERT INTO audit (id, site, at, actor_kind, actor, action, target, was, became) VALUES (?,?,?,?,?,?,?,?,?)`,
		event.NewID(now), e.Site, millis(now), string(actor.Kind), actor.Name, e.Action, e.Target, was, became)
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	if s.audited.Add(1)%auditSweep != 1 {
		return nil
	}
	return sweepAudit(ctx, tx, now)
}

// sweepAudit removes what is too old, and the oldest of too many.
func sweepAudit(ctx context.Context, tx *sqldb.Tx, now time.Time) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM audit WHERE at < ? OR id < COALESCE((SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET ?), '')`,
		millis(now.Add(-AuditRetention)), MaxAudit-1)
	if err != nil {
		return fmt.Errorf("forget old entries of the audit log: %w", err)
	}
	return nil
}

// auditState is the stored form of a state: JSON without needless space, or what identifies it.
func auditState(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	var text bytes.Buffer
	encoded, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	if err := json.Compact(&text, encoded); err != nil {
		return "", err
	}
	if text.Len() <= maxAuditBytes {
		return text.String(), nil
	}
	sum := sha256.Sum256(text.Bytes())
	return fmt.Sprintf(`{"bytes":%d,"sha256":%q}`, text.Len(), hex.EncodeToString(sum[:])), nil
}

// AuditLog lists entries of a site, newest first: those older than the entry with the id before, or the newest when that is empty.
// Limit 0 means DefaultAudit.
func (s *Store) AuditLog(ctx context.Context, site, before string, limit int) ([]AuditRecord, error) {
	if limit <= 0 {
		limit = DefaultAudit
	}
	rows, err := s.db.QueryContext(ctx,
		`SELECT id, site, at, actor_kind, actor, action, target, was, became FROM audit
		 WHERE site = ? AND (? = '' OR id < ?) ORDER BY id DESC LIMIT ?`, site, before, before, min(limit, MaxAuditPage))
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	defer rows.Close()
	list := []AuditRecord{}
	for rows.Next() {
		var r AuditRecord
		var at int64
		var was, became string
		if err := rows.Scan(&r.ID, &r.Site, &at, &r.ActorKind, &r.Actor, &r.Action, &r.Target, &was, &became); err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		r.At = fromMillis(at)
		if was != "" {
			r.Before = json.RawMessage(was)
		}
		if became != "" {
			r.After = json.RawMessage(became)
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	return list, nil
}
