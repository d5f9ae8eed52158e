package onlinestore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/internal/state"
)

const (
	// DefaultCacheBytes is the block cache of the embedded store: the aggregates of some 100,000 items, which are read again and again.
	// Rows that are asked for one by one are remembered beside it (recentRows).
	DefaultCacheBytes = 32 << 20
	// memTableBytes is the size of one memtable: one store serves all partitions.
	memTableBytes = 16 << 20
	// markerKey holds the store's identity. It sorts outside of every prefix of rows.
	markerKey = "\x00marker"
)

// EmbeddedConfig says where the embedded store lives and how much memory it may use.
type EmbeddedConfig struct {
	Dir        string
	CacheBytes int64          // 0 means DefaultCacheBytes
	CatchUp    *state.CatchUp // compactions wait for it; nil lets them begin when they like
	Log        *slog.Logger   // nil discards
}

// Embedded is the online store of a single process: one Pebble database. Rows survive the end of the process at once and
// a power cut after Sync.
type Embedded struct {
	db     *pebble.DB
	cache  *state.Cache
	marker string
	recent *recentRows

	// put makes the comparison with the stored row and the write one step, and guards written; closed is guarded by life,
	// which every operation holds for reading.
	put     sync.Mutex
	written positions
	life    sync.RWMutex
	closed  bool
}

var _ Store = (*Embedded)(nil)

// OpenEmbedded opens or creates the store in cfg.Dir. The caller closes it.
func OpenEmbedded(cfg EmbeddedConfig) (*Embedded, error) {
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = DefaultCacheBytes
	}
	cache := state.NewCache(cfg.CacheBytes)
	db, err := state.OpenDisk(cfg.Dir, state.DiskOptions{Cache: cache, MemTableBytes: memTableBytes, Log: cfg.Log, CatchUp: cfg.CatchUp})
	if err != nil {
		cache.Close()
		return nil, fmt.Errorf("open online store: %w", err)
	}
	s := &Embedded{db: db, cache: cache, written: newPositions(keptPositions), recent: newRecentRows()}
	if s.marker, err = readOrMakeMarker(db); err != nil {
		return nil, errors.Join(fmt.Errorf("open online store: %w", err), s.Close())
	}
	return s, nil
}

func readOrMakeMarker(db *pebble.DB) (string, error) {
	value, closer, err := db.Get([]byte(markerKey))
	if err == nil {
		marker := string(value)
		return marker, closer.Close()
	}
	if !errors.Is(err, pebble.ErrNotFound) {
		return "", fmt.Errorf("read store marker: %w", err)
	}
	marker := rand.Text()
	if err := db.Set([]byte(markerKey), []byte(marker), pebble.Sync); err != nil {
		return "", fmt.Errorf("write store marker: %w", err)
	}
	return marker, nil
}

// enter holds the store open until the returned function is called.
func (s *Embedded) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return nil, ErrClosed
	}
	return s.life.RUnlock, nil
}

// Put implements Store.
func (s *Embedded) Put(ctx context.Context, rows []Row) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	// Memory must not forget a row before it is in the database.
	for rows := range slices.Chunk(rows, s.written.kept) {
		if err := s.putAll(rows); err != nil {
			return err
		}
	}
	return nil
}

// putAll writes those of the rows that change something.
func (s *Embedded) putAll(rows []Row) error {
	stored := make([]found, len(rows))
	s.put.Lock()
	s.recall(rows, stored)
	forgotten := s.written.forgotten
	s.put.Unlock()
	// The slow part: others go on meanwhile.
	if err := s.look(rows, stored); err != nil {
		return err
	}
	s.put.Lock()
	defer s.put.Unlock()
	if s.written.forgotten != forgotten { // memory may not know any more what others have written since
		clear(stored)
		if err := s.look(rows, stored); err != nil {
			return err
		}
	}
	s.recall(rows, stored)
	if err := s.write(rows, stored); err != nil {
		s.written.reset() // it may know rows that are not written
		s.recent.reset()
		return err
	}
	return nil
}

// found is what stands under the key of a row.
type found struct {
	position
	there bool
	same  bool // it is the very row
}

// recall notes what memory knows. The caller holds put.
func (s *Embedded) recall(rows []Row, stored []found) {
	for i, row := range rows {
		if at, ok := s.written.get(row.Key); ok {
			stored[i] = found{position: at, there: true}
		}
	}
}

// look reads what the database has under the keys that nothing is known of.
func (s *Embedded) look(rows []Row, stored []found) error {
	for i, row := range rows {
		if stored[i].there {
			continue
		}
		value, closer, err := s.db.Get([]byte(row.Key))
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read online row: %w", err)
		}
		r, err := DecodeRow(value)
		stored[i] = found{position: position{r.Epoch, r.Offset, r.Version}, there: true,
			same: r.Version == row.Version && r.Epoch == row.Epoch && r.Offset == row.Offset && bytes.Equal(r.Value, row.Value)}
		if err := errors.Join(err, closer.Close()); err != nil {
			return fmt.Errorf("read online row %q: %w", row.Key, err)
		}
	}
	return nil
}

