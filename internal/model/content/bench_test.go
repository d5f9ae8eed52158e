package content

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
)

// bigShop is a catalogue of a hundred thousand items as shops have them: titles of six words, a few of them very common, a path of
// three categories, a thousand brands, prices and a few own fields.
func bigShop() []*event.CatalogueItem {
	rng := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(rng, 1.05, 4, 40_000)
	items := make([]*event.CatalogueItem, 100_000)
	for i := range items {
		title := ""
		for range 6 {
			title += spoken(zipf.Uint64()) + " "
		}
		top := rng.IntN(20)
		items[i] = &event.CatalogueItem{
			ItemID: fmt.Sprintf("item-%d", i), Title: title, Brand: fmt.Sprintf("Brand %d", rng.IntN(1_000)), Price: price(math.Exp(1 + 5*rng.Float64())),
			Categories: []string{fmt.Sprintf("Top %d", top), fmt.Sprintf("Middle %d.%d", top, rng.IntN(10)), fmt.Sprintf("Leaf %d.%d", top, rng.IntN(100))},
			Fields:     map[string]any{"colour": fmt.Sprintf("colour%d", rng.IntN(12)), "material": fmt.Sprintf("material %d", rng.IntN(30))},
			Available:  true,
		}
	}
	return items
}

// spoken is a word of two to four syllables, always the same of one number.
func spoken(n uint64) (word string) {
	rng := rand.New(rand.NewPCG(n, 3))
	for range 2 + rng.IntN(3) {
		word += []string{"b", "br", "d", "f", "gr", "k", "l", "m", "n", "p", "r", "s", "st", "t", "v", "w"}[rng.IntN(16)] +
			[]string{"a", "e", "i", "o", "u", "ai", "ea", "or", "an", "in"}[rng.IntN(10)]
	}
	return word
}

// BenchmarkBigShop measures queries of one item and of a session, in mean and 99th percentile, and what changes cost.
func BenchmarkBigShop(b *testing.B) {
	items := bigShop()
	m := fit(b, Default(), items)
	b.Run("fit", func(b *testing.B) {
		for b.Loop() {
			fit(b, Default(), items)
		}
	})
	terms := 0
	for _, size := range m.index.vectors.sizes {
		terms += int(size)
	}
	b.Logf("%.1f terms an item, %d in all", float64(terms)/float64(len(items)), len(m.words.buckets))
	l := liveOf(b, items)
	for _, length := range []int{1, 10} {
		b.Run(fmt.Sprintf("query_of_%d", length), func(b *testing.B) {
			b.ReportAllocs()
			rng := rand.New(rand.NewPCG(2, 2))
			dst, took := make([]model.Scored, 0, 120), []time.Duration{}
			q := model.Query{Items: make([]int32, length)}
			for b.Loop() {
				for i := range q.Items {
					q.Items[i] = int32(rng.IntN(len(items)))
				}
				began := time.Now()
				dst = m.Score(dst[:0], q, 112)
				took = append(took, time.Since(began))
			}
			slices.SortFunc(took, cmp.Compare)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
	b.Run("live_similar", func(b *testing.B) {
		dst := make([]Similar, 0, 120)
		for i := 0; b.Loop(); i++ {
			dst = l.Similar(dst[:0], Query{Items: []string{items[i%len(items)].ItemID}, Now: noon}, 112)
		}
	})
	b.Run("live_put", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			put(b, l, items[i%len(items)])
		}
	})
	b.Run("live_use", func(b *testing.B) {
		for b.Loop() {
			if err := l.Use(b.Context(), m); err != nil {
				b.Fatal(err)
			}
		}
	})
}
