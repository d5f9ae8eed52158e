package state

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func open(t testing.TB, dir string) *DB {
	t.Helper()
	cache := NewCache(1 << 20)
	db, err := Open(dir, Options{Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cache.Close)
	return db
}

func commit(t *testing.T, db *DB, p Position, fill func(b *Batch)) {
	t.Helper()
	b := db.NewBatch()
	fill(b)
	if err := db.Commit(b, p); err != nil {
		t.Fatal(err)
	}
}

func outbox(t *testing.T, db *DB) (keys []string) {
	t.Helper()
	if err := db.Outbox(func(_ uint32, key string) error { keys = append(keys, key); return nil }); err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestStateSurvivesReopen(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if _, ok, err := db.Position(); ok || err != nil {
		t.Fatalf("new state has a position: %v %v", ok, err)
	}
	want := Position{Epoch: 2, Offset: 41, Hash: 1<<63 + 5}
	commit(t, db, want, func(b *Batch) {
		b.Set("p/a", []byte("1"))
		b.Set("p/b", []byte("2"))
		b.Set("q", nil)
		b.Outbox(1, "p/a")
		b.Outbox(1, "p/a")
		b.SetMeta("note", "text")
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	defer db.Close()
	if p, ok, err := db.Position(); p != want || !ok || err != nil {
		t.Fatalf("position %+v %v %v, want %+v", p, ok, err, want)
	}
	var rows []string
	if err := db.Scan("p/", func(key string, value []byte) error { rows = append(rows, key+"="+string(value)); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(rows, []string{"p/a=1", "p/b=2"}) {
		t.Fatalf("rows %q", rows)
	}
	if _, ok, err := db.Get("q"); !ok || err != nil {
		t.Fatalf("empty row is missing: %v", err)
	}
	if keys := outbox(t, db); !slices.Equal(keys, []string{"p/a"}) {
		t.Fatalf("outbox %q, want each key once", keys)
	}
	if note, err := db.Meta("note"); note != "text" || err != nil {
		t.Fatalf("note %q, %v", note, err)
	}
}

func TestCommitIsAtomicAndForwardOnly(t *testing.T) {
	db := open(t, t.TempDir())
	defer db.Close()
	commit(t, db, Position{Epoch: 1, Offset: 10}, func(b *Batch) { b.Set("k", []byte("v10")) })
	for _, p := range []Position{{Epoch: 1, Offset: 9}, {Epoch: 0, Offset: 99}} {
		b := db.NewBatch()
		b.Set("k", []byte("old"))
		if err := db.Commit(b, p); err == nil {
			t.Fatalf("position %+v after (1,10) was accepted", p)
		}
	}
	b := db.NewBatch()
	b.Set("k", []byte("never"))
	b.Discard()
	if v, _, _ := db.Get("k"); string(v) != "v10" {
		t.Fatalf("row is %q: a refused or discarded batch left something", v)
	}
	commit(t, db, Position{Epoch: 2, Offset: 0}, func(b *Batch) { b.Delete("k") })
	if _, ok, _ := db.Get("k"); ok {
		t.Fatal("deleted row is there")
	}
}

func TestSnapshotStandsStill(t *testing.T) {
	db := open(t, t.TempDir())
	defer db.Close()
	commit(t, db, Position{Offset: 1}, func(b *Batch) { b.Set("k", []byte("before")) })
	s := db.Snapshot()
	defer s.Close()
	commit(t, db, Position{Offset: 2}, func(b *Batch) { b.Set("k", []byte("after")) })
	v, _, err := s.Get("k")
	p, _, err2 := s.Position()
	if err := errors.Join(err, err2); err != nil || string(v) != "before" || p.Offset != 1 {
		t.Fatalf("snapshot shows %q at %d, %v", v, p.Offset, err)
	}
}

func TestDropOutbox(t *testing.T) {
	db := open(t, t.TempDir())
	defer db.Close()
	commit(t, db, Position{Offset: 1}, func(b *Batch) { b.Set("k", nil); b.Outbox(1, "k"); b.Outbox(1, "\xff") })
	if err := db.DropOutbox(1); err != nil {
		t.Fatal(err)
	}
	if keys := outbox(t, db); len(keys) != 0 {
		t.Fatalf("outbox %q after the drop", keys)
	}
	if _, ok, _ := db.Get("k"); !ok {
		t.Fatal("the drop took a row")
	}
	commit(t, db, Position{Offset: 2}, func(b *Batch) { b.Outbox(2, "k"); b.Outbox(3, "next") })
	if err := db.DropOutbox(2); err != nil {
		t.Fatal(err)
	}
	if keys := outbox(t, db); !slices.Equal(keys, []string{"next"}) {
		t.Fatalf("outbox %q, want what came in the next round", keys)
	}
}

const dayMs = int64(24 * 3_600_000)

func TestFirstKeepsTheFirst(t *testing.T) {
	db := open(t, t.TempDir())
	defer db.Close()
	who := Identity{Site: "s", ID: NewEventID("e1")}
	start := 1000 * dayMs
	if _, ok, err := db.First(who, start); ok || err != nil {
		t.Fatalf("unknown id: %v %v", ok, err)
	}
	commit(t, db, Position{Epoch: 1, Offset: 8}, func(b *Batch) { b.Remember(who, start, Position{Epoch: 1, Offset: 7}) })
	for _, days := range []int64{0, 1, 7, 8} {
		at, ok, err := db.First(who, start+days*dayMs)
		if err != nil || !ok || at.Epoch != 1 || at.Offset != 7 {
			t.Errorf("after %d days: %+v %v %v, want (1,7)", days, at, ok, err)
		}
	}
	if _, ok, _ := db.First(who, start+16*dayMs); ok {
		t.Error("a live id is known for ever")
	}
	for name, other := range map[string]Identity{
		"another site": {Site: "s2", ID: who.ID}, "the other door": {Site: "s", ID: who.ID, Import: true},
		"another id": {Site: "s", ID: NewEventID("e2")},
	} {
		if _, ok, _ := db.First(other, start); ok {
			t.Errorf("the id is known to %s", name)
		}
	}
}

func TestExpireSparesImportsAndNeighbours(t *testing.T) {
	db := open(t, t.TempDir())
	defer db.Close()
	start := 1000 * dayMs
	live := Identity{Site: "a", ID: NewEventID("e")}
	imported := Identity{Site: "a", ID: NewEventID("e"), Import: true}
	neighbour := Identity{Site: "aa", ID: NewEventID("e")}
	commit(t, db, Position{Offset: 1}, func(b *Batch) {
		for _, who := range []Identity{live, imported, neighbour} {
			b.Remember(who, start, Position{Offset: 0})
		}
	})
	for d := int64(1); d <= 40; d++ {
		commit(t, db, Position{Offset: 1 + d}, func(b *Batch) { b.Expire("a", start+(d-1)*dayMs, start+d*dayMs) })
		if _, ok, _ := db.First(live, start+d*dayMs); d <= 8 && !ok {
			t.Fatalf("live id is gone after %d days", d)
		}
	}
	count := 0
	if err := db.scan(kindSeen, "", func(string, []byte) error { count++; return nil }); err != nil {
		t.Fatal(err)
	}
	if count != 2 {
		t.Fatalf("%d ids on disk after 40 days, want the import's and the other site's", count)
	}
	if _, ok, _ := db.First(imported, start+4000*dayMs); !ok {
		t.Fatal("an import id was forgotten")
	}
}

// TestFirstAgainAnswersAsBefore is the edge of the window: an id came twice, 8 to 12 days apart; whatever the first answer
// for the second record was, reading it again after the clock has moved on gives the same.
func TestFirstAgainAnswersAsBefore(t *testing.T) {
	for gap := int64(0); gap <= 14; gap++ {
		t.Run(fmt.Sprintf("%d days", gap), func(t *testing.T) {
			db := open(t, t.TempDir())
			defer db.Close()
			who := Identity{Site: "s", ID: NewEventID("e")}
			first, second := 1003*dayMs, (1003+gap)*dayMs
			commit(t, db, Position{Offset: 1}, func(b *Batch) { b.Remember(who, first, Position{Offset: 0}) })
			at, known, _ := db.First(who, second)
			duplicate := known && at.Offset < 100
			commit(t, db, Position{Offset: 101}, func(b *Batch) {
				b.Expire("s", first, second)
				if !duplicate {
					b.Remember(who, second, Position{Offset: 100})
				}
			})
			later := second + 4*dayMs
			commit(t, db, Position{Offset: 102}, func(b *Batch) { b.Expire("s", second, later) })
			at, known, err := db.FirstAgain(who, later)
			if err != nil || (known && at.Offset < 100) != duplicate {
				t.Fatalf("duplicate was %v, is %v (%+v, %v)", duplicate, known && at.Offset < 100, at, err)
			}
		})
	}
}

func TestEventIDs(t *testing.T) {
	seen := map[EventID]string{}
	for _, id := range []string{"e1", "e2", "0190a0b0-0000-7000-8000-000000000001", "0190A0B0-0000-7000-8000-000000000001",
		"0190a0b0-0000-7000-8000-000000000002", "0190a0b000007000800000000000000100", "0190a0b0-0000-7000-8000-00000000000g", ""} {
		e := NewEventID(id)
		if other, ok := seen[e]; ok {
			t.Errorf("%q and %q are one id", id, other)
		}
		seen[e] = id
	}
	if e := NewEventID("0190a0b0-0000-7000-8000-000000000001"); e[0] != 1 || e[1] != 0x90 || e[15] != 1 {
		t.Errorf("a UUID is not kept by its bits: %x", e)
	}
}

func TestOpenLockedNamesTheDirectory(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	defer db.Close()
	cache := NewCache(1 << 20)
	defer cache.Close()
	if _, err := Open(dir, Options{Cache: cache}); !errors.Is(err, ErrLocked) {
		t.Fatalf("second open: %v, want ErrLocked", err)
	}
}

// BenchmarkDedup is the lookup and the remembering of a new id among many; batches of 1000.
func BenchmarkDedup(b *testing.B) {
	cache := NewCache(16 << 20)
	defer cache.Close()
	db, err := Open(b.TempDir(), Options{Cache: cache})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	batch := db.NewBatch()
	i := int64(0)
	for b.Loop() {
		var id EventID
		id[0], id[1], id[2], id[3], id[4] = byte(i>>32), byte(i>>24), byte(i>>16), byte(i>>8), byte(i)
		who := Identity{Site: "default", ID: id}
		if _, ok, err := db.First(who, 20_000*dayMs); ok || err != nil {
			b.Fatal(ok, err)
		}
		batch.Remember(who, 20_000*dayMs, Position{Epoch: 1, Offset: i})
		if i++; i%1000 == 0 {
			if err := db.Commit(batch, Position{Epoch: 1, Offset: i}); err != nil {
				b.Fatal(err)
			}
			batch = db.NewBatch()
		}
	}
	batch.Discard()
}
