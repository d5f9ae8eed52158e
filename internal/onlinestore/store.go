// Package onlinestore holds the online features and the catalogue as serving reads them: whole rows that replace each
// other, ordered by their position in Kafka. The store is a base, not a cache: the stream writes every changed row to it,
// serving starts from it. Embedded is the adapter of one process, Redis that of several; the contract of every adapter is the
// suite in onlinestoretest.
package onlinestore

import (
	"context"
	"errors"
)

// Row is one row. (Epoch, Offset) is the position of the record that changed it last; within one key, the row with the
// greater position is the newer one, and at one position the row of the greater version. Value belongs to the row's writer,
// who says in Version how to read it.
type Row struct {
	Key     string
	Version int32
	Epoch   int64
	Offset  int64
	Value   []byte
}

// Before reports whether r is older than o by (Epoch, Offset, Version).
func (r Row) Before(o Row) bool {
	return position{r.Epoch, r.Offset, r.Version}.before(position{o.Epoch, o.Offset, o.Version})
}

// Replacement is a row as it was seen in the store, and what belongs in its place.
type Replacement struct {
	Seen  Row
	Right *Row // of the same key; nil: the row is removed
}

// ErrClosed is returned by every method after Close.
var ErrClosed = errors.New("online store is closed")

// ErrUnavailable is wrapped by every error that passes by itself: the store is out of reach, restarts, or moves its data.
// A writer waits and tries again, a reader goes on without. Every other error needs an operator.
var ErrUnavailable = errors.New("online store is unavailable")

// Store is what serving reads and the stream writes. Its methods may be called from many goroutines at once.
type Store interface {
	// Put replaces rows. A row that is older than the stored one of its key is ignored; one of the same position and
	// version replaces it, so that a replay heals. A newer version follows at the same position, and a writer of the
	// older one that stood still does not come back; who really goes back takes Replace. Rows are visible to Get when Put returns.
	// A batch is not atomic across keys. The rows are not kept by reference.
	Put(ctx context.Context, rows []Row) error
	// Get returns the row of a key and whether there is one. The caller owns the value.
	Get(ctx context.Context, key string) (Row, bool, error)
	// Scan calls f with every row whose key starts with prefix, in the order of keys, until f returns an error, which
	// Scan returns as it is. It sees each row that existed when it began and was not removed since.
	Scan(ctx context.Context, prefix string, f func(Row) error) error
	// Replace corrects rows, also by older ones or none, which Put refuses: each only while it stands exactly as it was
	// seen, position, version and value. So a writer that stood still since it looked takes nothing away from the one who
	// came after it. The comparison and the write of a row are one step: neither a reader nor a crash meets a moment
	// without the row. Several are not atomic together.
	Replace(ctx context.Context, wrong []Replacement) error
	// Sync returns when everything put or replaced before survives what the adapter promises to survive (for the embedded
	// one: a power cut; for Redis: nothing, see Redis.Sync).
	Sync(ctx context.Context) error
	// Marker is the store's identity, made when the store was. A writer that meets another marker than last time knows
	// that rows may be lost and publishes everything again.
	Marker(ctx context.Context) (string, error)
	Close() error
}
