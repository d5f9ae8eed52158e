package linalg

import (
	"golang.org/x/sys/cpu"
)

// fast says that the processor has what the kernels in assembly need; it never changes.
var fast = cpu.X86.HasAVX2 && cpu.X86.HasFMA

//go:noescape
func dotRowsAVX2(dst, rows, q *float32, n, d int)

//go:noescape
func addRowsAVX2(sum, rows *float32, picks *int32, factors *float32, n, d int)

//go:noescape
func addProjectedAVX2(sum, rows *float32, picks *int32, weights, p *float32, n, d int, shift float32)

func dotRows(dst, rows, q []float32) {
	if !fast {
		plainDotRows(dst, rows, q)
		return
	}
	dotRowsAVX2(&dst[0], &rows[0], &q[0], len(dst), len(q))
}

func addRows(sum, rows []float32, picks []int32, factors []float32) {
	if !fast {
		plainAddRows(sum, rows, picks, factors)
		return
	}
	addRowsAVX2(&sum[0], &rows[0], &picks[0], &factors[0], len(picks), len(sum))
}

func addProjected(sum, rows []float32, picks []int32, weights, p []float32, shift float32) {
	if !fast {
		plainAddProjected(sum, rows, picks, weights, p, shift)
		return
	}
	addProjectedAVX2(&sum[0], &rows[0], &picks[0], &weights[0], &p[0], len(picks), len(sum), shift)
}
