package state

import "sync/atomic"

// CatchUp counts those who catch up with a log, in a process whose databases share it. Compaction pays off later and waits as
// long as somebody does, unless reads of a database would suffer (l0CatchUp): after a start the processor belongs to what
// visitors wait for.
type CatchUp struct{ running atomic.Int32 }

// CatchingUp is one who catches up.
type CatchingUp struct {
	of    *CatchUp
	ended atomic.Bool
}

// Begin counts one more until its End.
func (c *CatchUp) Begin() *CatchingUp {
	c.running.Add(1)
	return &CatchingUp{of: c}
}

// End tells that the end of the log was reached, or that nobody tries any more. Telling it again changes nothing.
func (c *CatchingUp) End() {
	if !c.ended.Swap(true) {
		c.of.running.Add(-1)
	}
}

// compactions is how many compactions a database may run at least and at most at one time. Above the least, Pebble adds one for
// each l0CatchUp layers of level 0. One that had to wait begins after the next flush.
func (c *CatchUp) compactions() (lower, upper int) {
	if c != nil && c.running.Load() > 0 {
		return 0, 1
	}
	return 1, 1
}
