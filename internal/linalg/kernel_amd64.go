package linalg

import "golang.org/x/sys/cpu"

// gemmAVX2 is a kernel of 4 rows and 12 columns; it needs AVX2 and FMA.
//
//go:noescape
func gemmAVX2(k int, a, b, c *float64, ldc int)

// gemmAVX512 is a kernel of 8 rows and 24 columns; it needs AVX512F.
//
//go:noescape
func gemmAVX512(k int, a, b, c *float64, ldc int)

// kernels lists those that this processor runs, the fastest first.
func kernels() []kernel {
	var list []kernel
	if cpu.X86.HasAVX512F {
		list = append(list, kernel{name: "avx512", mr: 8, nr: 24, run: gemmAVX512})
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		list = append(list, kernel{name: "avx2", mr: 4, nr: 12, run: gemmAVX2})
	}
	return append(list, portable)
}

func fastest() kernel { return kernels()[0] }
