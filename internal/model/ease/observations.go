package ease

import (
	"math"
	"slices"

	"github.com/millrace/millrace/internal/model"
)

// observations are the matrix X of the Config, over those items only that somebody met: they are numbered anew.
type observations struct {
	items    []int32 // by new number
	visitors matrix  // by visitor, items in rising order
	met      matrix  // by item, visitors in rising order
	degrees  []float64
	ridge    []float64 // what is added to the degree of an item
}

// matrix is sparse, by row.
type matrix struct {
	offsets []int64
	others  []int32
	values  []float32
}

func (m *matrix) rows() int { return len(m.offsets) - 1 }

func (m *matrix) row(i int) (others []int32, values []float32) {
	lo, hi := m.offsets[i], m.offsets[i+1]
	return m.others[lo:hi], m.values[lo:hi]
}

func observe(cfg Config, x *model.Interactions) *observations {
	o := &observations{}
	number := o.number(x)
	o.visitors = matrix{
		offsets: make([]int64, 1, x.Rows()+1), others: make([]int32, 0, len(x.Items)), values: make([]float32, 0, len(x.Items)),
	}
	for r := range x.Rows() {
		o.add(cfg, number, x, r)
	}
	o.met = o.visitors.transposed(len(o.items))
	o.degrees, o.ridge = make([]float64, len(o.items)), make([]float64, len(o.items))
	for i := range o.degrees {
		_, values := o.met.row(i)
		for _, v := range values {
			o.degrees[i] += float64(v) * float64(v)
		}
		o.ridge[i] = cfg.L2 * math.Pow(o.degrees[i], cfg.L2Degree)
	}
	return o
}

// number gives the items that are counted their new numbers, by old ones.
func (o *observations) number(x *model.Interactions) []int32 {
	met := make([]bool, x.NumItems)
	for r := range x.Rows() {
		items, _ := x.Row(r)
		for i := range counted(len(items)) {
			met[items[spread(i, len(items))]] = true
		}
	}
	number := make([]int32, x.NumItems)
	for item, is := range met {
		if is {
			number[item] = int32(len(o.items))
			o.items = append(o.items, int32(item))
		}
	}
	return number
}

// counted is how many of n items of a visitor are counted.
func counted(n int) int { return min(n, VisitorItems) }

// spread returns the place of the i-th item that is counted of n.
func spread(i, n int) int { return i * n / counted(n) }

// add adds a visitor.
func (o *observations) add(cfg Config, number []int32, x *model.Interactions, r int) {
	items, weights := x.Row(r)
	n, size := counted(len(items)), 0.0
	at := len(o.visitors.values)
	for i := range n {
		place := spread(i, len(items))
		value := math.Pow(float64(weights[place]), cfg.WeightExponent)
		size += value * value
		o.visitors.others = append(o.visitors.others, number[items[place]])
		o.visitors.values = append(o.visitors.values, float32(value))
	}
	scale := float32(math.Pow(size, -cfg.VisitorExponent/2))
	for i := range o.visitors.values[at:] {
		o.visitors.values[at+i] *= scale
	}
	o.visitors.offsets = append(o.visitors.offsets, int64(len(o.visitors.others)))
}

func (m *matrix) transposed(columns int) matrix {
	t := matrix{offsets: make([]int64, columns+1), others: make([]int32, len(m.others)), values: make([]float32, len(m.values))}
	for _, column := range m.others {
		t.offsets[column+1]++
	}
	for i := range columns {
		t.offsets[i+1] += t.offsets[i]
	}
	next := slices.Clone(t.offsets)
	for r := range m.rows() {
		others, values := m.row(r)
		for i, column := range others {
			t.others[next[column]], t.values[next[column]] = int32(r), values[i]
			next[column]++
		}
	}
	return t
}

// products sets the elements of row, one for each item up to i, to the products of item i's column of X with theirs.
func (o *observations) products(row []float64, i int) {
	clear(row)
	visitors, values := o.met.row(i)
	for at, visitor := range visitors {
		others, theirs := o.visitors.row(int(visitor))
		for k, other := range others {
			if int(other) > i {
				break
			}
			row[other] += float64(values[at]) * float64(theirs[k])
		}
	}
}

// allProducts adds to row, which is zero, the products of item i's column of X with those of the items that somebody met
// together with it, and appends these to touched.
func (o *observations) allProducts(row []float64, i int, touched []int32) []int32 {
	visitors, values := o.met.row(i)
	for at, visitor := range visitors {
		others, theirs := o.visitors.row(int(visitor))
		for k, other := range others {
			if row[other] == 0 {
				touched = append(touched, other)
			}
			row[other] += float64(values[at]) * float64(theirs[k])
		}
	}
	return touched
}
