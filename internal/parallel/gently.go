package parallel

import (
	"slices"
	"time"
)

const (
	// gentleTurn is for how long gentle work keeps a processor, and gentlePause for how long it leaves it to others then.
	gentleTurn  = 200 * time.Microsecond
	gentlePause = 600 * time.Microsecond
	// gentleLate is how much later than asked for a pause ends where processors are busy beyond what requests bear, as while garbage is
	// collected; the work stays away for gentleBusy then.
	gentleLate = time.Millisecond
	gentleBusy = 8 * time.Millisecond
	// gentleSteps is how many steps go by between two looks at the clock.
	gentleSteps = 32
)

// Gently is long work beside requests, which stops every now and then, so that they never wait for more of it than one turn. By itself
// Go lets such work run for ten milliseconds and more while answers wait. It takes some four times as long for it, and up to fifty times
// where others wait for processors all the time. The zero value is ready, and a nil one is in a hurry; it belongs to one goroutine, which holds nothing meanwhile that requests wait for.
type Gently struct {
	steps int
	turn  time.Time // when it began
}

// Step is called for every piece of the work.
func (g *Gently) Step() {
	if g == nil {
		return
	}
	if g.steps++; g.steps%gentleSteps == 0 {
		g.Stride()
	}
}

// Stride is Step of pieces that take many times as long as a look at the clock.
func (g *Gently) Stride() {
	if g == nil {
		return
	}
	switch now := time.Now(); {
	case g.turn.IsZero():
		g.turn = now
	case now.Sub(g.turn) > gentleTurn:
		time.Sleep(gentlePause) //nolint:forbidigo // nothing is waited for: the pause is the point
		if g.turn = time.Now(); g.turn.Sub(now) > gentlePause+gentleLate {
			time.Sleep(gentleBusy) //nolint:forbidigo // as above
			g.turn = time.Now()
		}
	}
}

// SortGently is slices.SortFunc, each comparison a step of g.
func SortGently[S ~[]E, E any](g *Gently, s S, compare func(a, b E) int) {
	slices.SortFunc(s, func(a, b E) int {
		g.Step()
		return compare(a, b)
	})
}
