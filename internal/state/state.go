// Package state is the keyed state of one partition: one Pebble database whose batches hold, atomically, the changed rows,
// an outbox of what must be published, the ids seen, and the position in the log up to which all of it is true. A crash
// leaves the state at the end of some batch, and the log replays the rest.
//
// Batches are not synced to disk one by one: after a power cut Kafka replays what was lost. Sync makes a checkpoint.
package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Kinds of keys in the database; the first byte of every key.
const (
	kindRow      = 'r' // rows of the caller
	kindOutbox   = 'o' // rounds and keys of rows to publish, no value
	kindSeen     = 's' // ids of events, see dedup.go
	kindMeta     = 'm' // notes of the caller
	kindPosition = 'p' // the position, one key
	kindTimer    = 't' // what is due when, see timers.go
)

// Position is how far a partition was applied: everything before Offset in this epoch of the topic, and all of earlier
// epochs. Hash is that of the record just before Offset (0 where there is none); it tells a rewritten log.
type Position struct {
	Epoch  int64
	Offset int64
	Hash   uint64
}

// Before reports whether p is earlier than o in the log; hashes do not count.
func (p Position) Before(o Position) bool {
	if p.Epoch != o.Epoch {
		return p.Epoch < o.Epoch
	}
	return p.Offset < o.Offset
}

// Options say how much memory a state may use and where it logs.
type Options struct {
	Cache         *Cache       // shared by the states of a process; required
	MemTableBytes uint64       // 0 means DefaultMemTableBytes
	Log           *slog.Logger // nil discards
	FS            FS           // nil means the operating system's
	CatchUp       *CatchUp     // shared likewise; nil is none
}

// FS is the file system that a state writes to.
type FS = vfs.FS

// DB is the state of one partition. Reads may come from any goroutine; batches come from one, the partition's owner.
type DB struct {
	db *pebble.DB
	reader
	readers *readers // of its snapshots
}

// Open opens or creates the state in dir; the directory is locked until Close. Errors are those of OpenDisk.
func Open(dir string, o Options) (*DB, error) {
	db, err := OpenDisk(dir, DiskOptions(o))
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	return &DB{db: db, reader: reader{from: db}, readers: newReaders()}, nil
}

// Close makes everything durable and lets the directory go. Snapshots end with it.
func (db *DB) Close() error {
	if err := errors.Join(db.readers.close(), db.Sync(), db.db.Close()); err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}

// Sync returns when every batch committed before is on disk.
func (db *DB) Sync() error {
	if err := db.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("sync state: %w", err)
	}
	return nil
}

// reader reads a database or a snapshot of one.
type reader struct {
	from   pebble.Reader
	others *readers // of snapshots alone: the state's own reads are its owner's
}

// Position returns how far the state was applied; ok is false for a state that never was.
func (r reader) Position() (p Position, ok bool, err error) {
	ok, err = r.get([]byte{kindPosition}, func(b []byte) error {
		var n, m int
		p.Epoch, n = binary.Varint(b)
		if n > 0 {
			p.Offset, m = binary.Varint(b[n:])
		}
		if n <= 0 || m <= 0 || len(b) != n+m+8 {
			return errDamaged
		}
		p.Hash = binary.LittleEndian.Uint64(b[n+m:])
		return nil
	})
	if err != nil {
		return Position{}, false, fmt.Errorf("read state position: %w", err)
	}
	return p, ok, nil
}

var errDamaged = fmt.Errorf("%w: a value is damaged", ErrCorrupt)

// Get returns a copy of the row of a key.
func (r reader) Get(key string) (value []byte, ok bool, err error) {
	err = r.Read(key, func(b []byte) error {
		value, ok = append([]byte(nil), b...), true
		return nil
	})
	return value, ok, err
}

// Read calls f with the row of a key, where there is one. The value is valid during the call.
func (r reader) Read(key string, f func(value []byte) error) error {
	if _, err := r.get(keyOf(kindRow, key), f); err != nil {
		return fmt.Errorf("read state row: %w", err)
	}
	return nil
}

// Meta returns a note of the caller, "" where there is none.
func (r reader) Meta(name string) (value string, err error) {
	_, err = r.get(keyOf(kindMeta, name), func(b []byte) error {
		value = string(b)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read state note: %w", err)
	}
	return value, nil
}

// Scan calls f with every row whose key starts with prefix, in the order of keys. The value is valid during the call.
func (r reader) Scan(prefix string, f func(key string, value []byte) error) error {
	return r.scan(kindRow, prefix, f)
}

// Outbox calls f with every key in the outbox and its round, oldest round first.
func (r reader) Outbox(f func(round uint32, key string) error) error {
	return r.scan(kindOutbox, "", func(key string, _ []byte) error {
		if len(key) < 4 {
			return errDamaged
		}
		return f(binary.BigEndian.Uint32([]byte(key[:4])), key[4:])
	})
}

func (r reader) scan(kind byte, prefix string, f func(key string, value []byte) error) error {
	lower := keyOf(kind, prefix)
	return r.span(lower, prefixEnd(lower), f)
}

// span calls f with what lies between two keys, without the kind.
func (r reader) span(lower, upper []byte, f func(key string, value []byte) error) (err error) {
	if err := r.others.enter(); err != nil {
		return err
	}
	defer r.others.leave()
	it, err := r.from.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("scan state: %w", err)
	}
	defer func() {
		if closeErr := it.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("scan state: %w", closeErr)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		if r.others.over() {
			return ErrClosed
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("scan state: %w", err)
		}
		if err := f(string(it.Key()[1:]), value); err != nil {
			return err
		}
	}
	return nil
}

// get calls f with the value of a key while it is valid.
func (r reader) get(key []byte, f func([]byte) error) (bool, error) {
	if err := r.others.enter(); err != nil {
		return false, err
	}
	defer r.others.leave()
	value, closer, err := r.from.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = f(value)
	return true, errors.Join(err, closer.Close())
}

func keyOf(kind byte, name string) []byte { return append([]byte{kind}, name...) }

// prefixEnd is the smallest key above every key that starts with prefix, which begins with a kind and so has one.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
