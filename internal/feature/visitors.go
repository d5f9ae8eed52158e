package feature

import (
	"math"
	"math/bits"
	"slices"
)

const (
	// visitorBits are the bits of a hash that choose a register: 1,024 registers know a number of visitors to 1.04/sqrt(1,024)
	// = 3.3 % (standard error) in 1 KiB at most.
	visitorBits      = 10
	visitorRegisters = 1 << visitorBits
	maxRank          = 64 - visitorBits + 1
	// maxSparse is how many registers are kept as a list, at 2 bytes each. Most items have few visitors.
	maxSparse = 256
)

// Visitors counts distinct visitors: HyperLogLog (Flajolet et al. 2007) with the estimator of Ertl (2017), which needs no
// table of corrections. The sketch depends on the set of visitors alone, so sketches merge in any order.
type Visitors struct {
	sparse []uint16 // register number << 6 | rank, ascending; while at most maxSparse registers are set
	dense  []byte   // rank of every register, afterwards
}

// add counts a visitor by a 64-bit hash of its id.
func (v *Visitors) add(hash uint64) {
	rank := bits.LeadingZeros64(hash<<visitorBits|1<<(visitorBits-1)) + 1
	v.raise(int(hash>>(64-visitorBits)), byte(rank))
}

func (v *Visitors) raise(register int, rank byte) {
	if v.dense != nil {
		v.dense[register] = max(v.dense[register], rank)
		return
	}
	entry := uint16(register)<<6 | uint16(rank)
	at, _ := slices.BinarySearch(v.sparse, uint16(register)<<6)
	if at < len(v.sparse) && int(v.sparse[at]>>6) == register {
		v.sparse[at] = max(v.sparse[at], entry)
		return
	}
	v.sparse = slices.Insert(v.sparse, at, entry)
	if len(v.sparse) <= maxSparse {
		return
	}
	v.dense = make([]byte, visitorRegisters)
	for _, e := range v.sparse {
		v.dense[e>>6] = byte(e & 63)
	}
	v.sparse = nil
}

func (v *Visitors) merge(o *Visitors) {
	for _, e := range o.sparse {
		v.raise(int(e>>6), byte(e&63))
	}
	for register, rank := range o.dense {
		if rank > 0 {
			v.raise(register, rank)
		}
	}
}

// Estimate is the number of distinct visitors, to 3.3 %.
func (v *Visitors) Estimate() float64 {
	var ranks [maxRank + 1]float64 // how many registers have each rank
	set := len(v.sparse)
	for _, e := range v.sparse {
		ranks[e&63]++
	}
	for _, rank := range v.dense {
		if rank > 0 {
			set++
			ranks[rank]++
		}
	}
	if set == 0 {
		return 0
	}
	const m = float64(visitorRegisters)
	z := m * tau(1-ranks[maxRank]/m)
	for rank := maxRank - 1; rank > 0; rank-- {
		z = (z + ranks[rank]) / 2
	}
	z += m * sigma((m-float64(set))/m)
	return m * m / (2 * math.Ln2 * z)
}

// sigma and tau correct for registers that are empty and full: equations 10 and 13 of Ertl, summed until nothing changes.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += x * y
		if y += y; z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y /= 2
		if z -= (1 - x) * (1 - x) * y; z == before {
			return z / 3
		}
	}
}
