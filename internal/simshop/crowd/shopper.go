package crowd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

const daysPerWeek = 7

// Shopper is one visitor with everything that is true of it.
type Shopper struct {
	ID       string
	Newcomer bool // without an event before it asks for a list
	Running  bool // it asks in the middle of a visit

	liking    []float64         // by item: all but interest, and what happened
	interests []map[int]float64 // by week: category -> utility
	focus     int               // category of the running visit; -1 for none
	viewed    map[int]bool
	bought    map[int]bool
}

// people draws the shoppers.
func (t Truth) people(items []Item) []*Shopper {
	out := make([]*Shopper, t.Shoppers.Count)
	for u := range out {
		rng := t.random("shopper", u)
		s := &Shopper{
			ID: fmt.Sprintf("shopper-%04d", u), focus: -1, viewed: map[int]bool{}, bought: map[int]bool{},
			Newcomer: rng.Float64() < t.Shoppers.NewcomerShare,
		}
		s.Running = !s.Newcomer && rng.Float64() < t.Clicks.RunningShare
		s.interests = t.interests(rng)
		s.liking = t.likings(rng, items, s.interests)
		out[u] = s
	}
	return out
}

// interests draws what a shopper is after, week by week.
func (t Truth) interests(rng *rand.Rand) []map[int]float64 {
	n := t.Shoppers.InterestsMin + rng.IntN(t.Shoppers.InterestsMax-t.Shoppers.InterestsMin+1)
	held, strength := rng.Perm(t.Shop.Categories)[:n], make([]float64, n)
	for k := range strength {
		strength[k] = t.Shoppers.InterestUtility - float64(k)*t.Shoppers.InterestStep + rng.NormFloat64()*t.Shoppers.InterestSigma
	}
	weeks := make([]map[int]float64, (t.Visits.Days+daysPerWeek-1)/daysPerWeek)
	for w := range weeks {
		if w > 0 && rng.Float64() < t.Shoppers.WeeklyDrift {
			next := rng.IntN(t.Shop.Categories)
			for slices.Contains(held, next) {
				next = rng.IntN(t.Shop.Categories)
			}
			held[rng.IntN(n)] = next
		}
		weeks[w] = make(map[int]float64, n)
		for k, c := range held {
			weeks[w][c] = strength[k]
		}
	}
	return weeks
}

// likings draws brands, style and what is the shopper's own, and sums them up by item.
func (t Truth) likings(rng *rand.Rand, items []Item, interests []map[int]float64) []float64 {
	met := map[int]bool{}
	for i := range items {
		for _, week := range interests {
			if _, ok := week[items[i].Category]; ok {
				met[items[i].Brand] = true
			}
		}
	}
	brands := sortedKeys(met)
	rng.Shuffle(len(brands), func(a, b int) { brands[a], brands[b] = brands[b], brands[a] })
	liked := min(t.Shoppers.LikedBrands, len(brands))
	opinion := make([]float64, t.Shop.Brands)
	for _, b := range brands[:liked] {
		opinion[b] = t.Shoppers.BrandUtility
	}
	for _, b := range brands[liked:min(liked+t.Shoppers.DislikedBrands, len(brands))] {
		opinion[b] = -t.Shoppers.BrandUtility
	}
	style := direction(rng, t.Shop.StyleDimensions)
	out := make([]float64, len(items))
	for i := range items {
		cosine := 0.0
		for d, v := range style {
			cosine += v * items[i].style[d]
		}
		out[i] = items[i].appeal + opinion[items[i].Brand] + t.Shoppers.StyleUtility*cosine + t.Shoppers.OwnSigma*rng.NormFloat64()
	}
	return out
}

func sortedKeys[V any](m map[int]V) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// chooseInterest draws the interest that a visit is for, the stronger the likelier.
func (s *Shopper) chooseInterest(rng *rand.Rand, week int) int {
	held := sortedKeys(s.interests[week])
	weights := make([]float64, len(held))
	for k, c := range held {
		weights[k] = math.Exp(s.interests[week][c])
	}
	return held[draw(rng, weights)]
}

// draw chooses an index with a chance proportional to its weight.
func draw(rng *rand.Rand, weights []float64) int {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	p := rng.Float64() * sum
	for i, w := range weights {
		if p -= w; p < 0 {
			return i
		}
	}
	return len(weights) - 1
}
