package event

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxSiteBytes bounds a site name: it is part of every key.
const MaxSiteBytes = 32

// Errors of CheckID and CheckSite.
var (
	errEmptyID   = errors.New("must not be empty")
	errLongID    = fmt.Errorf("must have at most %d bytes", MaxIDBytes)
	errRawID     = errors.New("must be printable UTF-8 without control characters")
	errSiteShape = fmt.Errorf("must have 1 to %d characters of a-z, 0-9 and -", MaxSiteBytes)
)

// NewID makes a UUIDv7 (RFC 9562): the milliseconds of now, then 74 random bits. Ids of one time sort together, which
// keeps files and stores small.
func NewID(now time.Time) string {
	var id [16]byte
	rand.Read(id[6:])
	binary.BigEndian.PutUint16(id[0:], uint16(now.UnixMilli()>>32))
	binary.BigEndian.PutUint32(id[2:], uint32(now.UnixMilli()))
	id[6] = id[6]&0x0f | 0x70 // version 7
	id[8] = id[8]&0x3f | 0x80 // variant of RFC 9562
	var text [36]byte
	hex.Encode(text[0:], id[0:4])
	hex.Encode(text[9:], id[4:6])
	hex.Encode(text[14:], id[6:8])
	hex.Encode(text[19:], id[8:10])
	hex.Encode(text[24:], id[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// CheckID reports why a string is not an id: 1 to MaxIDBytes bytes of printable UTF-8. Ids are opaque beyond that.
func CheckID(id string) error {
	if id == "" {
		return errEmptyID
	}
	if len(id) > MaxIDBytes {
		return errLongID
	}
	if plain(id) {
		return nil
	}
	for _, r := range id {
		// The replacement character stands for bytes that were lost on the way: two different ids could meet in it.
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return errRawID
		}
	}
	return nil
}

// plain reports whether a text is of printable ASCII alone, as nearly all ids are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// CheckSite reports why a string is not a site name: [a-z0-9-]{1,32}.
func CheckSite(site string) error {
	if site == "" || len(site) > MaxSiteBytes {
		return errSiteShape
	}
	for i := range len(site) {
		if c := site[i]; c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return errSiteShape
		}
	}
	return nil
}

// CheckType reports whether a string is the name of an event: [a-z][a-z0-9_]{0,39}.
func CheckType(name string) bool {
	if name == "" || len(name) > 40 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
