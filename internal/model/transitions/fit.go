package transitions

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/topk"
)

// Model is a sparse matrix of transitions by row: from item i to neighbours[rows[i]:rows[i+1]], strongest first.
type Model struct {
	cfg        Config
	rows       []int64 // one more than there are items
	neighbours []int32
	weights    []float32
	pool       sync.Pool // of *scratch
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
	f := newFitter(cfg, sessions, numItems)
	f.countDegrees()
	m := f.build()
	m.initPool()
	return m, nil
}

type fitter struct {
	cfg      Config
	s        *model.Sessions
	numItems int
	gap      []float64 // weight of a pair by distance
	age      []float64 // weight of a pair by its later event
	session  []int32   // session of each event
	out, in  []float64
}

func newFitter(cfg Config, s *model.Sessions, numItems int) *fitter {
	f := &fitter{
		cfg: cfg, s: s, numItems: numItems, gap: make([]float64, cfg.Window+1), age: make([]float64, s.Events()),
		session: make([]int32, s.Events()), out: make([]float64, numItems), in: make([]float64, numItems),
	}
	for g, w := 1, 1.0; g <= cfg.Window; g++ {
		f.gap[g] = w
		w *= cfg.GapDecay
	}
	now := s.Newest()
	for e, t := range s.Times {
		f.age[e] = 1
		if cfg.HalfLife > 0 {
			f.age[e] = math.Exp2(-float64(time.Duration(now-t)*time.Millisecond) / float64(cfg.HalfLife))
		}
	}
	for i := range s.Len() {
		for e := s.Offsets[i]; e < s.Offsets[i+1]; e++ {
			f.session[e] = int32(i)
		}
	}
	return f
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
			f.out[from] += weight
			f.in[to] += weight
		})
	}
}

func (f *fitter) build() *Model {
	m := &Model{cfg: f.cfg, rows: make([]int64, 1, f.numItems+1)}
	places, starts := f.places()
	row, touched := make([]float64, f.numItems), []int32(nil)
	var best topk.Heap
	for item := range f.numItems {
		for _, e := range places[starts[item]:starts[item+1]] {
			f.visit(int(e), func(to int32, weight float64) {
				if weight == 0 { // too old to be told from never; a zero marks an untouched item
					return
				}
				if row[to] == 0 {
					touched = append(touched, to)
				}
				row[to] += weight
			})
		}
		best.Reset(f.cfg.Neighbours)
		for _, to := range touched {
			if weight := row[to] / (math.Sqrt(f.out[item]) * math.Sqrt(f.in[to])); weight > 0 {
				best.Push(to, float32(weight))
			}
			row[to] = 0
		}
		touched = touched[:0]
		for _, e := range best.Sorted() {
			m.neighbours = append(m.neighbours, e.ID)
			m.weights = append(m.weights, e.Score)
		}
		m.rows = append(m.rows, int64(len(m.neighbours)))
	}
	return m
}

// places lists the events of each item: those of item i are places[starts[i]:starts[i+1]], in order.
func (f *fitter) places() (places []int32, starts []int) {
	starts = make([]int, f.numItems+1)
	for _, item := range f.s.Items {
		starts[item+1]++
	}
	for i := range f.numItems {
		starts[i+1] += starts[i]
	}
	places, next := make([]int32, len(f.s.Items)), append([]int(nil), starts...)
	for e, item := range f.s.Items {
		places[next[item]] = int32(e)
		next[item]++
	}
	return places, starts
}
