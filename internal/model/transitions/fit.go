package transitions

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/rowsum"
	"github.com/millrace/millrace/internal/topk"
)

// Model is a matrix of transitions: the weight of a pair is the sum of its occurrences, divided by the roots of how often
// the one item is left and the other is reached.
type Model struct {
	cfg           Config
	rowsum.Matrix              // strongest first within a row
	degrees       *degrees     // nil in a model of a version 1 file
	pool          *rowsum.Pool // what lies over the model shares it
	owner         any          // of the memory that what was decoded lies in
}

// degrees are the sums of all pairs that lead from and to each item, also of those that no row keeps, as of the newest
// event (Unix milliseconds).
type degrees struct {
	out, in []float64
	newest  int64
}

// product is what the sum of a pair is divided by.
func (d *degrees) product(from, to int32) float64 {
	return math.Sqrt(d.out[from]) * math.Sqrt(d.in[to])
}

// Fit counts the transitions of the sessions over a vocabulary of numItems.
//
// The matrix is made row by row from the places where an item occurs, so the memory needed beside the result is one
// dense row and one integer an event, however many pairs there are.
func Fit(cfg Config, sessions *model.Sessions, numItems int) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := sessions.Check(numItems); err != nil {
		return nil, fmt.Errorf("fit transitions: %w", err)
	}
	f := newFitter(cfg, sessions, &degrees{out: make([]float64, numItems), in: make([]float64, numItems), newest: sessions.Newest()})
	f.countDegrees()
	return &Model{cfg: cfg, Matrix: f.build(), degrees: f.degrees, pool: rowsum.NewPool()}, nil
}

type fitter struct {
	cfg     Config
	s       *model.Sessions
	degrees *degrees  // grow with what is counted
	gap     []float64 // weight of a pair by distance
	age     []float64 // weight of a pair by its later event
	session []int32   // session of each event
	places  []int32   // the events of item i are places[starts[i]:starts[i+1]], in order
	starts  []int

	sums    []float64 // of the pairs of the row at hand; zero between rows
	touched []int32   // items with a sum
}

func newFitter(cfg Config, s *model.Sessions, from *degrees) *fitter {
	f := &fitter{
		cfg: cfg, s: s, degrees: from, age: make([]float64, s.Events()), session: make([]int32, s.Events()),
		sums: make([]float64, len(from.out)),
	}
	for e, t := range s.Times {
		f.age[e] = cfg.decay(t, from.newest)
	}
	longest := 0
	for i := range s.Len() {
		for e := s.Offsets[i]; e < s.Offsets[i+1]; e++ {
			f.session[e] = int32(i)
		}
		longest = max(longest, s.Offsets[i+1]-s.Offsets[i])
	}
	f.cfg.Window = min(cfg.Window, longest)
	f.gap = make([]float64, f.cfg.Window+1)
	for g, w := 1, 1.0; g <= f.cfg.Window; g++ {
		f.gap[g] = w
		w *= cfg.GapDecay
	}
	f.findPlaces()
	return f
}

// decay is what the half-life leaves at one time of what counted fully at another, in Unix milliseconds.
func (c Config) decay(then, now int64) float64 {
	if c.HalfLife == 0 {
		return 1
	}
	return math.Exp2((float64(then) - float64(now)) * float64(time.Millisecond) / float64(c.HalfLife))
}

// visit calls add for every event within the window around event e of the same session, with the weight of the
// transition from e to it. An item that comes back makes a pair with itself: whether such a repeat is recommended is
// the repeat policy's choice.
func (f *fitter) visit(e int, add func(item int32, weight float64)) {
	i := f.session[e]
	lo, hi := max(f.s.Offsets[i], e-f.cfg.Window), min(f.s.Offsets[i+1]-1, e+f.cfg.Window)
	for other := lo; other <= hi; other++ {
		switch {
		case other > e:
			add(f.s.Items[other], f.gap[other-e]*f.age[other])
		case other < e && f.cfg.Backward > 0:
			add(f.s.Items[other], f.gap[e-other]*f.cfg.Backward*f.age[e])
		}
	}
}

func (f *fitter) countDegrees() {
	for e, from := range f.s.Items {
		f.visit(e, func(to int32, weight float64) {
			f.degrees.out[from] += weight
			f.degrees.in[to] += weight
		})
	}
}

func (f *fitter) build() rowsum.Matrix {
	m := rowsum.NewMatrix(len(f.sums))
	var best topk.Best
	for item := range int32(len(f.sums)) {
		f.sum(item)
		best.Reset(f.cfg.Neighbours)
		for _, to := range f.touched {
			if weight := float32(f.sums[to] / f.degrees.product(item, to)); weight > 0 {
				best.Push(to, weight)
			}
		}
		f.forget()
		for _, e := range best.Sorted() {
			m.Append(e.ID, e.Score)
		}
		m.EndRow()
	}
	return m
}

// sum adds up the pairs that lead from an item.
func (f *fitter) sum(item int32) {
	for _, e := range f.places[f.starts[item]:f.starts[item+1]] {
		f.visit(int(e), func(to int32, weight float64) {
			if weight == 0 { // too old to be told from never; a zero marks an untouched item
				return
			}
			if f.sums[to] == 0 {
				f.touched = append(f.touched, to)
			}
			f.sums[to] += weight
		})
	}
}

// forget ends a row.
func (f *fitter) forget() {
	for _, to := range f.touched {
		f.sums[to] = 0
	}
	f.touched = f.touched[:0]
}

func (f *fitter) findPlaces() {
	numItems := len(f.sums)
	f.starts = make([]int, numItems+1)
	for _, item := range f.s.Items {
		f.starts[item+1]++
	}
	for i := range numItems {
		f.starts[i+1] += f.starts[i]
	}
	f.places = make([]int32, len(f.s.Items))
	next := append([]int(nil), f.starts...)
	for e, item := range f.s.Items {
		f.places[next[item]] = int32(e)
		next[item]++
	}
}
