package content

import (
	"encoding/binary"
	"math"
)

// A million items with some fifty terms each are in memory twice, by item and by term, so every bit of a term counts. In a vector
// it takes five bytes, little endian: the number, and the weight in steps of two millionths, which is finer than anything that is
// done with a cosine. In a list it takes four: the place, and the weight in steps of a thousandth, enough to find candidates,
// which are then compared by their vectors.
const (
	termSize   = 5
	numberBits = 21 // numBuckets fit
	maxNumber  = 1<<numberBits - 1
	maxSteps   = 500_000 // the other 19 bits hold it

	placeBits = 22
	maxPlaces = 1 << placeBits // what has a later place can be asked about, and is not found
	maxGist   = 1000           // the other 10 bits hold it
)

// Vector is what is said of an item: its terms in the order of their numbers. It stays as it is.
type Vector []byte

func (v Vector) terms() int { return len(v) / termSize }

func (v Vector) term(i int) term {
	at := v[termSize*i : termSize*i+termSize]
	bits := uint64(binary.LittleEndian.Uint32(at)) | uint64(at[termSize-1])<<32
	return term{int32(bits & maxNumber), float32(bits>>numberBits) / maxSteps}
}

// appendTerm appends a term whose weight is above 0 and at most 1.
func appendTerm(v Vector, t term) Vector {
	weight := uint64(min(max(math.Round(float64(t.weight)*maxSteps), 1), maxSteps))
	bits := uint64(t.number) | weight<<numberBits
	return append(binary.LittleEndian.AppendUint32(v, uint32(bits)), byte(bits>>32))
}

// posting is a vector that has a term: its place, and about what the term weighs in it.
type posting uint32

func newPosting(place int32, weight float32) posting {
	return posting(place) | posting(max(math.Round(float64(weight)*maxGist), 1))<<placeBits
}

func (p posting) place() int32    { return int32(p & (maxPlaces - 1)) }
func (p posting) weight() float32 { return float32(p>>placeBits) / maxGist }

// blockSize is the size of the blocks that vectors are in, each of one.
const blockSize = 1 << 18

// vectors holds a vector for every place; an empty one of an item of which nothing is known, or that was dropped. What was once
// written is never written over, so that a Vector may be kept.
type vectors struct {
	blocks [][]byte
	starts []uint32 // by place: where its vector starts, in terms, had every block room for as many as the first; none for empty
	sizes  []uint16 // by place: its terms
}

const (
	blockTerms = blockSize / termSize
	maxStart   = math.MaxUint32 - blockTerms
)

func (v *vectors) len() int { return len(v.starts) }

func (v *vectors) at(place int32) Vector {
	size := int(v.sizes[place])
	if size == 0 {
		return nil
	}
	start := int(v.starts[place])
	block := v.blocks[start/blockTerms]
	from := start % blockTerms * termSize
	return block[from : from+size*termSize : from+size*termSize]
}

// add packs a vector of at most maxTerms at the next place.
func (v *vectors) add(vector []term) {
	last := len(v.blocks) - 1
	if last < 0 || len(v.blocks[last])/termSize+len(vector) > blockTerms {
		v.blocks = append(v.blocks, make([]byte, 0, v.room(len(vector))))
		last++
	}
	start := last*blockTerms + len(v.blocks[last])/termSize
	if start > maxStart { // some ninety million items
		vector = nil
	}
	for _, t := range vector {
		v.blocks[last] = appendTerm(v.blocks[last], t)
	}
	v.starts, v.sizes = append(v.starts, uint32(start)), append(v.sizes, uint16(len(vector)))
}

// room is how large the next block is: a small catalogue must not take a whole one.
func (v *vectors) room(terms int) int {
	if len(v.blocks) == 0 {
		return max(terms*termSize, 1<<12)
	}
	return blockSize
}
