package stream

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/onlinestore/onlinestoretest"
)

// simOnline is the model of an online store that all processes share. The contract's suite runs on it.
type simOnline struct {
	mu       sync.Mutex
	rows     map[string]onlinestore.Row
	unsynced []undo // oldest first
	life     int
	closed   bool
	older    int // rows that came when a newer one stood there
}

// undo is what a write has replaced.
type undo struct {
	key string
	row onlinestore.Row
	had bool
}

// simLives makes markers that differ.
var simLives struct {
	sync.Mutex
	n int
}

func newSimOnline() *simOnline {
	o := &simOnline{}
	o.lose()
	return o
}

// lose empties the store, which then is another.
func (o *simOnline) lose() {
	simLives.Lock()
	simLives.n++
	life := simLives.n
	simLives.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rows, o.unsynced, o.life = make(map[string]onlinestore.Row), nil, life
}

// cut takes back what was not synced, but for a part in 100: the oldest of it.
func (o *simOnline) cut(part int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	keep := len(o.unsynced) * part / 100
	for _, u := range slices.Backward(o.unsynced[keep:]) {
		if u.had {
			o.rows[u.key] = u.row
		} else {
			delete(o.rows, u.key)
		}
	}
	o.unsynced = nil
}

func (o *simOnline) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil, onlinestore.ErrClosed
	}
	return o.mu.Unlock, nil
}

func (o *simOnline) Put(ctx context.Context, rows []onlinestore.Row) error {
	leave, err := o.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, row := range rows {
		stored, had := o.rows[row.Key]
		if had && row.Before(stored) {
			o.older++
			continue
		}
		o.replace(row)
	}
	return nil
}

// replace writes a row whatever stands there. The caller holds mu.
func (o *simOnline) replace(row onlinestore.Row) {
	stored, had := o.rows[row.Key]
	o.unsynced = append(o.unsynced, undo{row.Key, stored, had})
	row.Value = bytes.Clone(row.Value)
	o.rows[row.Key] = row
}

// leave writes rows whatever stands there.
func (o *simOnline) leave(rows []onlinestore.Row) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, row := range rows {
		o.replace(row)
	}
}

func (o *simOnline) Get(ctx context.Context, key string) (onlinestore.Row, bool, error) {
	leave, err := o.enter(ctx)
	if err != nil {
		return onlinestore.Row{}, false, err
	}
	defer leave()
	row, ok := o.rows[key]
	row.Value = bytes.Clone(row.Value)
	return row, ok, nil
}

func (o *simOnline) Scan(ctx context.Context, prefix string, f func(onlinestore.Row) error) error {
	leave, err := o.enter(ctx)
	if err != nil {
		return err
	}
	var rows []onlinestore.Row
	for _, key := range slices.Sorted(maps.Keys(o.rows)) {
		if strings.HasPrefix(key, prefix) {
			row := o.rows[key]
			row.Value = bytes.Clone(row.Value)
			rows = append(rows, row)
		}
	}
	leave()
	for _, row := range rows {
		if err := f(row); err != nil {
			return err
		}
	}
	return nil
}

func (o *simOnline) Replace(ctx context.Context, wrong []onlinestore.Replacement) error {
	leave, err := o.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, w := range wrong {
		stored, had := o.rows[w.Seen.Key]
		if had && sameRow(stored, w.Seen) {
			o.correct(w)
		}
	}
	return nil
}

// correct puts what is right in the place of a row, whatever stands there. The caller holds mu.
func (o *simOnline) correct(w onlinestore.Replacement) {
	if w.Right != nil {
		o.replace(*w.Right)
		return
	}
	stored, had := o.rows[w.Seen.Key]
	o.unsynced = append(o.unsynced, undo{w.Seen.Key, stored, had})
	delete(o.rows, w.Seen.Key)
}

func sameRow(a, b onlinestore.Row) bool {
	return a.Version == b.Version && a.Epoch == b.Epoch && a.Offset == b.Offset && bytes.Equal(a.Value, b.Value)
}

func (o *simOnline) Sync(ctx context.Context) error {
	leave, err := o.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	o.unsynced = nil
	return nil
}

func (o *simOnline) Marker(ctx context.Context) (string, error) {
	leave, err := o.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	return fmt.Sprintf("life %d", o.life), nil
}

func (o *simOnline) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	return nil
}

// TestModelOfTheOnlineStore holds the simulation's store against the contract of the real ones.
func TestModelOfTheOnlineStore(t *testing.T) {
	open := func(*testing.T) onlinestore.Store { return newSimOnline() }
	onlinestoretest.Run(t, open, func(t *testing.T, s onlinestore.Store) onlinestore.Store {
		o := s.(*simOnline)
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		o.closed = false
		return o
	})
}

// all returns every row by its key.
func (o *simOnline) all() map[string]onlinestore.Row {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.rows)
}