// write puts those of the rows that are neither older than what is stored nor the very same: a start puts many again. What
// came before in the same rows is known to memory alone. The caller holds put.
func (s *Embedded) write(rows []Row, stored []found) error {
	batch := s.db.NewBatch(state.KeepBuffer())
	defer batch.Close()
	var key, value []byte
	changed := make([]int, 0, len(rows))
	for i, row := range rows {
		there := stored[i]
		if at, ok := s.written.get(row.Key); ok {
			there = found{position: at, there: true}
		}
		at := position{row.Epoch, row.Offset, row.Version}
		if there.same || there.there && at.before(there.position) {
			continue
		}
		key, value = append(key[:0], row.Key...), AppendRow(value[:0], row)
		if err := batch.Set(key, value, nil); err != nil {
			return fmt.Errorf("put online row: %w", err)
		}
		s.written.set(row.Key, at)
		changed = append(changed, i)
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("put online rows: %w", err)
	}
	for _, i := range changed {
		s.recent.wrote(rows[i])
	}
	return nil
}

// Get implements Store.
func (s *Embedded) Get(ctx context.Context, key string) (Row, bool, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return Row{}, false, err
	}
	defer leave()
	found, writes, known := s.recent.get(key)
	if !known {
		if found, err = s.read(key); err != nil {
			return Row{}, false, err
		}
		s.recent.add(key, found, writes)
	}
	found.Value = bytes.Clone(found.Value) // the caller's
	return found.Row, found.there, nil
}

// read reads a row from the database.
func (s *Embedded) read(key string) (recentRow, error) {
	value, closer, err := s.db.Get([]byte(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return recentRow{}, nil
	}
	if err != nil {
		return recentRow{}, fmt.Errorf("read online row: %w", err)
	}
	row, err := DecodeRow(value)
	row.Key, row.Value = key, bytes.Clone(row.Value)
	if err := errors.Join(err, closer.Close()); err != nil {
		return recentRow{}, fmt.Errorf("read online row %q: %w", key, err)
	}
	return recentRow{row, true}, nil
}

// Scan implements Store.
func (s *Embedded) Scan(ctx context.Context, prefix string, f func(Row) error) (err error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	lower := []byte(prefix)
	if prefix == "" {
		lower = []byte{1} // the marker is no row
	}
	it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lower, UpperBound: prefixEnd([]byte(prefix))})
	if err != nil {
		return fmt.Errorf("scan online store: %w", err)
	}
	defer func() {
		if closeErr := it.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("scan online store: %w", closeErr)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("scan online store: %w", err)
		}
		row, err := DecodeRow(value)
		if err != nil {
			return fmt.Errorf("scan online row %q: %w", it.Key(), err)
		}
		row.Key, row.Value = string(it.Key()), append([]byte(nil), row.Value...)
		if err := f(row); err != nil {
			return err
		}
	}
	return nil
}

// Replace implements Store.
func (s *Embedded) Replace(ctx context.Context, wrong []Replacement) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	s.put.Lock()
	defer s.put.Unlock()
	batch := s.db.NewIndexedBatch() // shows what it did to a key that comes twice
	defer batch.Close()
	for _, r := range wrong {
		s.written.forget(r.Seen.Key)
		if err := replace(batch, r); err != nil {
			return fmt.Errorf("replace online row %q: %w", r.Seen.Key, err)
		}
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		s.recent.reset()
		return fmt.Errorf("replace online rows: %w", err)
	}
	for _, r := range wrong {
		s.recent.forget(r.Seen.Key)
	}
	return nil
}

func replace(batch *pebble.Batch, r Replacement) error {
	key := []byte(r.Seen.Key)
	stored, closer, err := batch.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	stands := bytes.Equal(stored, AppendRow(nil, r.Seen))
	if err := closer.Close(); err != nil || !stands {
		return err
	}
	if r.Right == nil {
		return batch.Delete(key, nil)
	}
	return batch.Set(key, AppendRow(nil, *r.Right), nil)
}

// Sync implements Store: an empty record is written to the log and forced to disk, and with it all before it.
func (s *Embedded) Sync(ctx context.Context) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("sync online store: %w", err)
	}
	return nil
}

// Marker implements Store.
func (s *Embedded) Marker(ctx context.Context) (string, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	return s.marker, nil
}

// Close implements Store. It waits for running operations; closing twice is no error.
func (s *Embedded) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := errors.Join(s.db.LogData(nil, pebble.Sync), s.db.Close())
	s.cache.Close()
	if err != nil {
		return fmt.Errorf("close online store: %w", err)
	}
	return nil
}

// prefixEnd is the smallest key above every key that starts with prefix; nil means no bound.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
