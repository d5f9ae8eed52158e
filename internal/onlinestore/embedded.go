package onlinestore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/internal/state"
)

const (
	// DefaultCacheBytes is the block cache of the embedded store: the working set of a busy shop's profiles (about 2 KiB
	// each) for some 30,000 visitors.
	DefaultCacheBytes = 64 << 20
	// memTableBytes is the size of one memtable: one store serves all partitions, so it is larger than theirs.
	memTableBytes = 8 << 20
	// markerKey holds the store's identity. It sorts outside of every prefix of rows.
	markerKey = "\x00marker"
)

// EmbeddedConfig says where the embedded store lives and how much memory it may use.
type EmbeddedConfig struct {
	Dir        string
	CacheBytes int64        // 0 means DefaultCacheBytes
	Log        *slog.Logger // nil discards
}

// Embedded is the online store of a single process: one Pebble database. Rows survive the end of the process at once and
// a power cut after Sync.
type Embedded struct {
	db     *pebble.DB
	cache  *state.Cache
	marker string

	// put makes the comparison with the stored row and the write one step; closed is guarded by life, which every
	// operation holds for reading.
	put    sync.Mutex
	life   sync.RWMutex
	closed bool
}

var _ Store = (*Embedded)(nil)

// OpenEmbedded opens or creates the store in cfg.Dir. The caller closes it.
func OpenEmbedded(cfg EmbeddedConfig) (*Embedded, error) {
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = DefaultCacheBytes
	}
	cache := state.NewCache(cfg.CacheBytes)
	db, err := state.OpenDisk(cfg.Dir, state.DiskOptions{Cache: cache, MemTableBytes: memTableBytes, Log: cfg.Log})
	if err != nil {
		cache.Close()
		return nil, fmt.Errorf("open online store: %w", err)
	}
	s := &Embedded{db: db, cache: cache}
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
	s.put.Lock()
	defer s.put.Unlock()
	// Within one batch the database does not yet show what came before, so positions of repeated keys are kept here.
	var pending map[string]Row
	if len(rows) > 1 {
		pending = make(map[string]Row, len(rows))
	}
	batch := s.db.NewBatch()
	defer batch.Close()
	var value []byte
	for _, row := range rows {
		stored, ok := pending[row.Key]
		if !ok {
			if stored, ok, err = s.header(row.Key); err != nil {
				return err
			}
		}
		if ok && row.Before(stored) {
			continue
		}
		value = AppendRow(value[:0], row)
		if err := batch.Set([]byte(row.Key), value, nil); err != nil {
			return fmt.Errorf("put online row: %w", err)
		}
		if pending != nil {
			pending[row.Key] = Row{Epoch: row.Epoch, Offset: row.Offset}
		}
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("put online rows: %w", err)
	}
	return nil
}

// header reads the position of a stored row without copying its value.
func (s *Embedded) header(key string) (Row, bool, error) {
	value, closer, err := s.db.Get([]byte(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return Row{}, false, nil
	}
	if err != nil {
		return Row{}, false, fmt.Errorf("read online row: %w", err)
	}
	row, err := DecodeRow(value)
	row.Value = nil
	if err := errors.Join(err, closer.Close()); err != nil {
		return Row{}, false, err
	}
	return row, true, nil
}

// Get implements Store.
func (s *Embedded) Get(ctx context.Context, key string) (Row, bool, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return Row{}, false, err
	}
	defer leave()
	value, closer, err := s.db.Get([]byte(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return Row{}, false, nil
	}
	if err != nil {
		return Row{}, false, fmt.Errorf("read online row: %w", err)
	}
	row, err := DecodeRow(value)
	row.Key, row.Value = key, append([]byte(nil), row.Value...)
	if err := errors.Join(err, closer.Close()); err != nil {
		return Row{}, false, fmt.Errorf("read online row %q: %w", key, err)
	}
	return row, true, nil
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

// Delete implements Store.
func (s *Embedded) Delete(ctx context.Context, keys ...string) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	s.put.Lock()
	defer s.put.Unlock()
	batch := s.db.NewBatch()
	defer batch.Close()
	for _, key := range keys {
		if err := batch.Delete([]byte(key), nil); err != nil {
			return fmt.Errorf("delete online row: %w", err)
		}
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("delete online rows: %w", err)
	}
	return nil
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
