package parallel

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

func TestForDoesEverythingOnce(t *testing.T) {
	for _, n := range []int{0, 1, 2, 99, 1000} {
		for _, atATime := range []int{1, 3, 2000} {
			done := make([]atomic.Int32, n)
			err := For(t.Context(), n, atATime, func() func(lo, hi int) {
				return func(lo, hi int) {
					if hi-lo > atATime || hi <= lo {
						t.Errorf("a turn of %d to %d", lo, hi)
					}
					for i := lo; i < hi; i++ {
						done[i].Add(1)
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := range done {
				if got := done[i].Load(); got != 1 {
					t.Fatalf("%d of %d was done %d times", i, n, got)
				}
			}
		}
	}
}

func TestForEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	turns := atomic.Int32{}
	err := For(ctx, 1_000_000, 1, func() func(lo, hi int) {
		return func(int, int) {
			turns.Add(1)
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || turns.Load() > 1000 {
		t.Errorf("error %v after %d turns", err, turns.Load())
	}
}
