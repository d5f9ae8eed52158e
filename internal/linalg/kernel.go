package linalg

// step is the granularity of everything that is blocked: the rows and columns of every kernel's tile divide it.
const step = 24

// kernel adds the product of two packed panels to a tile of mr rows and nr columns.
//
// A panel holds the values of mr (or nr) rows side by side, k after k: a[p*mr+i] belongs to row i of the tile and b[p*nr+j] to
// its column j. The tile is c[i*ldc+j]. Per element the products are summed from zero in the order of p by fused multiply-adds,
// and then added to the tile.
type kernel struct {
	name   string
	mr, nr int
	run    func(k int, a, b, c *float64, ldc int)
}

// portable is the kernel that runs everywhere, and says what the others must give.
var portable = kernel{name: "go", mr: 4, nr: 4, run: gemm4x4}

// active is the fastest kernel that this processor runs. It is set once, before anything else runs.
var active = fastest()

// Kernel names the form of the kernel that this processor runs.
func Kernel() string { return active.name }
