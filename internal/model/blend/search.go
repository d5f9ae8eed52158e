package blend

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/model"
)

const (
	// minGain is the least gain of the objective that a step must bring: less is noise, and the search would never end.
	minGain = 1e-6
	// maxPasses bounds the rounds over all members.
	maxPasses = 8
	// noPlace is the place of an item in a list that does not hold it.
	noPlace = 1<<16 - 1
)

// steps are the weights that are tried of one member, as shares of the largest weight of the others.
func steps() []float32 { return []float32{0, 0.03, 0.07, 0.15, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5} }

// fitter holds what every member answers to every example, so that weights are tried without asking again. The candidates of
// example i are offsets[i] to offsets[i+1]; what members say of them is in rows of one entry a member.
type fitter struct {
	cfg     FitConfig
	members []model.Scorer
	workers int

	offsets []int
	items   []int32
	wanted  []bool      // by candidate
	sizes   []int       // by example: wanted items in all
	shares  []float32   // score over the first of the list
	places  []uint16    // noPlace where the list does not hold it
	values  [][]float32 // by member and candidate: the score on the scale in use
}

func (f *fitter) examples() int { return len(f.sizes) }

// gather asks every member for every example.
func (f *fitter) gather(ctx context.Context, examples []Example) error {
	parts := make([]*fitter, f.workers)
	f.parallel(len(examples), func(worker, from, to int) {
		part := &fitter{cfg: f.cfg, members: f.members}
		part.offsets = []int{0}
		for i := from; i < to && ctx.Err() == nil; i++ {
			part.ask(&examples[i])
		}
		parts[worker] = part
	})
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("fit blend: %w", err)
	}
	f.offsets = []int{0}
	for _, part := range parts {
		if part == nil {
			continue // there were fewer examples than workers
		}
		before := len(f.items)
		for _, end := range part.offsets[1:] {
			f.offsets = append(f.offsets, before+end)
		}
		f.items, f.wanted, f.sizes = append(f.items, part.items...), append(f.wanted, part.wanted...), append(f.sizes, part.sizes...)
		f.shares, f.places = append(f.shares, part.shares...), append(f.places, part.places...)
	}
	f.values = make([][]float32, len(f.members))
	for member := range f.values {
		f.values[member] = make([]float32, len(f.items))
	}
	return nil
}

// ask adds one example.
func (f *fitter) ask(e *Example) {
	first, width := len(f.items), len(f.members)
	var list []model.Scored
	at := map[int32]int{}
	for member, scorer := range f.members {
		list = scorer.Score(list[:0], e.Query, f.cfg.Depth)
		for place, scored := range list {
			row, ok := at[scored.Item]
			if !ok {
				row = len(f.items)
				at[scored.Item] = row
				f.items, f.wanted = append(f.items, scored.Item), append(f.wanted, slices.Contains(e.Wanted, scored.Item))
				for range width {
					f.shares, f.places = append(f.shares, 0), append(f.places, noPlace)
				}
			}
			if top := list[0].Score; top > 0 {
				f.shares[row*width+member] = scored.Score / top
			}
			f.places[row*width+member] = uint16(place)
		}
	}
	if !slices.Contains(f.wanted[first:], true) { // no weights can find it: only its number counts
		f.items, f.wanted = f.items[:first], f.wanted[:first]
		f.shares, f.places = f.shares[:first*width], f.places[:first*width]
	}
	f.offsets, f.sizes = append(f.offsets, len(f.items)), append(f.sizes, len(e.Wanted))
}

// use brings all lists to a scale.
func (f *fitter) use(scale *Config) {
	width := len(f.members)
	for member, values := range f.values {
		for c := range values {
			values[c] = 0
			if at := c*width + member; f.places[at] != noPlace {
				values[c] = max(0, scale.value(1, f.shares[at], int(f.places[at])))
			}
		}
	}
}

