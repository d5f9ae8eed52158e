//go:build !amd64

package linalg

func multiplyAdds(n int) int { return plainMultiplyAdds(n) }
