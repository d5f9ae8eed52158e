package basket

import (
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// order is one basket of a file of orders.
type order struct {
	items []int32
	at    int64
}

// readOrders reads the purchases of the online-retail data by invoice, oldest first, and counts its items. The data may not be
// redistributed, so it is no part of the project.
func readOrders(t *testing.T) (orders []*order, numItems int) {
	t.Helper()
	dir := os.Getenv("MILLRACE_TEST_DATA")
	if dir == "" {
		t.Skip("MILLRACE_TEST_DATA does not name the folder of public data sets")
	}
	f, err := os.Open(filepath.Join(dir, "online-retail", "events.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	vocabulary, byInvoice := model.NewVocabulary(), map[string]*order{}
	for _, row := range rows[1:] {
		if row[3] != "purchase" {
			continue
		}
		o := byInvoice[row[4]]
		if o == nil {
			seconds, err := strconv.ParseInt(row[2], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			o = &order{at: seconds * 1000}
			byInvoice[row[4]], orders = o, append(orders, o)
		}
		if item := vocabulary.Add(row[1]); !slices.Contains(o.items, item) {
			o.items = append(o.items, item)
		}
	}
	slices.SortStableFunc(orders, func(a, b *order) int { return cmp.Compare(a.at, b.at) })
	return orders, vocabulary.Len()
}

// TestRealOrders leaves one item out of two in each of the newest tenth of orders and asks for ten items that go with the others:
// popularity finds few, plain co-occurrence more, and the model far more than that. Its defaults were chosen on the
// tenth before.
func TestRealOrders(t *testing.T) {
	orders, numItems := readOrders(t)
	split := len(orders) * 9 / 10
	train, test := &model.Sessions{}, orders[split:]
	counts := make([]float32, numItems)
	for _, o := range orders[:split] {
		times := slices.Repeat([]int64{o.at}, len(o.items))
		train.Append(o.items, times)
		for _, item := range o.items {
			counts[item]++
		}
	}
	popular := make([]int32, numItems)
	for i := range popular {
		popular[i] = int32(i)
	}
	slices.SortFunc(popular, func(a, b int32) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	plain := Default()
	plain.MinTogether, plain.Significance, plain.Evidence, plain.Lift, plain.LargeBasket, plain.HalfLife = 1, 0, 0, 0, 0, 0
	scores := map[string]float64{}
	for name, m := range map[string]*Model{"together": fit(t, plain, train, numItems), "basket": fit(t, Default(), train, numItems)} {
		scores[name] = hitRate(t, name, test, counts, func(rest []int32) (top []int32) {
			for _, s := range m.Score(nil, model.Query{Items: rest, Set: true}, 10) {
				top = append(top, s.Item)
			}
			return top
		})
	}
	scores["popularity"] = hitRate(t, "popularity", test, counts, func(rest []int32) (top []int32) {
		for _, item := range popular {
			if len(top) < 10 && !slices.Contains(rest, item) {
				top = append(top, item)
			}
		}
		return top
	})
	if scores["basket"] < 0.27 || scores["basket"] < 1.7*scores["together"] || scores["together"] < 2*scores["popularity"] {
		t.Errorf("HR@10: %v", scores)
	}
}

// hitRate asks twice an order of two or more items for one that is left out; one that no earlier order had is not asked for.
func hitRate(t *testing.T, name string, test []*order, counts []float32, ask func(rest []int32) []int32) float64 {
	rng := rand.New(rand.NewPCG(1, 1))
	hits, n := 0, 0
	for _, o := range test {
		if len(o.items) < 2 {
			continue
		}
		for range 2 {
			at := rng.IntN(len(o.items))
			if counts[o.items[at]] == 0 {
				continue
			}
			n++
			if slices.Contains(ask(slices.Delete(slices.Clone(o.items), at, at+1)), o.items[at]) {
				hits++
			}
		}
	}
	rate := float64(hits) / float64(n)
	t.Logf("%s: HR@10 %.4f, n = %d", name, rate, n)
	return rate
}
