package eval

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/millrace/millrace/internal/model"
)

// space is the settings of one model that tuning may try: a base configuration, a grid of values over some of its
// fields, and the way to a scorer.
type space[C any] struct {
	base C
	axes []axis[C]
	fit  fitting[C]
}

// fitting makes the model of one configuration. It ends early, with an error, when its context does.
type fitting[C any] = func(context.Context, C) (model.Scorer, error)

// axis is one field with the values to try.
type axis[C any] struct {
	name   string
	values []any
	set    func(c *C, value int)
}

// over makes the axis of a field.
func over[C, V any](name string, field func(*C) *V, values ...V) axis[C] {
	a := axis[C]{name: name, set: func(c *C, i int) { *field(c) = values[i] }}
	for _, v := range values {
		a.values = append(a.values, v)
	}
	return a
}

// point is a place in the grid: an index into the values of each axis.
type point []int

func (p point) key() string { return fmt.Sprint([]int(p)) }

// at returns the configuration of a point.
func (s *space[C]) at(p point) C {
	c := s.base
	for i, a := range s.axes {
		a.set(&c, p[i])
	}
	return c
}

// words tells a point by the names and values of its axes.
func (s *space[C]) words(p point) string {
	text := ""
	for i, a := range s.axes {
		text += fmt.Sprintf("%s=%v ", a.name, a.values[p[i]])
	}
	return text
}

// size returns the number of points, capped to keep it an int.
func (s *space[C]) size() int {
	n := 1
	for _, a := range s.axes {
		if n *= len(a.values); n > 1<<30 {
			return 1 << 30
		}
	}
	return n
}

// nth returns point n of the grid in a fixed order.
func (s *space[C]) nth(n int) point {
	p := make(point, len(s.axes))
	for i, a := range s.axes {
		p[i] = n % len(a.values)
		n /= len(a.values)
	}
	return p
}

// random returns any point.
func (s *space[C]) random(rng *rand.Rand) point {
	p := make(point, len(s.axes))
	for i, a := range s.axes {
		p[i] = rng.IntN(len(a.values))
	}
	return p
}

// near returns a point one step from p on one or two axes; sometimes the step is a jump, so that values far apart in
// the grid, such as the repeat policies, are not cut off from each other.
func (s *space[C]) near(p point, rng *rand.Rand) point {
	const jumpShare = 0.25
	out := slices.Clone(p)
	for range 1 + rng.IntN(2) {
		i := rng.IntN(len(s.axes))
		n := len(s.axes[i].values)
		if rng.Float64() < jumpShare {
			out[i] = rng.IntN(n)
			continue
		}
		out[i] = min(max(out[i]+1-2*rng.IntN(2), 0), n-1)
	}
	return out
}

// grid describes the space for the report: the values of each axis by name.
func (s *space[C]) grid() map[string][]any {
	out := map[string][]any{}
	for _, a := range s.axes {
		out[a.name] = a.values
	}
	return out
}
