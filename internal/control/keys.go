package control

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/sqldb"
)

const (
	// keyBytes is the randomness of a key: 200 bits, of which the stored hint gives 20 away.
	keyBytes = 25
	// hintChars is how many characters after the prefix are stored in the clear, to tell keys apart in a list.
	hintChars = 4
	// MaxKeys bounds the keys of an installation, revoked ones included, and with them the cache.
	MaxKeys = 10_000
	// MaxOrigins bounds the origins of one key.
	MaxOrigins = 100
	// maxLabelBytes bounds the operator's note on a key.
	maxLabelBytes = 200
	// MaxKeyRate bounds the limit of one key, in requests a second: more than a machine answers.
	MaxKeyRate = 1_000_000
	// maxSecretBytes is longer than any key; a longer credential is refused before it is hashed.
	maxSecretBytes = 128
)

var (
	// ErrUnknownKey means that no key in force has this secret, or this id.
	ErrUnknownKey = errors.New("unknown, revoked or expired key; `millrace keys list` shows the keys, `millrace keys create` makes one")

	// ErrTooManyKeys means that MaxKeys is reached.
	ErrTooManyKeys = fmt.Errorf("there are %d keys, revoked ones included, which is the limit", MaxKeys)
)

var keyEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewKey is what the creator of a key chooses. Origins are web origins like https://shop.example; see Key.AllowsEvents
// and Key.AllowsReads for what they grant. Scopes are those of a secret key, none for all. Rate is how many requests a
// second the key may make, 0 for the default of the listener. The zero ExpiresAt is never.
type NewKey struct {
	Site      string
	Kind      KeyKind
	Label     string
	Origins   []string
	Scopes    []Scope
	Rate      float64
	ExpiresAt time.Time
}

// Key is an API key without its secret, which is stored nowhere. Hint is its first characters. After a rotation the secret
// that starts with PreviousHint works until PreviousUntil. LastUsedAt is exact to a few minutes.
type Key struct {
	ID            string    `json:"id" doc:"Names the key; no secret." example:"key_q5xw3m7k2ahd4e6f"`
	Site          string    `json:"site" doc:"What it belongs to." example:"default"`
	Kind          KeyKind   `json:"kind" enum:"write,read,secret" doc:"Where it belongs: write and read into pages, secret on servers." example:"secret"`
	Label         string    `json:"label,omitempty" doc:"What it is for." example:"backend"`
	Hint          string    `json:"hint" doc:"How its secret begins." example:"sk_ab3d"`
	Origins       []string  `json:"origins,omitempty" doc:"Pages that a public key may be used from."`
	Scopes        []Scope   `json:"scopes,omitempty" doc:"What a secret key may do; none is everything." example:"[\"recommend\"]"`
	Rate          float64   `json:"rate,omitempty" doc:"Requests a second; none is the default of the installation." example:"200"`
	CreatedAt     time.Time `json:"created_at" doc:"When it was made."`
	ExpiresAt     time.Time `json:"expires_at,omitzero" doc:"When it ends."`
	RotatedAt     time.Time `json:"rotated_at,omitzero" doc:"When it got its secret, where that is not the first."`
	PreviousHint  string    `json:"previous_hint,omitempty" doc:"How the secret before began."`
	PreviousUntil time.Time `json:"previous_until,omitzero" doc:"Until when that one works."`
	RevokedAt     time.Time `json:"revoked_at,omitzero" doc:"When it was ended."`
	LastUsedAt    time.Time `json:"last_used_at,omitzero" doc:"When it was used last, exact to a few minutes."`
}

