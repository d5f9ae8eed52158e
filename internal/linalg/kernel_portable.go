package linalg

import (
	"math"
	"unsafe"
)

// gemm4x4 is the portable kernel. It keeps eight sums in registers, two rows of the tile at a time, which hides how long a fused
// multiply-add takes; math.FMA is one instruction wherever the processor has it.
func gemm4x4(k int, ap, bp, cp *float64, ldc int) {
	a, b, c := unsafe.Slice(ap, 4*k), unsafe.Slice(bp, 4*k), unsafe.Slice(cp, 3*ldc+4)
	for i := 0; i < 4; i += 2 {
		var s0, s1, s2, s3, t0, t1, t2, t3 float64
		for p := 0; p < 4*k; p += 4 {
			x, y, row := a[p+i], a[p+i+1], b[p:p+4:p+4]
			s0, s1, s2, s3 = math.FMA(x, row[0], s0), math.FMA(x, row[1], s1), math.FMA(x, row[2], s2), math.FMA(x, row[3], s3)
			t0, t1, t2, t3 = math.FMA(y, row[0], t0), math.FMA(y, row[1], t1), math.FMA(y, row[2], t2), math.FMA(y, row[3], t3)
		}
		add4(c[i*ldc:], s0, s1, s2, s3)
		add4(c[(i+1)*ldc:], t0, t1, t2, t3)
	}
}

func add4(to []float64, s0, s1, s2, s3 float64) {
	to = to[:4:4]
	to[0] += s0
	to[1] += s1
	to[2] += s2
	to[3] += s3
}
