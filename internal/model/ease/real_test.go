package ease

import (
	"compress/gzip"
	"encoding/csv"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

const dataEnv = "MILLRACE_TEST_DATA"

// visitorsOf reads who met what from a file of the real data, in the numbers of their first appearance.
func visitorsOf(tb testing.TB, file, visitor, item string) (rows [][]int32, numItems int) {
	tb.Helper()
	dir := os.Getenv(dataEnv)
	if dir == "" {
		tb.Skipf("%s names no folder of real data", dataEnv)
	}
	in, err := os.Open(filepath.Join(dir, file))
	if err != nil {
		tb.Fatal(err)
	}
	defer in.Close()
	plain, err := gzip.NewReader(in)
	if err != nil {
		tb.Fatal(err)
	}
	lines := csv.NewReader(plain)
	header, err := lines.Read()
	if err != nil {
		tb.Fatal(err)
	}
	visitors, items := model.NewVocabulary(), model.NewVocabulary()
	for {
		line, err := lines.Read()
		if err == io.EOF {
			return rows, items.Len()
		}
		if err != nil {
			tb.Fatal(err)
		}
		v, i := visitors.Add(line[slices.Index(header, visitor)]), items.Add(line[slices.Index(header, item)])
		if int(v) == len(rows) {
			rows = append(rows, nil)
		}
		if !slices.Contains(rows[v], i) {
			rows[v] = append(rows[v], i)
		}
	}
}

// holdOut takes a random share of each visitor's items away.
func holdOut(rng *rand.Rand, rows [][]int32, share float64) (train, test [][]int32) {
	for _, row := range rows {
		row = slices.Clone(row)
		rng.Shuffle(len(row), func(i, j int) { row[i], row[j] = row[j], row[i] })
		cut := int(math.Round(share * float64(len(row))))
		test, train = append(test, row[:cut]), append(train, row[cut:])
	}
	return train, test
}

func interactionsOf(rows [][]int32, numItems int) *model.Interactions {
	x := &model.Interactions{Offsets: []int64{0}, NumItems: numItems}
	for _, row := range rows {
		x.Items = append(x.Items, slices.Sorted(slices.Values(row))...)
		x.Offsets = append(x.Offsets, int64(len(x.Items)))
	}
	x.Weights = slices.Repeat([]float32{1}, len(x.Items))
	return x
}

// quality is the mean over visitors of nDCG@10, and of the average precision at 10 over what was held out, and over as much of it
// as ten places can hold.
type quality struct{ ndcg, precision, precisionOfTen float64 }

func measure(scorer model.Scorer, train, test [][]int32) (q quality) {
	const depth = 10
	n := 0.0
	var list []model.Scored
	for v, wanted := range test {
		if len(wanted) == 0 {
			continue
		}
		list = scorer.Score(list[:0], model.Query{History: train[v]}, depth)
		gain, ideal, precision, hits := 0.0, 0.0, 0.0, 0.0
		for place := range depth {
			discount := 1 / math.Log2(float64(place)+2)
			if place < len(wanted) {
				ideal += discount
			}
			if place < len(list) && slices.Contains(wanted, list[place].Item) {
				hits++
				gain += discount
				precision += hits / float64(place+1)
			}
		}
		q.ndcg += gain / ideal
		q.precision += precision / float64(len(wanted))
		q.precisionOfTen += precision / float64(min(depth, len(wanted)))
		n++
	}
	return quality{q.ndcg / n, q.precision / n, q.precisionOfTen / n}
}

// TestRealFilms holds a random quarter of each visitor's ratings out, three times. The L2 and the exponent of the diagonal are
// chosen on a quarter of what is left; the floors are those that a well tuned EASE reaches.
func TestRealFilms(t *testing.T) {
	const seeds, leastNDCG, leastPrecision = 3, 0.475, 0.145
	rows, numItems := visitorsOf(t, "ml-100k/ratings.csv.gz", "user_id", "item_id")
	var sum quality
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 0))
		train, test := holdOut(rng, rows, 0.25)
		inner, valid := holdOut(rng, train, 0.25)
		cfg, best := Default(), 0.0
		for _, c := range settings() {
			if q := measure(fit(t, c, interactionsOf(inner, numItems)), inner, valid); q.ndcg > best {
				cfg, best = c, q.ndcg
			}
		}
		q := measure(fit(t, cfg, interactionsOf(train, numItems)), train, test)
		t.Logf("seed %d, L2 %g, diagonal %g: nDCG@10 %.4f, MAP@10 %.4f (%.4f where ten are the most), %d visitors",
			seed, cfg.L2, cfg.DiagonalExponent, q.ndcg, q.precision, q.precisionOfTen, len(rows))
		sum.ndcg += q.ndcg / seeds
		sum.precision += q.precision / seeds
	}
	t.Logf("mean nDCG@10 %.4f, MAP@10 %.4f", sum.ndcg, sum.precision)
	if sum.ndcg < leastNDCG || sum.precision < leastPrecision {
		t.Errorf("the floors are %g and %g", leastNDCG, leastPrecision)
	}
}

func settings() (out []Config) {
	for _, l2 := range []float64{30, 60} {
		for _, diagonal := range []float64{0.5, 0.75} {
			cfg := Default()
			cfg.L2, cfg.DiagonalExponent = l2, diagonal
			out = append(out, cfg)
		}
	}
	return out
}

// TestRealNeighbourhoods compares the two forms: over the neighbourhoods of all films, little is lost.
func TestRealNeighbourhoods(t *testing.T) {
	rows, numItems := visitorsOf(t, "ml-100k/ratings.csv.gz", "user_id", "item_id")
	train, test := holdOut(rand.New(rand.NewPCG(0, 0)), rows, 0.25)
	cfg := Default()
	whole := measure(fit(t, cfg, interactionsOf(train, numItems)), train, test)
	cfg.MaxItems = 0
	near := measure(fit(t, cfg, interactionsOf(train, numItems)), train, test)
	t.Logf("nDCG@10 of the whole %.4f, of neighbourhoods of %d items %.4f", whole.ndcg, cfg.Candidates, near.ndcg)
	if near.ndcg < 0.97*whole.ndcg {
		t.Error("the neighbourhoods lose too much")
	}
}