// CreateKey makes a key and returns it with its secret, which is shown this once: the store keeps only its SHA-256.
func (s *Store) CreateKey(ctx context.Context, n NewKey) (Key, string, error) {
	if err := checkNewKey(&n); err != nil {
		return Key{}, "", fmt.Errorf("create key: %w", err)
	}
	k, secret := n.key(), ""
	secret, k.Hint = newSecret(k.Kind)
	origins, err := json.Marshal(k.Origins)
	if err != nil {
		return Key{}, "", fmt.Errorf("encode origins: %w", err)
	}
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		var count int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM keys`).Scan(&count); err != nil {
			return err
		}
		if count >= MaxKeys {
			return ErrTooManyKeys
		}
		_, err := tx.ExecContext(ctx,
			`INSERT INTO keys (id, site, kind, label, hint, hash, origins, scopes, rate, created_at, expires_at, revoked_at)
			 VALUES (?,?,?,?,?,?,?,?,?,?,?,0)`,
			k.ID, k.Site, string(k.Kind), k.Label, k.Hint, hashSecret(secret), string(origins), joinScopes(k.Scopes), k.Rate,
			millis(k.CreatedAt), millis(k.ExpiresAt))
		if err != nil {
			return err
		}
		return s.audit(ctx, tx, AuditEntry{Site: k.Site, Action: "key.create", Target: k.ID, After: k})
	})
	if err != nil {
		return Key{}, "", fmt.Errorf("create key: %w", err)
	}
	s.keys.drop()
	return k, secret, nil
}

// key is the key that a creator chose, without its secret.
func (n NewKey) key() Key {
	return Key{
		ID: newID("key"), Site: n.Site, Kind: n.Kind, Label: n.Label, Origins: n.Origins, Scopes: n.Scopes, Rate: n.Rate,
		CreatedAt: storedNow(), ExpiresAt: fromMillis(millis(n.ExpiresAt)),
	}
}

// Key is what would be made of the choice, for Key.Lacks.
func (n NewKey) Key() (Key, error) {
	err := checkNewKey(&n)
	return n.key(), err
}

// newSecret makes the secret of a key and the hint by which it is told from others.
func newSecret(kind KeyKind) (secret, hint string) {
	prefix := "pk_"
	if kind == KeySecret {
		prefix = "sk_"
	}
	secret = prefix + randomText(keyBytes)
	return secret, secret[:len(prefix)+hintChars]
}

// joinScopes is the stored form of scopes.
func joinScopes(scopes []Scope) string {
	names := make([]string, len(scopes))
	for i, scope := range scopes {
		names[i] = string(scope)
	}
	return strings.Join(names, ",")
}

// splitScopes is the inverse of joinScopes.
func splitScopes(text string) (scopes []Scope) {
	if text == "" {
		return nil
	}
	for name := range strings.SplitSeq(text, ",") {
		scopes = append(scopes, Scope(name))
	}
	return scopes
}

// checkNewKey validates n, and brings its origins and scopes to their normal form.
func checkNewKey(n *NewKey) (err error) {
	if err := event.CheckSite(n.Site); err != nil {
		return err
	}
	if n.Origins, err = checkOrigins(n.Origins); err != nil {
		return err
	}
	if n.Scopes, err = checkScopes(n.Scopes); err != nil {
		return err
	}
	switch {
	case len(n.Label) > maxLabelBytes:
		return fmt.Errorf("label is longer than %d bytes", maxLabelBytes)
	case !slices.Contains([]KeyKind{KeyWrite, KeyRead, KeySecret}, n.Kind):
		return fmt.Errorf("kind %q is none of %q, %q and %q", clip(string(n.Kind)), KeyWrite, KeyRead, KeySecret)
	case n.Kind == KeyRead && len(n.Origins) == 0:
		return errors.New("a public read key without origins reads from nowhere: name the origins of the shop's pages")
	case n.Kind != KeySecret && len(n.Scopes) > 0:
		return errors.New("only secret keys have scopes; what a public key may do follows from its kind and its origins")
	case !(n.Rate >= 0 && n.Rate <= MaxKeyRate):
		return fmt.Errorf("rate %g is not within 0 to %d requests a second", n.Rate, MaxKeyRate)
	case !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(time.Now()):
		return fmt.Errorf("expires_at %s has passed", n.ExpiresAt.Format(time.RFC3339))
	}
	return nil
}

// checkOrigins brings origins to their normal form, each once.
func checkOrigins(given []string) ([]string, error) {
	if len(given) > MaxOrigins {
		return nil, fmt.Errorf("%d origins, at most %d are allowed", len(given), MaxOrigins)
	}
	origins := make([]string, 0, len(given))
	for _, text := range given {
		o, err := normalOrigin(text)
		if err != nil {
			return nil, err
		}
		origins = append(origins, o)
	}
	slices.Sort(origins)
	return slices.Compact(origins), nil
}

// Authenticate returns the key in force that has this secret, or ErrUnknownKey. The answer is at most CacheAge old. It compares
// hashes of secrets only, so the time that it takes tells nothing of a secret.
func (s *Store) Authenticate(ctx context.Context, secret string) (Key, error) {
	if len(secret) > maxSecretBytes {
		return Key{}, ErrUnknownKey
	}
	keys, err := s.keys.get(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("authenticate: %w", err)
	}
	k, ok := keys[hashSecret(secret)]
	now := time.Now()
	if !ok || !k.until.IsZero() && !now.Before(k.until) {
		return Key{}, ErrUnknownKey
	}
	k.use.note(now)
	return k.Key, nil
}

// Keys lists the keys of a site, or of all sites when site is empty, oldest first and revoked ones included.
func (s *Store) Keys(ctx context.Context, site string) ([]Key, error) {
	var keys []Key
	err := s.eachKey(ctx, `(? = '' OR site = ?) ORDER BY created_at, id`, func(_, _ string, k Key) {
		keys = append(keys, k)
	}, site, site)
	return keys, err
}

// secretOf is a key as one of its secrets opens it.
type secretOf struct {
	Key
	until time.Time // the secret's end, zero for never
	use   *keyUse
}

// loadKeys reads the keys in force by the hashes of their secrets.
func (s *Store) loadKeys(ctx context.Context) (map[string]secretOf, error) {
	byHash := map[string]secretOf{}
	err := s.eachKey(ctx, `revoked_at = 0`, func(hash, previous string, k Key) {
		use := s.use.of(k.ID)
		byHash[hash] = secretOf{k, k.ExpiresAt, use}
		if previous != "" {
			until := k.PreviousUntil
			if !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(until) {
				until = k.ExpiresAt
			}
			byHash[previous] = secretOf{k, until, use}
		}
	})
	return byHash, err
}

// rowsOf is a database or a transaction of it, for more rows than one.
type rowsOf interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func (s *Store) eachKey(ctx context.Context, where string, visit func(hash, previous string, k Key), args ...any) error {
	return eachKey(ctx, s.db, where, visit, args...)
}

func eachKey(ctx context.Context, from rowsOf, where string, visit func(hash, previous string, k Key), args ...any) error {
	rows, err := from.QueryContext(ctx,
		`SELECT hash, id, site, kind, label, hint, origins, scopes, rate, created_at, expires_at, rotated_at, previous_hint, previous_hash,
		        previous_until, revoked_at, last_used_at FROM keys WHERE `+where, args...)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k Key
		var hash, previous, origins, scopes string
		var created, expires, rotated, until, revoked, used int64
		err := rows.Scan(&hash, &k.ID, &k.Site, &k.Kind, &k.Label, &k.Hint, &origins, &scopes, &k.Rate, &created, &expires, &rotated,
			&k.PreviousHint, &previous, &until, &revoked, &used)
		if err != nil {
			return fmt.Errorf("read key: %w", err)
		}
		if err := json.Unmarshal([]byte(origins), &k.Origins); err != nil {
			return fmt.Errorf("read origins of key %s: %w", k.ID, err)
		}
		k.Scopes = splitScopes(scopes)
		k.CreatedAt, k.ExpiresAt, k.RotatedAt = fromMillis(created), fromMillis(expires), fromMillis(rotated)
		k.PreviousUntil, k.RevokedAt, k.LastUsedAt = fromMillis(until), fromMillis(revoked), fromMillis(used)
		visit(hash, previous, k)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	return nil
}

// hashSecret is what the store keeps of a secret. A plain hash is enough: the secret is 200 random bits, so nobody can
// try them all.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func randomText(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program when the system has no randomness
	return keyEncoding.EncodeToString(b)
}

// newID makes an id for a row: a word that says what it is, and 80 random bits.
func newID(kind string) string { return kind + "_" + randomText(10) }
