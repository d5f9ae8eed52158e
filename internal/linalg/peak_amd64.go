package linalg

import "golang.org/x/sys/cpu"

//go:noescape
func multiplyAddsAVX2(n int)

//go:noescape
func multiplyAddsAVX512(n int)

// multiplyAdds makes n rounds and returns how many multiply-adds of single precision each had.
func multiplyAdds(n int) int {
	switch {
	case cpu.X86.HasAVX512F:
		multiplyAddsAVX512(n)
		return 10 * 16
	case fast:
		multiplyAddsAVX2(n)
		return 10 * 8
	}
	return plainMultiplyAdds(n)
}
