package state

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// idAt makes a UUID of version 7 of a time.
func idAt(rng *rand.Rand, ms int64) (id EventID) {
	binary.BigEndian.PutUint64(id[8:], rng.Uint64())
	binary.BigEndian.PutUint64(id[:8], uint64(ms)<<16|7<<12|rng.Uint64N(1<<12))
	return id
}

// TestRecentAnswersLikeTheState tells a memory the ids of a stream in which everything happens that could deceive it: late
// and early ids, ids of other kinds, imports, repetitions at every distance, more sites than it takes, clocks that leap, and
// memories that begin in the middle. The state itself is the oracle.
func TestRecentAnswersLikeTheState(t *testing.T) {
	const steps = 10_000
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			db := open(t, t.TempDir())
			defer db.Close()
			recent, batch := NewRecent(db), db.NewBatch()
			inBatch := map[Identity]seenAt{}
			clocks := make([]int64, recentSites+2)
			past := make([][]Identity, len(clocks))
			found, fromMemory := 0, 0
			for i := range int64(steps) {
				n := rng.IntN(len(clocks))
				if rng.IntN(3) > 0 {
					n = 0
				}
				who := nextIdentity(rng, fmt.Sprint("site", n), max(clocks[n], 1_772_000_000_000), past[n])
				clock := clocks[n]
				if _, now := inBatch[who]; !now {
					ask, oracle := recent.First, db.First
					if rng.IntN(10) == 0 {
						ask, oracle = recent.FirstAgain, db.FirstAgain
					}
					got, ok, err := ask(who, clock)
					if err != nil {
						t.Fatal(err)
					}
					want, known, err := oracle(who, clock)
					if err != nil || got != want || ok != known {
						t.Fatalf("step %d: %+v at %d: %+v %v, the state says %+v %v (%v)", i, who, clock, got, ok, want, known, err)
					}
					if recent.sites[who.Site].complete(who, sliceOf(who.ID)) {
						fromMemory++
					}
					if ok {
						found++
					} else {
						clocks[n] = max(clock, 1_772_000_000_000) + leap(rng)
						inBatch[who] = seenAt{clocks[n], 1, i}
						batch.Remember(who, clocks[n], Position{Epoch: 1, Offset: i})
						past[n] = append(past[n], who)
					}
				}
				if rng.IntN(50) > 0 {
					continue
				}
				if err := db.Commit(batch, Position{Epoch: 1, Offset: i}); err != nil {
					t.Fatal(err)
				}
				for who, s := range inBatch {
					recent.Remember(who, s.bucket, Position{Epoch: s.epoch, Offset: s.offset})
				}
				clear(inBatch)
				if batch = db.NewBatch(); rng.IntN(200) == 0 {
					recent = NewRecent(db)
				}
			}
			batch.Discard()
			size := 0
			for _, s := range recent.sites {
				size += s.size
			}
			t.Logf("%d of %d answers from memory, %d repetitions found, %d ids in memory", fromMemory, steps, found, size)
			if found < steps/20 || fromMemory < steps/4 || size > RecentIDs {
				t.Error("the stream proves too little, or memory has no bound")
			}
		})
	}
}

func nextIdentity(rng *rand.Rand, site string, clock int64, past []Identity) Identity {
	if len(past) > 0 && rng.IntN(8) == 0 { // again, mostly soon
		who := past[max(0, len(past)-1-int(rng.ExpFloat64()*float64(1+rng.IntN(2000))))]
		if rng.IntN(20) == 0 {
			who.Import = !who.Import
		}
		return who
	}
	who := Identity{Site: site, ID: idAt(rng, clock+rng.Int64N(8000)-4000)}
	switch rng.IntN(20) {
	case 0: // another making
		binary.BigEndian.PutUint64(who.ID[:8], rng.Uint64())
		who.ID[6] = who.ID[6]&0x0f | byte(rng.IntN(16))<<4
	case 1: // late
		who.ID = idAt(rng, clock-rng.Int64N(10*24*3_600_000))
	case 2: // ahead of the clock, perhaps far
		who.ID = idAt(rng, clock+rng.Int64N(3*24*3_600_000))
	case 3:
		who.Import = true
	case 4: // the smallest id of a slice and its neighbours
		who.ID = idAt(rng, clock>>sliceShift<<sliceShift-rng.Int64N(2))
	}
	return who
}

// leap is how far a clock moves: mostly milliseconds, seldom days.
func leap(rng *rand.Rand) int64 {
	if rng.IntN(500) == 0 {
		return rng.Int64N(int64(5 * 24 * time.Hour / time.Millisecond))
	}
	return rng.Int64N(20)
}

// TestRecentForgetsTheEarliest fills a memory far beyond its bound.
func TestRecentForgetsTheEarliest(t *testing.T) {
	db := open(t, t.TempDir())
	defer db.Close()
	recent, rng := NewRecent(db), rand.New(rand.NewPCG(1, 1))
	clock := int64(1_772_000_000_000)
	for i := range int64(3 * RecentIDs) {
		clock++
		who := Identity{Site: "s", ID: idAt(rng, clock)}
		if _, ok, err := recent.First(who, clock); ok || err != nil {
			t.Fatal(ok, err)
		}
		recent.Remember(who, clock, Position{Epoch: 1, Offset: i})
		if size := recent.sites["s"].size; size > RecentIDs {
			t.Fatalf("%d ids in memory, at most %d wanted", size, RecentIDs)
		}
	}
	if size := recent.sites["s"].size; size < RecentIDs/4 {
		t.Errorf("%d ids in memory: it forgets too much", size)
	}
}

// BenchmarkFirst is one lookup of a new id in a state of a million, from memory and from disk.
func BenchmarkFirst(b *testing.B) {
	cache := NewCache(64 << 20)
	b.Cleanup(cache.Close)
	db, err := Open(b.TempDir(), Options{Cache: cache})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	rng, clock := rand.New(rand.NewPCG(1, 1)), int64(1_772_000_000_000)
	for range 100 {
		batch := db.NewBatch()
		for range 10_000 {
			clock++
			batch.Remember(Identity{Site: "s", ID: idAt(rng, clock)}, clock, Position{Epoch: 1})
		}
		if err := db.Commit(batch, Position{Epoch: 1}); err != nil {
			b.Fatal(err)
		}
	}
	recent := NewRecent(db)
	clock += 1 << sliceShift // into a slice that is complete
	for name, first := range map[string]func(Identity, int64) (Position, bool, error){"memory": recent.First, "disk": db.First} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				clock++
				if _, ok, err := first(Identity{Site: "s", ID: idAt(rng, clock)}, clock); ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
