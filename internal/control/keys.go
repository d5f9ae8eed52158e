package control

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// KeyKind says what a key may do.
type KeyKind string

const (
	// KeyWrite (pk_...) may send events and, from its allowed origins, read browser-readable placements. It stands in
	// the source of web pages and is no secret.
	KeyWrite KeyKind = "write"
	// KeySecret (sk_...) may do everything on its site.
	KeySecret KeyKind = "secret"
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
	// maxSecretBytes is longer than any key; a longer credential is refused before it is hashed.
	maxSecretBytes = 128
)

var (
	// ErrUnknownKey means that no key in force has this secret, or this id.
	ErrUnknownKey = errors.New("unknown or revoked key; `millrace keys list` shows the keys, `millrace keys create` makes one")

	// ErrTooManyKeys means that MaxKeys is reached.
	ErrTooManyKeys = errors.New("too many keys")
)

var keyEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewKey is what the creator of a key chooses. Origins are web origins like https://shop.example; see Key.AllowsEvents
// and Key.AllowsReads for what they grant.
type NewKey struct {
	Site    string
	Kind    KeyKind
	Label   string
	Origins []string
}

// Key is an API key without its secret, which is stored nowhere. Hint is its first characters.
type Key struct {
	ID        string    `json:"id"`
	Site      string    `json:"site"`
	Kind      KeyKind   `json:"kind"`
	Label     string    `json:"label,omitempty"`
	Hint      string    `json:"hint"`
	Origins   []string  `json:"origins,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// AllowsEvents reports whether events may be sent with the key from a page of this origin. A key without a list takes
// events from anywhere; so does any key when the caller is not a browser (no Origin header).
func (k Key) AllowsEvents(origin string) bool {
	return origin == "" || len(k.Origins) == 0 || k.lists(origin)
}

// AllowsReads reports whether a browser page of this origin may read with the key. A write key reads only from the
// origins on its list; a secret key does not belong into a page, but is not bound to one either.
func (k Key) AllowsReads(origin string) bool {
	return k.Kind == KeySecret || k.lists(origin)
}

func (k Key) lists(origin string) bool {
	o, err := normalOrigin(origin)
	return err == nil && slices.Contains(k.Origins, o)
}

// CreateKey makes a key and returns it with its secret, which is shown this once: the store keeps only its SHA-256.
func (s *Store) CreateKey(ctx context.Context, n NewKey) (Key, string, error) {
	prefix, err := checkNewKey(&n)
	if err != nil {
		return Key{}, "", fmt.Errorf("create key: %w", err)
	}
	var count int
	if err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM keys`).Scan(&count); err != nil {
		return Key{}, "", fmt.Errorf("count keys: %w", err)
	}
	if count >= MaxKeys {
		return Key{}, "", fmt.Errorf("create key: %w: %d exist", ErrTooManyKeys, count)
	}
	secret := prefix + randomText(keyBytes)
	k := Key{
		ID: newID("key"), Site: n.Site, Kind: n.Kind, Label: n.Label, Hint: secret[:len(prefix)+hintChars],
		Origins: n.Origins, CreatedAt: storedNow(),
	}
	origins, err := json.Marshal(k.Origins)
	if err != nil {
		return Key{}, "", fmt.Errorf("encode origins: %w", err)
	}
	_, err = s.db.ExecContext(ctx,
		`INSERT INTO keys (id, site, kind, label, hint, hash, origins, created_at, revoked_at) VALUES (?,?,?,?,?,?,?,?,0)`,
		k.ID, k.Site, string(k.Kind), k.Label, k.Hint, hashSecret(secret), string(origins), millis(k.CreatedAt))
	if err != nil {
		return Key{}, "", fmt.Errorf("store key: %w", err)
	}
	s.keys.drop()
	return k, secret, nil
}

