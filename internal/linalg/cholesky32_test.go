package linalg

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The solution is put into the system again, in float64. The matrix is badly enough made (a ridge of a thousandth) for a wrong
// pivot to show.
func TestTriangleSolves(t *testing.T) {
	var triangle Triangle
	for _, d := range []int{16, 64, 256, 32} {
		rng := rand.New(rand.NewPCG(6, uint64(d)))
		rows, a := randomFloats(rng, 2*d*d), make([]float32, d*d)
		AddGram(a, rows, nil, d)
		for i := range d {
			a[i*d+i] += 1e-3
		}
		if err := triangle.Factor(a, d); err != nil {
			t.Fatal(err)
		}
		b, x := randomFloats(rng, d), make([]float32, d)
		triangle.Solve(x, b)
		for i := range d {
			got, size := 0.0, 0.0
			for j := range d {
				got += float64(a[i*d+j]) * float64(x[j])
				size += math.Abs(float64(a[i*d+j]) * float64(x[j]))
			}
			if math.Abs(got-float64(b[i])) > 1e-5*size {
				t.Fatalf("d %d: equation %d gives %g, want %g", d, i, got, b[i])
			}
		}
	}
}

func TestTriangleRefusesWhatIsNotPositive(t *testing.T) {
	for name, pivot := range map[string]float32{"negative": -1, "zero": 0, "no number": float32(math.NaN())} {
		a := make([]float32, 16*16)
		for i := range 16 {
			a[i*16+i] = 1
		}
		a[7*16+7] = pivot
		if err := new(Triangle).Factor(a, 16); !errors.Is(err, ErrNotPositive) {
			t.Errorf("%s: error %v, want ErrNotPositive", name, err)
		}
	}
}

func TestAddGramAgreesWithSums(t *testing.T) {
	const d = 32
	for _, n := range []int{0, 1, 31, 32, 33, 70} {
		for _, weighted := range []bool{false, true} {
			rng := rand.New(rand.NewPCG(7, uint64(n)))
			rows, before := randomFloats(rng, n*d), randomFloats(rng, d*d)
			var weights []float32
			if weighted {
				weights = randomFloats(rng, n)
			}
			gram := append([]float32(nil), before...)
			AddGram(gram, rows, weights, d)
			for at := range gram {
				terms := []float64{float64(before[at])}
				for r := range n {
					weight := 1.0
					if weighted {
						weight = float64(weights[r])
					}
					terms = append(terms, weight*float64(rows[r*d+at/d])*float64(rows[r*d+at%d]))
				}
				near(t, "number of the matrix", gram[at], terms)
			}
		}
	}
}

func BenchmarkAddGram4096x64(b *testing.B) {
	rows, gram := randomFloats(rand.New(rand.NewPCG(8, 0)), 4096*64), make([]float32, 64*64)
	for b.Loop() {
		AddGram(gram, rows, nil, 64)
	}
	b.ReportMetric(2*4096*64*64*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

func BenchmarkFactor64(b *testing.B) {
	rows, a := randomFloats(rand.New(rand.NewPCG(9, 0)), 200*64), make([]float32, 64*64)
	AddGram(a, rows, nil, 64)
	var triangle Triangle
	for b.Loop() {
		if err := triangle.Factor(a, 64); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSolve64(b *testing.B) {
	rng := rand.New(rand.NewPCG(10, 0))
	rows, a := randomFloats(rng, 200*64), make([]float32, 64*64)
	AddGram(a, rows, nil, 64)
	var triangle Triangle
	if err := triangle.Factor(a, 64); err != nil {
		b.Fatal(err)
	}
	right, x := randomFloats(rng, 64), make([]float32, 64)
	for b.Loop() {
		triangle.Solve(x, right)
	}
}

// Every column of the rows is solved as it is by itself, in a system that was filled up to a multiple of Lanes.
func TestSolveRowsIsSolveOfEveryColumn(t *testing.T) {
	const columns = 2 * Lanes
	rng := rand.New(rand.NewPCG(5, 1))
	for _, n := range []int{1, 2, 7, Lanes, Lanes + 1, 2*Lanes - 1} {
		d := (n + Lanes - 1) / Lanes * Lanes
		factors, a := make([]float32, n*columns), make([]float32, d*d)
		for i := range factors {
			factors[i] = rng.Float32() - 0.5
		}
		for i := range d {
			if a[i*d+i] = 1; i < n {
				DotRows(a[i*d:][:n], factors, factors[i*columns:][:columns])
				a[i*d+i] += 1
			}
		}
		var triangle Triangle
		if err := triangle.Factor(a, d); err != nil {
			t.Fatal(err)
		}
		rows := make([]float32, n*columns)
		for i := range rows {
			rows[i] = rng.Float32() - 0.5
		}
		solved := slices.Clone(rows)
		triangle.SolveRows(solved, columns)
		x, b := make([]float32, d), make([]float32, d)
		for c := range columns {
			for i := range n {
				b[i] = rows[i*columns+c]
			}
			triangle.Solve(x, b)
			for i := range n {
				if math.Abs(float64(x[i]-solved[i*columns+c])) > 1e-5 {
					t.Fatalf("%d rows, column %d: row %d is %g, want %g", n, c, i, solved[i*columns+c], x[i])
				}
			}
		}
	}
}
