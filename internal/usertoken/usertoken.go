// Package usertoken lets a browser ask for the list of a named user. The shop's server, which knows who is logged in, signs a
// token; the page sends it along. The form of version 1, which docs/access.md gives in other languages, is five parts with dots:
//
//	ut1.SITE.EXPIRES.USER.SIGNATURE
//
// EXPIRES is a Unix time in whole seconds, USER the user_id in unpadded URL-safe base64 (RFC 4648, section 5), and SIGNATURE the
// HMAC-SHA-256 of everything before its dot, under the signing secret as it was shown, in the same base64.
package usertoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
)

const (
	// ClockSkew is how far the clocks of the shop and of Millrace may be apart: an expired token is taken for so long.
	ClockSkew = time.Minute
	// MaxLife is how far ahead a token may expire. A page makes a new one at every load, so a stolen one should not live long.
	MaxLife = 24 * time.Hour

	version = "ut1"
	parts   = 5
	// maxBytes is longer than any token: the ids are bounded.
	maxBytes = 512
)

// What is wrong with a token.
var (
	ErrInvalid = errors.New("not a token that was signed with a signing secret in force of this site")
	ErrExpired = errors.New("the token has expired")
	ErrTooLong = errors.New("the token expires more than 24 hours from now")
)

// Claims are what a token says.
type Claims struct {
	Site    string
	User    string
	Expires time.Time // to the second
}

var encoding = base64.RawURLEncoding.Strict()

// Sign makes the token of claims with a signing secret.
func Sign(secret string, c Claims) string {
	said := strings.Join([]string{version, c.Site, strconv.FormatInt(c.Expires.Unix(), 10), encoding.EncodeToString([]byte(c.User))}, ".")
	return said + "." + encoding.EncodeToString(signature(secret, said))
}

// Verify returns the claims of a token for the site that was signed with one of the secrets. What an unsigned token says is never
// told apart from a wrong signature.
func Verify(secrets []string, site, token string, now time.Time) (Claims, error) {
	end := strings.LastIndexByte(token, '.')
	if end < 0 || len(token) > maxBytes {
		return Claims{}, ErrInvalid
	}
	given, err := encoding.DecodeString(token[end+1:])
	if err != nil || !signed(secrets, token[:end], given) {
		return Claims{}, ErrInvalid
	}
	c, err := parse(token)
	switch {
	case err != nil || c.Site != site:
		return Claims{}, ErrInvalid
	case now.After(c.Expires.Add(ClockSkew)):
		return Claims{}, ErrExpired
	case c.Expires.After(now.Add(MaxLife + ClockSkew)):
		return Claims{}, ErrTooLong
	}
	return c, nil
}

// signed compares with every secret in constant time, so that the time tells neither a byte of a signature nor which secret fits.
func signed(secrets []string, said string, given []byte) bool {
	found := false
	for _, secret := range secrets {
		found = hmac.Equal(signature(secret, said), given) || found
	}
	return found
}

func signature(secret, said string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(said)) // never fails, see hash.Hash
	return mac.Sum(nil)
}

// parse reads a token whose signature is right.
func parse(token string) (Claims, error) {
	p := strings.Split(token, ".")
	if len(p) != parts || p[0] != version {
		return Claims{}, ErrInvalid
	}
	expires, err := strconv.ParseInt(p[2], 10, 64)
	if err != nil || expires < 0 || expires > 1<<40 {
		return Claims{}, ErrInvalid
	}
	user, err := encoding.DecodeString(p[3])
	if err != nil || event.CheckID(string(user)) != nil {
		return Claims{}, ErrInvalid
	}
	return Claims{Site: p[1], User: string(user), Expires: time.Unix(expires, 0)}, nil
}