// checkNewKey validates n, brings its origins to their normal form and returns the prefix of the secret.
func checkNewKey(n *NewKey) (prefix string, err error) {
	if err := event.CheckSite(n.Site); err != nil {
		return "", err
	}
	if len(n.Label) > maxLabelBytes {
		return "", fmt.Errorf("label is longer than %d bytes", maxLabelBytes)
	}
	if len(n.Origins) > MaxOrigins {
		return "", fmt.Errorf("%d origins, at most %d are allowed", len(n.Origins), MaxOrigins)
	}
	origins := make([]string, 0, len(n.Origins))
	for _, given := range n.Origins {
		o, err := normalOrigin(given)
		if err != nil {
			return "", err
		}
		origins = append(origins, o)
	}
	slices.Sort(origins)
	n.Origins = slices.Compact(origins)
	switch n.Kind {
	case KeyWrite:
		return "pk_", nil
	case KeySecret:
		return "sk_", nil
	default:
		return "", fmt.Errorf("kind %q is neither %q nor %q", clip(string(n.Kind)), KeyWrite, KeySecret)
	}
}

// normalOrigin brings a web origin to the form that browsers send: scheme and host in lower case, no default port.
func normalOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		(u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("origin %q is not of the form https://host or https://host:port", clip(text))
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); (u.Scheme == "https" && port == "443") || (u.Scheme == "http" && port == "80") {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host, nil
}

// Authenticate returns the key in force that has this secret, or ErrUnknownKey. The answer is at most CacheAge old.
func (s *Store) Authenticate(ctx context.Context, secret string) (Key, error) {
	if len(secret) > maxSecretBytes {
		return Key{}, ErrUnknownKey
	}
	keys, err := s.keys.get(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("authenticate: %w", err)
	}
	k, ok := keys[hashSecret(secret)]
	if !ok {
		return Key{}, ErrUnknownKey
	}
	return k, nil
}

// Keys lists the keys of a site, or of all sites when site is empty, oldest first and revoked ones included.
func (s *Store) Keys(ctx context.Context, site string) ([]Key, error) {
	var keys []Key
	err := s.eachKey(ctx, `(? = '' OR site = ?) ORDER BY created_at, id`, func(_ string, k Key) {
		keys = append(keys, k)
	}, site, site)
	return keys, err
}

// RevokeKey ends a key by its id: at once in this process, within CacheAge in others. Revoking twice keeps the first
// time; an unknown id is ErrUnknownKey.
func (s *Store) RevokeKey(ctx context.Context, id string) error {
	res, err := s.db.ExecContext(ctx,
		`UPDATE keys SET revoked_at = CASE WHEN revoked_at = 0 THEN ? ELSE revoked_at END WHERE id = ?`, millis(time.Now()), id)
	if err != nil {
		return fmt.Errorf("revoke key: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(fmt.Errorf("revoke key %q: %w", clip(id), ErrUnknownKey), err)
	}
	s.keys.drop()
	return nil
}

// loadKeys reads the keys in force by the hash of their secret.
func (s *Store) loadKeys(ctx context.Context) (map[string]Key, error) {
	byHash := map[string]Key{}
	err := s.eachKey(ctx, `revoked_at = 0`, func(hash string, k Key) { byHash[hash] = k })
	return byHash, err
}

func (s *Store) eachKey(ctx context.Context, where string, visit func(hash string, k Key), args ...any) error {
	rows, err := s.db.QueryContext(ctx,
		`SELECT hash, id, site, kind, label, hint, origins, created_at, revoked_at FROM keys WHERE `+where, args...)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k Key
		var hash, origins string
		var created, revoked int64
		if err := rows.Scan(&hash, &k.ID, &k.Site, &k.Kind, &k.Label, &k.Hint, &origins, &created, &revoked); err != nil {
			return fmt.Errorf("read key: %w", err)
		}
		if err := json.Unmarshal([]byte(origins), &k.Origins); err != nil {
			return fmt.Errorf("read origins of key %s: %w", k.ID, err)
		}
		k.CreatedAt, k.RevokedAt = fromMillis(created), fromMillis(revoked)
		visit(hash, k)
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
