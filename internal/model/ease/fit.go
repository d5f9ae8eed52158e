package ease

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/rowsum"
	"github.com/millrace/millrace/internal/topk"
)

// Form says how the weights of a model were found.
type Form string

// The forms.
const (
	// Whole is a model that predicts each item from all others.
	Whole Form = "whole"
	// Neighbourhoods is one that predicts each from those that go with it best.
	Neighbourhoods Form = "neighbourhoods"
)

// Model is the weights: row i holds what having met item i says of each other item.
type Model struct {
	cfg  Config
	form Form
	rowsum.Matrix
	pool  *rowsum.Pool
	owner any // of the memory that what was decoded lies in
}

// Config returns the configuration that the model was fitted with.
func (m *Model) Config() Config { return m.cfg }

// Form returns how the weights were found.
func (m *Model) Form() Form { return m.form }

// itemsATurn is how many items a goroutine takes at a time: a popular item costs as much as thousands of others, and must not keep
// the last one waiting.
const itemsATurn = 16

// fitter is the working memory of a fit. Items have the numbers of the observations.
type fitter struct {
	cfg      Config
	o        *observations
	progress func(share float64)
	pairs    int // that the neighbourhood form keeps, at most, of what goes together
}

// Fit solves for the weights, on all processors. The same interactions and configuration give the same model whatever
// processors there are. progress, if not nil, is told the share that is done, from one goroutine. A done context ends it with
// the context's error; an error that wraps linalg.ErrNotPositive says that L2 is too small for what the visitors share.
//
// n items take 4n² bytes and n³ operations as a whole, and a second at 4,000 of them. Neighbourhoods take three times 8 bytes for
// each of MaxPairs at most, as much for each of Candidates of every item, and time in proportion to the items.
func Fit(ctx context.Context, cfg Config, x *model.Interactions, progress func(share float64)) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := x.Check(); err != nil {
		return nil, fmt.Errorf("fit EASE: %w", err)
	}
	if progress == nil {
		progress = func(float64) {}
	}
	f := &fitter{cfg: cfg, o: observe(cfg, x), progress: progress, pairs: MaxPairs}
	m, err := f.fit(ctx, x.NumItems)
	if err != nil {
		return nil, fmt.Errorf("fit EASE of %d items: %w", len(f.o.items), err)
	}
	return m, nil
}

func (f *fitter) fit(ctx context.Context, numItems int) (*Model, error) {
	m := &Model{cfg: f.cfg, form: Whole, pool: rowsum.NewPool()}
	solve := f.whole
	if len(f.o.items) > f.cfg.MaxItems {
		m.form, solve = Neighbourhoods, f.neighbourhoods
	}
	rows, err := solve(ctx)
	if err != nil {
		return nil, err
	}
	m.Matrix = f.assemble(rows, numItems)
	f.progress(1)
	return m, nil
}

// pairs are the weights of a row, or of a column, with the items that they belong to.
type pairs struct {
	items   []int32
	weights []float32
}

func (p *pairs) add(item int32, weight float32) {
	p.items, p.weights = append(p.items, item), append(p.weights, weight)
}

// strongest returns the pairs whose weights are furthest from zero, as many as are kept, in the order in which they were.
func (f *fitter) strongest(best *topk.Best, all pairs) pairs {
	keep := f.cfg.Neighbours
	if keep == 0 || keep >= len(all.items) {
		return pairs{slices.Clone(all.items), slices.Clone(all.weights)}
	}
	best.Reset(keep)
	for at, weight := range all.weights {
		best.Push(int32(at), float32(math.Abs(float64(weight))))
	}
	places := best.Sorted()
	slices.SortFunc(places, func(a, b topk.Entry) int { return int(a.ID - b.ID) })
	kept := pairs{make([]int32, 0, keep), make([]float32, 0, keep)}
	for _, place := range places {
		kept.add(all.items[place.ID], all.weights[place.ID])
	}
	return kept
}

// assemble makes one matrix of the rows, in the numbers of the vocabulary. It takes the rows' memory as it goes.
func (f *fitter) assemble(rows []pairs, numItems int) rowsum.Matrix {
	total := 0
	for _, row := range rows {
		total += len(row.items)
	}
	m := rowsum.NewMatrix(numItems)
	m.Items, m.Weights = make([]int32, 0, total), make([]float32, 0, total)
	next := 0
	for item := range int32(numItems) {
		if next < len(rows) && f.o.items[next] == item {
			for at, other := range rows[next].items {
				m.Append(f.o.items[other], rows[next].weights[at])
			}
			rows[next] = pairs{}
			next++
		}
		m.EndRow()
	}
	return m
}
