package ials

import (
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

const (
	dataEnv = "MILLRACE_TEST_DATA"
	depth   = 10
)

// TestRealFilmRatings holds a random quarter of each user's films out and ranks all films that are not in the rest, by the
// settings that nobody tuned. The floors are those that a good linear model, tuned on the test itself, reaches.
func TestRealFilmRatings(t *testing.T) {
	folder := os.Getenv(dataEnv)
	if folder == "" {
		t.Skipf("%s names no folder with real data", dataEnv)
	}
	users, numItems := readRatings(t, filepath.Join(folder, "ml-100k", "ratings.csv.gz"))
	ndcg, ap := 0.0, 0.0
	const seeds = 3
	for seed := range uint64(seeds) {
		train, test := holdOut(users, 0.25, seed)
		n, a := quality(fit(t, Default(numItems), matrixOf(train, numItems)), train, test)
		t.Logf("seed %d: nDCG@%d %.4f, MAP@%d %.4f of %d users", seed, depth, n, depth, a, len(users))
		ndcg, ap = ndcg+n/seeds, ap+a/seeds
	}
	t.Logf("mean: nDCG@%d %.4f, MAP@%d %.4f", depth, ndcg, depth, ap)
	if ndcg < 0.4778 || ap < 0.1462 {
		t.Error("below nDCG 0.4778 or MAP 0.1462")
	}
}

// readRatings returns the films of each user, oldest rating first.
func readRatings(t *testing.T, path string) (users [][]int32, numItems int) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(unzipped).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	lines = lines[1:]
	slices.SortStableFunc(lines, func(a, b []string) int { return cmp.Compare(seconds(t, a[2]), seconds(t, b[2])) })
	rows, items := map[string]int{}, map[string]int32{}
	for _, line := range lines {
		if _, ok := rows[line[0]]; !ok {
			rows[line[0]] = len(users)
			users = append(users, nil)
		}
		if _, ok := items[line[1]]; !ok {
			items[line[1]] = int32(len(items))
		}
		users[rows[line[0]]] = append(users[rows[line[0]]], items[line[1]])
	}
	return users, len(items)
}

func seconds(t *testing.T, text string) int64 {
	t.Helper()
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// holdOut takes a random share of each user's items out; both parts keep their order.
func holdOut(users [][]int32, share float64, seed uint64) (train, test [][]int32) {
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, items := range users {
		held := make([]bool, len(items))
		for _, i := range rng.Perm(len(items))[:int(math.Round(share*float64(len(items))))] {
			held[i] = true
		}
		parts := [2][]int32{}
		for i, item := range items {
			if held[i] {
				parts[1] = append(parts[1], item)
			} else {
				parts[0] = append(parts[0], item)
			}
		}
		train, test = append(train, parts[0]), append(test, parts[1])
	}
	return train, test
}

func matrixOf(users [][]int32, numItems int) *model.Interactions {
	x := &model.Interactions{Offsets: []int64{0}, NumItems: numItems}
	for _, items := range users {
		x.Items = append(x.Items, slices.Sorted(slices.Values(items))...)
		x.Offsets = append(x.Offsets, int64(len(x.Items)))
	}
	x.Weights = slices.Repeat([]float32{1}, len(x.Items))
	return x
}

// quality returns the means over users of nDCG and of average precision, the latter divided by all that were held out.
func quality(m *Model, train, test [][]int32) (ndcg, ap float64) {
	for u, wanted := range test {
		gain, ideal, hits, precision := 0.0, 0.0, 0.0, 0.0
		list := m.Score(nil, model.Query{History: train[u]}, depth)
		for place := range depth {
			discount := 1 / math.Log2(float64(place)+2)
			if place < len(wanted) {
				ideal += discount
			}
			if place < len(list) && slices.Contains(wanted, list[place].Item) {
				gain += discount
				hits++
				precision += hits / float64(place+1)
			}
		}
		ndcg += gain / ideal / float64(len(test))
		ap += precision / float64(len(wanted)) / float64(len(test))
	}
	return ndcg, ap
}