// ascend changes one weight after the other as long as that helps.
func (f *fitter) ascend(ctx context.Context, start []float32, examples []int) ([]float32, float64) {
	weights := slices.Clone(start)
	best := f.value(weights, examples)
	for range maxPasses {
		before := best
		for member := range weights {
			others := largest(weights, member)
			if others == 0 {
				continue // alone, any weight is the same
			}
			tried := steps()
			for i := range tried {
				tried[i] *= others
			}
			for i, value := range f.try(weights, member, tried, examples) {
				if value > best+minGain {
					best, weights[member] = value, tried[i]
				}
			}
		}
		if best <= before || ctx.Err() != nil {
			break
		}
	}
	most := largest(weights, -1)
	for i := range weights {
		weights[i] /= most
	}
	return weights, best
}

// largest returns the largest weight, that of one member not counted.
func largest(weights []float32, but int) float32 {
	most := float32(0)
	for i, w := range weights {
		if i != but {
			most = max(most, w)
		}
	}
	return most
}

// value is the mean of the objective over some examples.
func (f *fitter) value(weights []float32, examples []int) float64 {
	return f.try(weights, 0, weights[:1], examples)[0]
}

// each is the objective on each of some examples.
func (f *fitter) each(weights []float32, examples []int) []float64 {
	return f.tryEach(weights, 0, weights[:1], examples)
}

// try returns the mean of the objective over some examples for each of several weights of one member.
func (f *fitter) try(weights []float32, member int, tried []float32, examples []int) []float64 {
	means := make([]float64, len(tried))
	for i, v := range f.tryEach(weights, member, tried, examples) { // in one order, whatever the number of workers
		means[i%len(tried)] += v
	}
	for j := range means {
		means[j] /= float64(max(len(examples), 1))
	}
	return means
}

// tryEach is try of each example, by example and then by weight. What the other members say is added up once.
func (f *fitter) tryEach(weights []float32, member int, tried []float32, examples []int) []float64 {
	each := make([]float64, len(examples)*len(tried))
	f.parallel(len(examples), func(_, from, to int) {
		var r ranker
		for i := from; i < to; i++ {
			r.begin(f, weights, member, examples[i])
			for j, weight := range tried {
				each[i*len(tried)+j] = f.cfg.Objective(r.ranks(weight), f.sizes[examples[i]])
			}
		}
	})
	return each
}

// ranker ranks the candidates of one example.
type ranker struct {
	items  []int32
	wanted []bool
	values []float32 // of the member whose weight is tried
	others []float32 // what the other members add up to
	scores []float32
	out    []int
}

// begin takes an example.
func (r *ranker) begin(f *fitter, weights []float32, member, example int) {
	lo, hi := f.offsets[example], f.offsets[example+1]
	r.items, r.wanted, r.values = f.items[lo:hi], f.wanted[lo:hi], f.values[member][lo:hi]
	r.others = append(r.others[:0], make([]float32, hi-lo)...)
	for m, w := range weights {
		if m == member || w == 0 {
			continue
		}
		for c, v := range f.values[m][lo:hi] {
			r.others[c] += w * v
		}
	}
}

// ranks returns the places of the wanted candidates for a weight; the slice is valid until the next call.
func (r *ranker) ranks(weight float32) []int {
	r.scores, r.out = r.scores[:0], r.out[:0]
	for c, v := range r.values {
		r.scores = append(r.scores, r.others[c]+weight*v)
	}
	for c, wanted := range r.wanted {
		score := r.scores[c]
		if !wanted || score == 0 {
			continue
		}
		rank := 1
		for other, s := range r.scores {
			if s > score || s == score && r.items[other] < r.items[c] {
				rank++
			}
		}
		r.out = append(r.out, rank)
	}
	slices.Sort(r.out)
	return r.out
}

// parallel cuts a range into a part for each worker and waits for all.
func (f *fitter) parallel(n int, do func(worker, from, to int)) {
	var group sync.WaitGroup
	for worker := range f.workers {
		from, to := worker*n/f.workers, (worker+1)*n/f.workers
		if from < to {
			group.Go(func() { do(worker, from, to) })
		}
	}
	group.Wait()
}
