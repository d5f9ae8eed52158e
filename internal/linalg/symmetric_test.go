package linalg

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// gramian returns the products of the columns of a random matrix with each other, and ridge on the diagonal.
func gramian(seed uint64, n, rows int, ridge float64) *mat.SymDense {
	rng := rand.New(rand.NewPCG(seed, 0))
	x := mat.NewDense(rows, n, randomValues(rng, rows*n))
	out := mat.NewSymDense(n, nil)
	out.SymOuterK(1, x.T())
	for i := range n {
		out.SetSym(i, i, out.At(i, i)+ridge)
	}
	return out
}

func symmetric(of mat.Symmetric) *Symmetric {
	n := of.SymmetricDim()
	s, row := NewSymmetric(n), make([]float64, n)
	for i := range n {
		for j := range i + 1 {
			row[j] = of.At(i, j)
		}
		s.SetRow(i, row[:i+1])
	}
	return s
}

func inverseBits(t *testing.T, s *Symmetric) []uint64 {
	t.Helper()
	if err := s.Invert(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var out []uint64
	row := make([]float64, s.Len())
	for i := range s.Len() {
		s.Row(row, i)
		for _, v := range row {
			out = append(out, math.Float64bits(v))
		}
	}
	return out
}

// sizes have no whole block, one, and several of which the last is full, nearly empty or nearly full.
var sizes = []int{1, 2, 23, 24, 25, 239, 240, 241, 480, 700}

func TestInvertAgreesWithAnotherLibrary(t *testing.T) {
	for _, n := range sizes {
		a := gramian(uint64(n), n, n+20, 1)
		var c mat.Cholesky
		var want mat.SymDense
		if !c.Factorize(a) {
			t.Fatal("the sample is not positive definite")
		}
		if err := c.InverseTo(&want); err != nil {
			t.Fatal(err)
		}
		got := symmetric(a)
		if err := got.Invert(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		largest := mat.Max(&want)
		for i := range n {
			for j := range n {
				if diff := math.Abs(got.At(i, j) - want.At(i, j)); !(diff <= 1e-11*largest) {
					t.Fatalf("n %d: element %d, %d is %g, want %g", n, i, j, got.At(i, j), want.At(i, j))
				}
			}
		}
	}
}

// The inverse is the same bits on any number of processors.
func TestInverseDoesNotHangOnTheProcessors(t *testing.T) {
	a := symmetric(gramian(3, 730, 20, 100))
	var want []uint64
	for _, processors := range []int{1, 2, 5} {
		before := runtime.GOMAXPROCS(processors)
		got := inverseBits(t, &Symmetric{n: a.n, tiles: slices.Clone(a.tiles)})
		runtime.GOMAXPROCS(before)
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Errorf("on %d processors the bits are others than on one", processors)
		}
	}
}

// The inverse is the same bits with every kernel.
func TestInverseDoesNotHangOnTheKernel(t *testing.T) {
	a := gramian(3, 260, 20, 100)
	want := inverseBits(t, symmetric(a))
	underEachKernel(t, func(t *testing.T) {
		if got := inverseBits(t, symmetric(a)); !slices.Equal(got, want) {
			t.Error("the bits are others than those of the fastest kernel")
		}
	})
}

func TestSymmetricGivesBackItsRows(t *testing.T) {
	for _, n := range sizes {
		a := gramian(1, n, 10, 1)
		s, row := symmetric(a), make([]float64, n)
		for i := range n {
			s.Row(row, i)
			for j := range n {
				if row[j] != a.At(i, j) || s.At(i, j) != a.At(i, j) {
					t.Fatalf("n %d: element %d, %d is %g and %g, want %g", n, i, j, row[j], s.At(i, j), a.At(i, j))
				}
			}
		}
	}
}

// What has no inverse worth having is an error that names the row, never a matrix of nonsense.
func TestInvertRefusesWhatIsNotPositive(t *testing.T) {
	const n = 300
	for name, spoil := range map[string]func(a *mat.SymDense){
		"fewer observations than rows": func(a *mat.SymDense) { a.CopySym(gramian(1, n, 279, 0)) },
		"two equal rows": func(a *mat.SymDense) {
			for j := range n {
				a.SetSym(279, j, a.At(100, j))
			}
			a.SetSym(279, 279, a.At(100, 100))
		},
		"negative diagonal": func(a *mat.SymDense) { a.SetSym(279, 279, -1) },
		"zero row": func(a *mat.SymDense) {
			for j := range n {
				a.SetSym(279, j, 0)
			}
		},
		"no number": func(a *mat.SymDense) { a.SetSym(279, 3, math.NaN()) },
		"infinite":  func(a *mat.SymDense) { a.SetSym(279, 279, math.Inf(1)) },
	} {
		a := gramian(2, n, n+50, 0)
		spoil(a)
		err := symmetric(a).Invert(t.Context(), nil)
		if !errors.Is(err, ErrNotPositive) || !strings.Contains(fmt.Sprint(err), "300 rows: row 279 ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// A matrix that is hard to invert, as that of nearly equal items with little regularisation, is inverted to what its condition
// allows: the product with the inverse is the unit matrix within its condition times the rounding.
func TestInvertOfAnIllConditionedMatrix(t *testing.T) {
	const n = 300
	a := gramian(5, n, 100, 1e-4) // 200 directions have only the ridge: a condition of about 1e7
	s := symmetric(a)
	if err := s.Invert(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	inverse := mat.NewSymDense(n, nil)
	for i := range n {
		for j := range i + 1 {
			inverse.SetSym(i, j, s.At(i, j))
		}
	}
	condition := mat.Norm(a, math.Inf(1)) * mat.Norm(inverse, math.Inf(1))
	if condition < 1e6 {
		t.Fatalf("condition %g: the sample is tame", condition)
	}
	var product mat.Dense
	product.Mul(a, inverse)
	for i := range n {
		product.Set(i, i, product.At(i, i)-1)
	}
	if off := mat.Norm(&product, math.Inf(1)); off > condition*0x1p-53*n {
		t.Errorf("the product with the inverse is %g off the unit matrix, condition %g", off, condition)
	}
}

func TestInvertStopsWithItsContextAndTellsItsProgress(t *testing.T) {
	a := symmetric(gramian(1, 700, 800, 1))
	ctx, cancel := context.WithCancel(t.Context())
	var shares []float64
	err := a.Invert(ctx, func(share float64) {
		shares = append(shares, share)
		cancel()
	})
	if !errors.Is(err, context.Canceled) || len(shares) != 1 || shares[0] != 1.0/3 {
		t.Errorf("error %v after the shares %v", err, shares)
	}
}

func BenchmarkInvert(b *testing.B) {
	for _, n := range []int{1200, 3600, 6000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, row := NewSymmetric(n), make([]float64, n)
			for b.Loop() {
				for i := range n {
					clear(row)
					row[i] = float64(n)
					row[0]++
					s.SetRow(i, row[:i+1])
				}
				if err := s.Invert(b.Context(), nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(n)*float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
