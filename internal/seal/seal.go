// Package seal keeps secrets that must be read again, such as what user tokens are signed with, unreadable in the database that
// they are stored in: AES-256-GCM under a key that is not in it.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// KeyBytes is the length of a key: that of AES-256.
const KeyBytes = 32

// version starts every sealed text, so that another form can follow.
const version = "v1:"

// ErrUnreadable means that a text was not sealed with this key for this place, or was changed since.
var ErrUnreadable = errors.New("sealed with another key, for another place, or changed since")

// Key seals and opens. Whoever loses it has to make new secrets; nothing else is lost.
type Key [KeyBytes]byte

// NewKey makes a random key.
func NewKey() (k Key) {
	_, _ = rand.Read(k[:]) // never fails, see crypto/rand
	return k
}

// ParseKey reads what String wrote.
func ParseKey(text string) (k Key, err error) {
	text = strings.TrimSpace(text)
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != KeyBytes {
		return k, fmt.Errorf("a seal key is %d hexadecimal digits, as `openssl rand -hex %d` prints them; got %d characters",
			2*KeyBytes, KeyBytes, len(text))
	}
	return Key(b), nil
}

// String is the key as hexadecimal digits. It is a secret.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Seal makes a text that Open reads with the same key and place. The place says where the secret is kept, so that a sealed text
// that somebody puts elsewhere does not open.
func (k Key) Seal(place, secret string) string {
	gcm := k.gcm()
	nonce := make([]byte, gcm.NonceSize())
	_, _ = rand.Read(nonce) // never fails, see crypto/rand
	return version + base64.RawStdEncoding.EncodeToString(gcm.Seal(nonce, nonce, []byte(secret), []byte(place)))
}

// Open reads what Seal made, or is ErrUnreadable.
func (k Key) Open(place, sealed string) (string, error) {
	text, ok := strings.CutPrefix(sealed, version)
	b, err := base64.RawStdEncoding.DecodeString(text)
	gcm := k.gcm()
	if !ok || err != nil || len(b) < gcm.NonceSize() {
		return "", ErrUnreadable
	}
	secret, err := gcm.Open(nil, b[:gcm.NonceSize()], b[gcm.NonceSize():], []byte(place))
	if err != nil {
		return "", ErrUnreadable
	}
	return string(secret), nil
}

func (k Key) gcm() cipher.AEAD {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic(err) // only a key of another length is refused
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only another block size is refused
	}
	return gcm
}
