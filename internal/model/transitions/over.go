package transitions

import (
	"fmt"
	"math"
	"runtime"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/rowsum"
	"github.com/millrace/millrace/internal/topk"
)

const (
	// MaxNewerPairs bounds what newer sessions may bring, at 12 bytes a pair: some 50 MB, and 160 ms to make. Twenty thousand
	// sessions of five items have a tenth of it, and take 40 ms; where it is not enough the newest count.
	MaxNewerPairs = 4 << 20
	// smallestGain keeps weights that are divided by a gain within a float32. What newer pairs outweigh by more counts as if
	// they outweighed it by this.
	smallestGain = 0x1p-50
)

// Overlay is a model with newer sessions over it. It answers as a model that is fitted on the sessions of both: exactly, but
// for rounding, while no item is followed by more than Neighbours others. Beyond that
//   - a pair that the model has cut has no past when it occurs again: its weight is too low, by less than the weakest that the
//     model has kept of the row;
//   - of the newer pairs of a row only the Neighbours strongest are added; the others are too low by less than the weakest of
//     those;
//   - what fitting would cut from the old and newer pairs of a row together stays, so that a row has up to twice as many.
//
// A weight is the sum of a pair over the roots of two degrees, so a new occurrence of one pair changes the weights of all that
// share an item with it. But it does so by one factor for the row and one for the column: with sums P and degrees out and in
// that have decayed by d since, and out' and in' that they have grown to,
//
//	dP(a,b) / √(out'(a) in'(b))  =  P(a,b) / √(out(a) in(b))  ·  √(d out(a) / out'(a))  ·  √(d in(b) / in'(b))
//
// These are outGain(a), which goes with the weight of a in the query, and inGain(b), which a score is multiplied by once all
// that goes into it is added. The weights of newer are stored without that one.
type Overlay struct {
	base    *Model
	newer   rowsum.Matrix // what newer sessions add to the rows of base, in no order within a row
	wholes  []float32     // by pair of newer: its weight together with what base has of it
	outGain []float32     // by item of base
	inGain  []float32     // by item
}

// Over lays sessions over a model, which it does not touch. They are in the order in which they ended; numItems is that of
// base's vocabulary and of what they add to it. The error wraps ErrNoDegrees where base was stored without.
func Over(base *Model, newer *model.Sessions, numItems int) (*Overlay, error) {
	switch {
	case base.degrees == nil:
		return nil, fmt.Errorf("lay sessions over transitions: %w", ErrNoDegrees)
	case numItems < base.NumItems():
		return nil, fmt.Errorf("lay sessions over transitions: %d items are fewer than the %d of the model below", numItems, base.NumItems())
	}
	if err := newer.Check(numItems); err != nil {
		return nil, fmt.Errorf("lay sessions over transitions: %w", err)
	}
	newer = newest(newer, base.cfg.Window)
	old := base.degrees
	now := max(old.newest, newer.Newest())
	left := base.cfg.decay(old.newest, now)
	f := newFitter(base.cfg, newer, old.grown(left, numItems, now))
	f.countDegrees()
	o := &Overlay{base: base, outGain: gains(old.out, left, f.degrees.out), inGain: gains(old.in, left, f.degrees.in)}
	for item := range o.inGain {
		o.inGain[item] = max(o.inGain[item], smallestGain)
	}
	o.build(f)
	return o, nil
}

// newest returns the last sessions, as many as have no more than MaxNewerPairs.
func newest(s *model.Sessions, window int) *model.Sessions {
	pairs, first := 0, s.Len()
	for first > 0 {
		n := s.Offsets[first] - s.Offsets[first-1]
		if pairs += n * min(n-1, 2*min(n, window)); pairs > MaxNewerPairs {
			break
		}
		first--
	}
	return s.Slice(first, s.Len())
}

// grown returns what is left of the degrees at a later time, over a vocabulary with more items.
func (d *degrees) grown(left float64, numItems int, now int64) *degrees {
	later := &degrees{out: make([]float64, numItems), in: make([]float64, numItems), newest: now}
	for item := range d.out {
		later.out[item], later.in[item] = d.out[item]*left, d.in[item]*left
	}
	return later
}

// gains returns, by item, what is left of weights of which so much has been left and whose degree is another now.
func gains(old []float64, left float64, now []float64) []float32 {
	out := make([]float32, len(now))
	for item := range out {
		before := 0.0
		if item < len(old) {
			before = old[item] * left
		}
		out[item] = 1
		if now[item] > before {
			out[item] = float32(math.Sqrt(before / now[item]))
		}
	}
	return out
}

// build makes the rows of newer.
func (o *Overlay) build(f *fitter) {
	o.newer = rowsum.NewMatrix(len(f.sums))
	known := make([]float32, len(f.sums)) // of the pairs of the row at hand, what base has of them; zero between rows
	var best topk.Best
	for item := range int32(len(f.sums)) {
		f.sum(item)
		if len(f.touched) > 0 {
			o.know(known, item, f.sums)
		}
		best.Reset(o.base.cfg.Neighbours)
		for _, to := range f.touched {
			f.sums[to] /= f.degrees.product(item, to) * float64(o.inGain[to])
			if weight := float32(f.sums[to]); weight > 0 {
				best.Push(to, weight*o.inGain[to])
			}
		}
		for _, e := range best.Unsorted() {
			weight := float32(f.sums[e.ID])
			o.newer.Append(e.ID, weight)
			o.wholes = append(o.wholes, weight+known[e.ID])
		}
		for _, to := range f.touched {
			known[to] = 0
		}
		f.forget()
		o.newer.EndRow()
	}
}

// know notes what base has of the pairs of a row that have a sum.
func (o *Overlay) know(known []float32, item int32, sums []float64) {
	if int(item) >= o.base.NumItems() {
		return
	}
	lo, hi := o.base.Row(item)
	for at := lo; at < hi; at++ {
		if to := o.base.Items[at]; sums[to] > 0 {
			known[to] = o.base.Weights[at] * o.outGain[item]
		}
	}
}

// Name implements model.Scorer.
func (o *Overlay) Name() string { return o.base.Name() }

// Score implements model.Scorer.
func (o *Overlay) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	s := o.base.pool.Get()
	defer o.base.pool.Put(s)
	defer runtime.KeepAlive(o.base) // and the memory that it lies in
	o.base.cfg.begin(s, q, o.newer.NumItems())
	for _, r := range s.Recent {
		if int(r.Item) < o.base.NumItems() {
			s.AddRow(&o.base.Matrix, o.base.Weights, r.Item, r.Weight*o.outGain[r.Item])
		}
		s.AddRow(&o.newer, o.wholes, r.Item, r.Weight)
	}
	s.Only = q.Only
	return s.Answer(dst, q.Excluded(o.base.cfg.Repeats), k, o.inGain)
}
