package state

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Batch collects changes that become true together. It is used once, by one goroutine.
type Batch struct {
	batch *pebble.Batch
	key   []byte // scratch
	err   error  // first error of a change; Commit returns it
}

// NewBatch begins a batch. Commit or Discard ends it.
func (db *DB) NewBatch() *Batch { return &Batch{batch: db.db.NewBatch(KeepBuffer())} }

// Set replaces a row.
func (b *Batch) Set(key string, value []byte) {
	b.key = append(append(b.key[:0], kindRow), key...)
	b.set(b.key, value)
}

// Delete removes a row.
func (b *Batch) Delete(key string) { b.keep(b.batch.Delete(keyOf(kindRow, key), nil)) }

// Outbox notes that the row of a key must be published. Rounds let one part of the outbox be dropped while the next
// fills; they count up.
func (b *Batch) Outbox(round uint32, key string) {
	b.key = append(appendRound(b.key[:0], round), key...)
	b.set(b.key, nil)
}

func appendRound(b []byte, round uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, kindOutbox), round)
}

// SetMeta keeps a note of the caller.
func (b *Batch) SetMeta(name, value string) { b.set(keyOf(kindMeta, name), []byte(value)) }

func (b *Batch) set(key, value []byte) { b.keep(b.batch.Set(key, value, nil)) }

func (b *Batch) keep(err error) {
	if b.err == nil {
		b.err = err
	}
}

// Commit makes the batch and the position true together. It refuses a position before the current one: that would apply
// records twice.
func (db *DB) Commit(b *Batch, p Position) error {
	defer b.Discard()
	current, ok, err := db.Position()
	if err != nil {
		return err
	}
	if ok && p.Before(current) {
		return fmt.Errorf("commit state: position (%d,%d) is before the current (%d,%d)", p.Epoch, p.Offset, current.Epoch, current.Offset)
	}
	value := binary.AppendVarint(nil, p.Epoch)
	value = binary.AppendVarint(value, p.Offset)
	b.set([]byte{kindPosition}, binary.LittleEndian.AppendUint64(value, p.Hash))
	if b.err != nil {
		return fmt.Errorf("commit state: %w", b.err)
	}
	if err := b.batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("commit state: %w", err)
	}
	return nil
}

// Note commits notes without moving the position.
func (db *DB) Note(name, value string) error {
	if err := db.db.Set(keyOf(kindMeta, name), []byte(value), pebble.NoSync); err != nil {
		return fmt.Errorf("write state note: %w", err)
	}
	return nil
}

// Discard forgets a batch that was not committed. After Commit it does nothing.
func (b *Batch) Discard() {
	if b.batch != nil {
		// Closing a batch in memory gives its buffer back and cannot fail in a way that matters to the caller.
		_ = b.batch.Close()
		b.batch = nil
	}
}

// DropOutbox removes the rounds up to the given one from the outbox: everything in them was published, and durably. The
// state is on disk when it returns. It may run beside the owner's batches.
func (db *DB) DropOutbox(upTo uint32) error {
	err := errors.Join(db.db.DeleteRange(appendRound(nil, 0), appendRound(nil, upTo+1), pebble.NoSync), db.Sync())
	if err != nil {
		return fmt.Errorf("drop outbox: %w", err)
	}
	return nil
}
