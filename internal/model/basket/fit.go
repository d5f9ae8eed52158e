package basket

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/rowsum"
	"github.com/millrace/millrace/internal/topk"
)

// Model says of each item which others are bought with it.
type Model struct {
	cfg Config
	rowsum.Matrix
	pool  *rowsum.Pool
	owner any // of the memory that what was decoded lies in
}

// checkEvery is how many rows pass between two looks at the context.
const checkEvery = 256

// Fit counts pairs in baskets, one a session, over a vocabulary of numItems. The matrix is made row by row from the baskets that
// an item is in, so the memory needed beside the result is one dense row and some numbers an event, however many pairs there are.
func Fit(ctx context.Context, cfg Config, baskets *model.Sessions, numItems int) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := baskets.Check(numItems); err != nil {
		return nil, fmt.Errorf("fit baskets: %w", err)
	}
	f := newFitter(cfg, baskets, numItems)
	m := &Model{cfg: cfg, Matrix: rowsum.NewMatrix(numItems), pool: rowsum.NewPool()}
	var best topk.Best
	for item := range int32(numItems) {
		if item%checkEvery == 0 && ctx.Err() != nil {
			return nil, fmt.Errorf("fit baskets: %w", ctx.Err())
		}
		best.Reset(cfg.Neighbours)
		f.row(item, func(other int32, weight float32) { best.Push(other, weight) })
		for _, e := range best.Sorted() {
			m.Append(e.ID, e.Score)
		}
		m.EndRow()
	}
	return m, nil
}

// Config returns the configuration that the model was fitted with.
func (m *Model) Config() Config { return m.cfg }

type fitter struct {
	cfg     Config
	items   []int32 // distinct ones of each basket, one basket after the other
	offsets []int32 // basket b has items[offsets[b]:offsets[b+1]]
	weights []float64
	pair    []float64 // what a pair of each basket counts
	places  []int32   // baskets with item i are places[starts[i]:starts[i+1]]
	starts  []int32
	counts  []int     // of baskets, by item
	single  []float64 // the same with their weights
	pairing []float64 // what the pairs of an item come to at most: all its baskets, by what a pair of each counts
	total   float64   // weight of all baskets

	together []int32   // baskets of the row's item with each other; zero between rows
	sums     []float64 // the same by what a pair of each counts
	touched  []int32
}

func newFitter(cfg Config, s *model.Sessions, numItems int) *fitter {
	f := &fitter{
		cfg: cfg, offsets: make([]int32, 1, s.Len()+1), counts: make([]int, numItems), single: make([]float64, numItems),
		pairing: make([]float64, numItems), together: make([]int32, numItems), sums: make([]float64, numItems),
	}
	newest := s.Newest()
	for i := range s.Len() {
		items, times := s.At(i)
		if len(items) == 0 {
			continue
		}
		f.addBasket(items, cfg.decay(times[len(times)-1], newest))
	}
	f.findPlaces(numItems)
	return f
}

// decay is what the half-life leaves of what counted fully at another time, in Unix milliseconds.
func (c Config) decay(then, now int64) float64 {
	if c.HalfLife == 0 {
		return 1
	}
	return math.Exp2((float64(then) - float64(now)) * float64(time.Millisecond) / float64(c.HalfLife))
}

// addBasket takes the distinct items of a basket; together marks them meanwhile.
func (f *fitter) addBasket(items []int32, weight float64) {
	start := len(f.items)
	for _, item := range items {
		if f.together[item] == 0 && len(f.items)-start < f.cfg.MaxBasket {
			f.together[item] = 1
			f.items = append(f.items, item)
		}
	}
	basket := f.items[start:]
	pair := weight
	if len(basket) > 1 {
		pair *= math.Pow(float64(len(basket)-1), -f.cfg.LargeBasket)
	}
	for _, item := range basket {
		f.together[item] = 0
		f.counts[item]++
		f.single[item] += weight
		f.pairing[item] += pair
	}
	f.total += weight
	f.weights, f.pair = append(f.weights, weight), append(f.pair, pair)
	f.offsets = append(f.offsets, int32(len(f.items)))
}

func (f *fitter) findPlaces(numItems int) {
	f.starts = make([]int32, numItems+1)
	for item, n := range f.counts {
		f.starts[item+1] = f.starts[item] + int32(n)
	}
	f.places = make([]int32, len(f.items))
	next := append([]int32(nil), f.starts...)
	for b := range f.pair {
		for _, item := range f.items[f.offsets[b]:f.offsets[b+1]] {
			f.places[next[item]] = int32(b)
			next[item]++
		}
	}
}

// row calls add with every item that is bought with an item more often than chance has it, and what the pair weighs.
func (f *fitter) row(item int32, add func(other int32, weight float32)) {
	for _, b := range f.places[f.starts[item]:f.starts[item+1]] {
		for _, other := range f.items[f.offsets[b]:f.offsets[b+1]] {
			if f.together[other] == 0 {
				f.touched = append(f.touched, other)
			}
			f.together[other]++
			f.sums[other] += f.pair[b]
		}
	}
	for _, other := range f.touched {
		if weight := f.weight(item, other); weight > 0 && other != item {
			add(other, weight)
		}
	}
	for _, other := range f.touched {
		f.together[other], f.sums[other] = 0, 0
	}
	f.touched = f.touched[:0]
}

// weight is what an item of the basket says for another; 0 where the two may be together by chance.
func (f *fitter) weight(item, other int32) float32 {
	together := int(f.together[other])
	if together < f.cfg.MinTogether {
		return 0
	}
	ratio := g2(together, f.counts[item], f.counts[other], len(f.pair))
	if ratio <= 0 || ratio < f.cfg.Significance {
		return 0
	}
	share := f.sums[other] / f.pairing[item]
	popularity := f.single[other] / f.total
	return float32(share / math.Pow(popularity, f.cfg.Lift) * ratio / (ratio + f.cfg.Evidence))
}
