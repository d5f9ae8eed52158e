package parallel

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Work of many turns leaves the processor to others after each of them, and never within one.
func TestGentlyPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gently
		start, pauses := time.Now(), 0
		for range 100 * gentleSteps {
			time.Sleep(gentleTurn / (2 * gentleSteps)) //nolint:forbidigo // fake: half a turn goes by between two looks at the clock
			before := time.Now()
			if g.Step(); !time.Now().Equal(before) {
				pauses++
			}
		}
		if worked := time.Since(start) - time.Duration(pauses)*gentlePause; pauses < 25 || pauses > 50 || worked > 51*gentleTurn {
			t.Fatalf("%d pauses in %v of work", pauses, worked)
		}
		var hurry *Gently
		before := time.Now()
		for range 10 * gentleSteps {
			hurry.Step()
		}
		if !time.Now().Equal(before) {
			t.Error("who is in a hurry paused")
		}
	})
}

func TestSortGentlySorts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	got := make([]int, 10_000)
	for i := range got {
		got[i] = rng.IntN(1_000)
	}
	want := slices.Sorted(slices.Values(got))
	if SortGently(&Gently{}, got, cmp.Compare[int]); !slices.Equal(got, want) {
		t.Error("not sorted")
	}
}
