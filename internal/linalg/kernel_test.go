package linalg

import (
	"math"
	"math/rand/v2"
	"testing"
)

// underEachKernel runs a test with every kernel of this processor in its turn.
func underEachKernel(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	defer func(before kernel) { active = before }(active)
	for _, k := range kernels() {
		active = k
		t.Run(k.name, test)
	}
}

func randomValues(rng *rand.Rand, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = rng.NormFloat64()
	}
	return out
}

// Every kernel gives the bits of the definition, touches nothing beside its tile and reads nothing beside its panels.
func TestKernelsGiveTheBitsOfTheDefinition(t *testing.T) {
	underEachKernel(t, func(t *testing.T) {
		mr, nr := active.mr, active.nr
		if step%mr != 0 || step%nr != 0 {
			t.Fatalf("a tile of %d rows and %d columns does not divide %d", mr, nr, step)
		}
		rng := rand.New(rand.NewPCG(1, 0))
		for _, k := range []int{0, 1, 2, 7, 24, 240} {
			for _, ldc := range []int{nr, nr + 1, 240} {
				a, b := randomValues(rng, k*mr+1), randomValues(rng, k*nr+1)
				a[k*mr], b[k*nr] = math.NaN(), math.NaN()
				c := randomValues(rng, mr*ldc+1)
				want := append([]float64(nil), c...)
				for i := range mr {
					for j := range nr {
						sum := 0.0
						for p := range k {
							sum = math.FMA(a[p*mr+i], b[p*nr+j], sum)
						}
						want[i*ldc+j] += sum
					}
				}
				active.run(k, &a[0], &b[0], &c[0], ldc)
				for at := range want {
					if math.Float64bits(c[at]) != math.Float64bits(want[at]) {
						t.Fatalf("k %d, ldc %d: value %d is %g, want %g", k, ldc, at, c[at], want[at])
					}
				}
			}
		}
	})
}

func BenchmarkKernel(b *testing.B) {
	defer func(before kernel) { active = before }(active)
	for _, kernel := range kernels() {
		active = kernel
		b.Run(kernel.name, func(b *testing.B) {
			const k = 240
			x, y, c := make([]float64, k*active.mr), make([]float64, k*active.nr), make([]float64, active.mr*active.nr)
			for b.Loop() {
				active.run(k, &x[0], &y[0], &c[0], active.nr)
			}
			flops := 2 * float64(k*active.mr*active.nr) * float64(b.N)
			b.ReportMetric(flops/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
