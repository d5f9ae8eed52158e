// Package parallel spreads the work of a fit over the processors, and lets long work beside requests be gentle to them.
package parallel

import (
	"context"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// For calls work for all numbers below n, atATime of them at a time, on every processor, until all is done or the context is;
// then it returns the context's error. worker is called once on each, for what is its own. Who gets which numbers is chance, so no
// result may depend on it: two turns never write the same place, and sums go in the order of the numbers.
func For(ctx context.Context, n, atATime int, worker func() (work func(lo, hi int))) error {
	var next atomic.Int64
	var group errgroup.Group
	for range min(runtime.GOMAXPROCS(0), (n+atATime-1)/atATime) {
		group.Go(func() error {
			work := worker()
			for {
				lo := int(next.Add(int64(atATime))) - atATime
				if lo >= n {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				work(lo, min(lo+atATime, n))
			}
		})
	}
	return group.Wait()
}
