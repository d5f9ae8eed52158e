package crowd

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Item is one article. What is not exported is the truth, which a shop does not know.
type Item struct {
	ID        string
	Title     string
	Category  int
	Brand     int
	Group     string // of variants; empty for an item that stands alone
	Price     float64
	Available bool // when lists are asked for

	appeal   float64
	style    []float64 // of length 1
	exposure float64
}

// CategoryName is what the shop calls a category.
func CategoryName(c int) string { return fmt.Sprintf("category-%02d", c) }

// BrandName is what the shop calls a brand.
func BrandName(b int) string { return fmt.Sprintf("brand-%02d", b) }

// stock fills the shelves. An item belongs to a category as a customer of a crowded shop does: every category has as many.
func (t Truth) stock() []Item {
	rng := t.random("shop", 0)
	appeal, brands := make([]float64, t.Shop.Categories), make([][]int, t.Shop.Categories)
	for c := range appeal {
		appeal[c] = rng.NormFloat64() * t.Shop.CategoryAppealSigma
		brands[c] = rng.Perm(t.Shop.Brands)[:t.Shop.BrandsPerCategory]
	}
	items := make([]Item, t.Shop.Items)
	for i := range items {
		c := i % t.Shop.Categories
		it := Item{
			ID: fmt.Sprintf("item-%04d", i), Category: c, Brand: brands[c][rng.IntN(len(brands[c]))],
			Price: math.Round(100*math.Exp(3+rng.NormFloat64()*0.7)) / 100, Available: rng.Float64() >= t.Shop.UnavailableShare,
			appeal: appeal[c] + rng.NormFloat64()*t.Shop.AppealSigma, style: direction(rng, t.Shop.StyleDimensions),
		}
		if before := i - t.Shop.Categories; before >= 0 && items[before].Group == "" && rng.Float64() < t.Shop.VariantShare {
			group := "group-" + items[before].ID
			items[before].Group, it.Group = group, group
			it.Brand, it.Price = items[before].Brand, items[before].Price
			it.appeal, it.style = items[before].appeal, items[before].style
		}
		it.Title = title(it)
		items[i] = it
	}
	t.expose(rng, items)
	return items
}

// expose decides what the shop shows much: what appeals, more or less.
func (t Truth) expose(rng *rand.Rand, items []Item) {
	order, key := make([]int, len(items)), make([]float64, len(items))
	for i := range items {
		order[i], key[i] = i, items[i].appeal+rng.NormFloat64()*t.Shop.ExposureNoise
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(key[b], key[a]) })
	for rank, i := range order {
		items[i].exposure = math.Pow(float64(rank+1), -t.Shop.ExposureExponent)
	}
}

// title tells the category and, in one word, the strongest trait of the style.
func title(it Item) string {
	strongest := 0
	for d := range it.style {
		if math.Abs(it.style[d]) > math.Abs(it.style[strongest]) {
			strongest = d
		}
	}
	pole := "bold"
	if it.style[strongest] < 0 {
		pole = "calm"
	}
	return fmt.Sprintf("%s%d thing of %s", pole, strongest, CategoryName(it.Category))
}

// direction draws a vector of length 1.
func direction(rng *rand.Rand, dimensions int) []float64 {
	v, sum := make([]float64, dimensions), 0.0
	for d := range v {
		v[d] = rng.NormFloat64()
		sum += v[d] * v[d]
	}
	for d := range v {
		v[d] /= math.Sqrt(sum)
	}
	return v
}
