// Package objstore keeps objects in a bucket: whole files that are written once and read by any process. It is how
// processes hand state and models to each other. The contract is what a directory and an S3-compatible store can both
// promise: an object is there whole or not at all, put-if-absent has one winner, and there is neither rename nor append.
// Local is the adapter over a directory, S3 that over a store; both run the suite in objstoretest.
package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// MaxKeyBytes bounds a key; S3 allows 1,024, and a directory needs room for its own path before it.
const MaxKeyBytes = 512

// Errors that callers branch on.
var (
	// ErrNotFound means that there is no object of this key.
	ErrNotFound = errors.New("no such object")
	// ErrExists means that put-if-absent found an object.
	ErrExists = errors.New("object exists already")
)

// Info describes an object.
type Info struct {
	Key      string
	Size     int64     // bytes
	Modified time.Time // when it was put, by the store's clock
}

// Bucket is a place for objects. Its methods may be called from many goroutines and processes at once.
type Bucket interface {
	// Put stores what body yields, size bytes, under a key, in place of what was there. A reader sees the old object or
	// the new one; when Put returns, the new one survives a power cut.
	Put(ctx context.Context, key string, body io.Reader, size int64) error
	// PutIfAbsent is Put where there is no object yet, and ErrExists where there is one. Of several callers at the same
	// time exactly one wins.
	PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) error
	// Get reads length bytes from offset on, or fewer where the object ends; a negative length reads to the end. The
	// caller closes the reader. ErrNotFound where there is no object.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// List yields the objects whose keys start with prefix, in the order of keys, and ends after the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Delete removes an object; an absent one is no error.
	Delete(ctx context.Context, key string) error
}

// CheckKey says what is wrong with a key. Keys are segments of letters, digits and ._=- between single slashes, and no
// segment starts with a dot: so no key leaves its directory, hides in it, or means something else in a URL.
func CheckKey(key string) error {
	if len(key) > MaxKeyBytes {
		return fmt.Errorf("object key of %d bytes, at most %d", len(key), MaxKeyBytes)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment[0] == '.' || strings.ContainsFunc(segment, foreign) {
			return fmt.Errorf("object key %q: use segments of letters, digits and . _ = - that do not start with a dot", key)
		}
	}
	return nil
}

func foreign(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._=-", r):
		return false
	}
	return true
}
