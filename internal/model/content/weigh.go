package content

import (
	"cmp"
	"math"
	"slices"
)

// term is a bucket in a vector, by its number in a dictionary.
type term struct {
	number int32
	weight float32
}

// dictionary numbers the buckets that come up in a catalogue and knows in how many items each did when it was counted.
type dictionary struct {
	numbers map[uint32]int32
	buckets []uint32 // by number
	counts  []int32  // by number; buckets beyond its end came later, and count as those that never came
	items   int      // that were counted
}

// number returns the number of a bucket, giving it the next one when it is new.
func (d *dictionary) number(bucket uint32) int32 {
	n, ok := d.numbers[bucket]
	if !ok {
		n = int32(len(d.buckets))
		d.numbers[bucket], d.buckets = n, append(d.buckets, bucket)
	}
	return n
}

// count counts the buckets of one item; all that have a number were counted.
func (d *dictionary) count(found []occurrence) {
	d.items++
	for _, o := range found {
		n := d.number(o.bucket)
		if int(n) == len(d.counts) {
			d.counts = append(d.counts, 0)
		}
		d.counts[n]++
	}
}

// rarity is the inverse document frequency of a bucket. It is above 0 also for one that every item has, and for one of a
// catalogue that nobody has counted yet.
func (d *dictionary) rarity(bucket uint32) float32 {
	count := int32(0)
	if n, ok := d.numbers[bucket]; ok && int(n) < len(d.counts) {
		count = d.counts[n]
	}
	return float32(math.Log(1 + (float64(d.items)+1)/(float64(count)+0.5)))
}

// rarities are those of the buckets of another dictionary, by its numbers.
func (d *dictionary) rarities(of *dictionary) []float32 {
	out := make([]float32, len(of.buckets))
	for n, bucket := range of.buckets {
		out[n] = d.rarity(bucket)
	}
	return out
}

// weigh appends the vector of an item to dst: of length 1, each field having had the length of its weight. numbers are those of the
// buckets that were found, rarity is by number. Of more than MaxTerms the strongest stay, ties to the bucket found first. The
// vector is in the order of numbers.
func (c *Config) weigh(dst []term, found []occurrence, numbers []int32, rarity []float32) []term {
	fields, start := c.weights(), len(dst)
	for from := 0; from < len(found); {
		field, to, first := found[from].field(), from, len(dst)
		length := 0.0
		for ; to < len(found) && found[to].field() == field; to++ {
			weight := frequency(found[to].times) * rarity[numbers[to]]
			dst = append(dst, term{numbers[to], weight})
			length += float64(weight) * float64(weight)
		}
		scale := float32(fields[field] / math.Sqrt(length))
		for i := range dst[first:] {
			dst[first+i].weight *= scale
		}
		from = to
	}
	return dst[:start+len(c.finished(dst[start:]))]
}

// frequency is what coming up so often counts: the tenth time says little.
func frequency(times float32) float32 {
	if times <= 1 {
		return times
	}
	return 1 + float32(math.Log(float64(times)))
}

// finished drops the weakest terms of a vector, brings it to length 1 and into order, in place.
func (c *Config) finished(vector []term) []term {
	if len(vector) > c.MaxTerms {
		slices.SortStableFunc(vector, func(a, b term) int { return cmp.Compare(b.weight, a.weight) })
		vector = vector[:c.MaxTerms]
	}
	length := 0.0
	for _, t := range vector {
		length += float64(t.weight) * float64(t.weight)
	}
	scale := float32(1 / math.Sqrt(length))
	out := vector[:0]
	for _, t := range vector {
		if weight := t.weight * scale; weight > 0 { // a term whose weight is lost says nothing
			out = append(out, term{t.number, weight})
		}
	}
	slices.SortFunc(out, func(a, b term) int { return cmp.Compare(a.number, b.number) })
	return out
}
