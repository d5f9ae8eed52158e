package linalg

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// begin gives a solver the matrix of a system.
func begin(c *Cholesky, a mat.Symmetric) {
	c.Begin(a.SymmetricDim())
	for i := range a.SymmetricDim() {
		row := c.Row(i)
		for j := range row {
			row[j] = a.At(i, j)
		}
	}
}

// One solver, systems of all sizes one after the other: nothing of one is left in the next.
func TestSolveAgreesWithAnotherLibrary(t *testing.T) {
	underEachKernel(t, func(t *testing.T) {
		c := NewCholesky(200)
		for _, n := range []int{200, 1, 23, 24, 25, 100, 0, 48, 199} {
			a := gramian(uint64(n), max(n, 1), n+10, 1)
			b := mat.NewVecDense(max(n, 1), randomValues(rand.New(rand.NewPCG(9, 0)), max(n, 1)))
			if n == 0 {
				c.Begin(0)
				if err := c.Solve(nil); err != nil {
					t.Fatal(err)
				}
				continue
			}
			var reference mat.Cholesky
			var want mat.VecDense
			if !reference.Factorize(a) {
				t.Fatal("the sample is not positive definite")
			}
			if err := reference.SolveVecTo(&want, b); err != nil {
				t.Fatal(err)
			}
			begin(c, a)
			got := append([]float64(nil), b.RawVector().Data...)
			if err := c.Solve(got); err != nil {
				t.Fatal(err)
			}
			for i, v := range got {
				if diff := math.Abs(v - want.AtVec(i)); !(diff <= 1e-11*mat.Norm(&want, 2)) {
					t.Fatalf("n %d: value %d is %g, want %g", n, i, v, want.AtVec(i))
				}
			}
		}
	})
}

func TestSolveRefusesWhatIsNotPositiveAndGoesOn(t *testing.T) {
	c := NewCholesky(50)
	begin(c, gramian(1, 50, 30, 0))
	b := make([]float64, 50)
	if err := c.Solve(b); !errors.Is(err, ErrNotPositive) {
		t.Errorf("error %v", err)
	}
	begin(c, mat.NewSymDense(2, []float64{2, 1, 1, 2}))
	b = []float64{3, 3}
	if err := c.Solve(b); err != nil || math.Abs(b[0]-1) > 1e-15 || math.Abs(b[1]-1) > 1e-15 {
		t.Errorf("then %v, error %v, want 1 and 1", b, err)
	}
}

func TestSolveDoesNotAllocate(t *testing.T) {
	c, b := NewCholesky(100), make([]float64, 100)
	if n := testing.AllocsPerRun(10, func() {
		c.Begin(100)
		for i := range 100 {
			c.Row(i)[i] = 2
		}
		if err := c.Solve(b); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%g allocations", n)
	}
}

func BenchmarkSolve(b *testing.B) {
	const n = 120
	c, x := NewCholesky(n), make([]float64, n)
	for b.Loop() {
		c.Begin(n)
		for i := range n {
			c.Row(i)[i] = 2
		}
		if err := c.Solve(x); err != nil {
			b.Fatal(err)
		}
	}
}
