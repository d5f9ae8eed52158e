package onlinestore

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

func openRecent(t *testing.T) *Embedded {
	t.Helper()
	s, err := OpenEmbedded(EmbeddedConfig{Dir: t.TempDir(), CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Readers beside writers never see a row go back, see each write once Put has returned, and what is remembered in the end is what the
// database has: rows, and that there is none.
func TestWhatIsRememberedIsWhatTheDatabaseHas(t *testing.T) {
	s := openRecent(t)
	const keys, writes = 8, 400
	key := func(i int) string { return fmt.Sprint("k", i) }
	var group sync.WaitGroup
	for writer := range keys / 2 {
		group.Go(func() {
			for n := range uint64(writes) {
				row := Row{Key: key(writer), Offset: int64(n), Value: binary.BigEndian.AppendUint64(nil, n)}
				if err := s.Put(t.Context(), []Row{row}); err != nil {
					t.Error(err)
				}
				if got, ok, err := s.Get(t.Context(), row.Key); err != nil || !ok || got.Offset != row.Offset {
					t.Errorf("after write %d: offset %d, %v, %v", n, got.Offset, ok, err)
				}
				if n%50 == 49 {
					if err := s.Replace(t.Context(), []Replacement{{Seen: row}}); err != nil {
						t.Error(err)
					}
					if _, ok, err := s.Get(t.Context(), row.Key); ok || err != nil {
						t.Errorf("a removed row is there: %v, %v", ok, err)
					}
				}
			}
		})
	}
	for reader := range 4 {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(reader), 1))
			var seen [keys]int64
			for range 10_000 {
				i := rng.IntN(keys)
				got, ok, err := s.Get(t.Context(), key(i))
				if err != nil {
					t.Error(err)
				}
				if !ok {
					continue
				}
				if got.Offset < seen[i] || binary.BigEndian.Uint64(got.Value) != uint64(got.Offset) {
					t.Errorf("%s: offset %d with %v after %d", key(i), got.Offset, got.Value, seen[i])
				}
				seen[i] = got.Offset
			}
		})
	}
	group.Wait()
	for i := range keys {
		stored, err := s.read(key(i))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, ok, err := s.Get(t.Context(), key(i)); err != nil || ok != stored.there || got.Offset != stored.Offset {
				t.Errorf("%s: offset %d, %v, %v; the database has %+v", key(i), got.Offset, ok, err, stored)
			}
		}
	}
}

// A read that began before a write, and comes to its end after it, is not remembered.
func TestAnOldReadIsNotRemembered(t *testing.T) {
	r := newRecentRows()
	_, writes, _ := r.get("k")
	r.wrote(Row{Key: "k", Offset: 2})
	r.add("k", recentRow{Row{Key: "k", Offset: 1}, true}, writes)
	if row, _, known := r.get("k"); known {
		t.Errorf("offset %d is remembered", row.Offset)
	}
}

// What is remembered stays within its bounds, and what was read last stays.
func TestRecentRowsAreBounded(t *testing.T) {
	r := newRecentRows()
	const rows, size = 40_000, 2_000
	for i := range rows {
		key := fmt.Sprint(i)
		_, writes, _ := r.get(key)
		r.add(key, recentRow{Row{Key: key, Value: make([]byte, size)}, true}, writes)
	}
	bytes, kept := 0, 0
	for i := range r.shards {
		bytes, kept = bytes+r.shards[i].bytes, kept+r.shards[i].rows.Len()
	}
	if bytes > recentBytes || bytes < recentBytes*3/4 || bytes != kept*(size+recentOverhead)+keyBytes(r) {
		t.Errorf("%d rows of %d bytes in all", kept, bytes)
	}
	if _, _, known := r.get(fmt.Sprint(rows - 1)); !known {
		t.Error("the row that was read last is forgotten")
	}
	_, writes, _ := r.get("long")
	r.add("long", recentRow{Row{Key: "long", Value: make([]byte, maxRecentRow+1)}, true}, writes)
	if _, _, known := r.get("long"); known {
		t.Error("a row is remembered that is too long")
	}
	r.reset()
	if _, _, known := r.get(fmt.Sprint(rows - 1)); known || r.shards[0].bytes != 0 {
		t.Error("something is remembered after all was forgotten")
	}
}

func keyBytes(r *recentRows) (bytes int) {
	for i := range r.shards {
		for _, key := range r.shards[i].rows.Keys() {
			bytes += len(key)
		}
	}
	return bytes
}
