package erasure

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// KeyBytes is the length of a key: that of the hash, beyond which a longer one gives nothing.
const KeyBytes = sha256.Size

// Key makes the hashes of a ledger. Without it a ledger says nothing, with another it filters nothing: it belongs in the
// backup, and beside the ledger only as long as the ledger's hashes may be guessed by whoever has both.
type Key [KeyBytes]byte

// NewKey makes a random key.
func NewKey() (k Key) {
	_, _ = rand.Read(k[:]) // never fails, see crypto/rand
	return k
}

// ParseKey reads what String wrote.
func ParseKey(text string) (k Key, err error) {
	b, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(b) != KeyBytes {
		return k, fmt.Errorf("an erasure key is %d hexadecimal digits, as `openssl rand -hex %d` prints them; got %d characters",
			2*KeyBytes, KeyBytes, len(strings.TrimSpace(text)))
	}
	return Key(b), nil
}

// String is the key as hexadecimal digits. It is a secret.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Check is a text by which a key is recognised, and from which it cannot be told.
func (k Key) Check() string {
	mac := hmac.New(sha256.New, k[:])
	appendTo(mac, "check", "", "")
	return hex.EncodeToString(mac.Sum(nil))
}

// Hash is how a ledger with this key knows an identity.
func (k Key) Hash(kind Kind, site, id string) Hash {
	mac := hmac.New(sha256.New, k[:])
	appendTo(mac, kind, site, id)
	return Hash(mac.Sum(nil))
}

// String is the hash as hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}

// ParseHash reads what String wrote.
func ParseHash(text string) (h Hash, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("%q is no hash of an erased identity", text)
	}
	return Hash(b), nil
}

// appendTo hashes an identity. Kind and site hold no byte 0, so that no two identities are one text.
func appendTo(mac hash.Hash, kind Kind, site, id string) {
	text := make([]byte, 0, 128)
	text = append(append(text, kind...), 0)
	text = append(append(text, site...), 0)
	_, _ = mac.Write(append(text, id...)) // never fails, see hash.Hash
}
