// Package synthetic makes data of a given size to measure fits and queries on, where no real data of that size may be had: long
// tails of visitors and items, and groups of tastes, so that there is something to find. The same shape and seed give the same data.
package synthetic

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/millrace/millrace/internal/model"
)

// Shape is the size of a matrix of interactions. There must be room: a row meets at least one item and at most a quarter of them.
type Shape struct {
	Rows, Items, Positives int
	Seed                   uint64
}

const (
	// groups is how many tastes there are; an item belongs to one, a visitor has three.
	groups = 48
	tastes = 3
	// faithful is the share of a visitor's choices that follow their tastes; the others follow the popularity of all.
	faithful = 0.7
	// popularityTail is the exponent by which an item is the less popular the later it comes: item i weighs (i + offset)^-tail.
	popularityTail, popularityOffset = 0.9, 10
	// activityTail is the same of visitors; the most active are shuffled among the others.
	activityTail = 0.55
)

// Interactions returns a matrix of exactly Positives interactions, each of a row with an item of its own and the weight 1.
func Interactions(shape Shape) *model.Interactions {
	if shape.Positives < shape.Rows || shape.Positives > shape.Rows*(shape.Items/4) {
		panic(fmt.Sprintf("synthetic: no room for %+v", shape)) // only a wrong program asks for it
	}
	rng := rand.New(rand.NewPCG(shape.Seed, 1))
	choices := newChoices(shape.Items)
	x := &model.Interactions{Offsets: make([]int64, 1, shape.Rows+1), NumItems: shape.Items}
	x.Items = make([]int32, 0, shape.Positives)
	taken := make([]int32, shape.Items) // 1 + the last row that met the item
	for r, n := range activity(rng, shape) {
		var mine [tastes]int
		for i := range mine {
			mine[i] = rng.IntN(groups)
		}
		for n > 0 {
			item := choices.draw(rng, mine[rng.IntN(tastes)])
			if taken[item] != int32(r)+1 {
				taken[item] = int32(r) + 1
				x.Items = append(x.Items, item)
				n--
			}
		}
		slices.Sort(x.Items[x.Offsets[r]:])
		x.Offsets = append(x.Offsets, int64(len(x.Items)))
	}
	x.Weights = slices.Repeat([]float32{1}, len(x.Items))
	return x
}

// activity returns how many items each row meets: a long tail between one item and a quarter of them, shuffled.
func activity(rng *rand.Rand, shape Shape) []int {
	counts, most := make([]int, shape.Rows), shape.Items/4
	total := 0.0
	for r := range counts {
		total += math.Pow(float64(r+1), -activityTail)
	}
	left := shape.Positives
	for r := range counts {
		share := math.Pow(float64(r+1), -activityTail) / total * float64(shape.Positives)
		counts[r] = min(max(int(share), 1), most)
		left -= counts[r]
	}
	// What was rounded off, or too much for the most active, goes round.
	for r := 0; left != 0; r = (r + 1) % len(counts) {
		step := cmp.Compare(left, 0)
		if next := counts[r] + step; next >= 1 && next <= most {
			counts[r] = next
			left -= step
		}
	}
	rng.Shuffle(len(counts), func(i, j int) { counts[i], counts[j] = counts[j], counts[i] })
	return counts
}

// choices draws items by popularity: of all, or of a group. Item i is of group i % groups.
type choices struct {
	all     []float64
	byGroup [groups][]float64 // sums of weights up to each item of the group
}

func newChoices(items int) *choices {
	c := &choices{all: make([]float64, items)}
	sum, sums := 0.0, [groups]float64{}
	for i := range items {
		weight := math.Pow(float64(i+popularityOffset), -popularityTail)
		sum += weight
		c.all[i] = sum
		sums[i%groups] += weight
		c.byGroup[i%groups] = append(c.byGroup[i%groups], sums[i%groups])
	}
	return c
}

func (c *choices) draw(rng *rand.Rand, group int) int32 {
	if of := c.byGroup[group]; len(of) > 0 && rng.Float64() < faithful {
		return int32(pick(rng, of)*groups + group)
	}
	return int32(pick(rng, c.all))
}

// pick returns a place by its share of the weights.
func pick(rng *rand.Rand, sums []float64) int {
	at, _ := slices.BinarySearch(sums, rng.Float64()*sums[len(sums)-1])
	return min(at, len(sums)-1)
}
