package content

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/model/artifact"
)

// Kind names the codec of this package.
const Kind = "content"

// version is the layout of the sections, within an artifact of this kind. How items are taken apart (terms.go, words.go) belongs to
// it: other terms are other buckets.
//
//	1  config     JSON      the Config
//	   described  int64s    one: the items of which anything is known
//	   buckets    int32s    the buckets that come up, rising; their places here are the numbers of the terms
//	   counts     int32s    in how many items each does
//	   rows       int64s    one more than there are items: item i has the terms rows[i] to rows[i+1]
//	   terms      int32s    the number of each term, rising within a row
//	   weights    float32s  its weight; the squares of a row add up to 1
//
// A decoded model uses no memory of the file: it holds the terms otherwise, and a live index keeps the counts for longer than it.
const version = 1

// Kind implements model.Artifact.
func (m *Model) Kind() string { return Kind }

// Encode implements model.Artifact.
func (m *Model) Encode(w io.Writer) error { return m.encode(w, m.vectors.columns()) }

func (m *Model) encode(w io.Writer, c columns) error {
	out := artifact.NewWriter(w, Kind, version)
	out.JSON("config", m.cfg)
	out.Int64s("described", []int64{int64(m.words.items)})
	buckets := make([]int32, len(m.words.buckets))
	for n, bucket := range m.words.buckets {
		buckets[n] = int32(bucket)
	}
	out.Int32s("buckets", buckets)
	out.Int32s("counts", m.words.counts)
	out.Int64s("rows", c.rows)
	out.Int32s("terms", c.numbers)
	out.Float32s("weights", c.weights)
	return out.Close()
}

// columns are vectors as they are stored.
type columns struct {
	rows    []int64
	numbers []int32
	weights []float32
}

func (v *vectors) columns() columns {
	c := columns{rows: make([]int64, 1, v.len()+1)}
	for place := range int32(v.len()) {
		vector := v.at(place)
		for i := range vector.terms() {
			t := vector.term(i)
			c.numbers, c.weights = append(c.numbers, t.number), append(c.weights, t.weight)
		}
		c.rows = append(c.rows, int64(len(c.numbers)))
	}
	return c
}

// Decode reads what Encode wrote for a vocabulary of numItems; its errors wrap artifact.ErrCorrupt.
func Decode(f artifact.File, numItems int) (*Model, error) {
	in := artifact.NewReader(f, Kind, version)
	m := &Model{}
	in.JSON("config", &m.cfg)
	words, wordsErr := decodeDictionary(in.Int64s("described"), in.Int32s("buckets"), in.Int32s("counts"), numItems)
	vectors, vectorsErr := decodeVectors(columns{in.Int64s("rows"), in.Int32s("terms"), in.Float32s("weights")}, numItems, len(words.buckets))
	if err := errors.Join(m.cfg.Validate(), wordsErr, vectorsErr); err != nil {
		in.Failf("%v", err) // an error of the reader came before, and stays
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("decode content model: %w", err)
	}
	m.words, m.index = words, newIndex(vectors, len(words.buckets))
	m.initPool()
	return m, nil
}

func decodeDictionary(items []int64, buckets, counts []int32, numItems int) (*dictionary, error) {
	d := &dictionary{numbers: make(map[uint32]int32, len(buckets)), counts: slices.Clone(counts)}
	if len(items) != 1 || items[0] < 0 || items[0] > int64(numItems) || len(buckets) != len(counts) {
		return d, fmt.Errorf("%d buckets and %d counts of %d items in a vocabulary of %d", len(buckets), len(counts), items, numItems)
	}
	d.items = int(items[0])
	last := int32(-1)
	for n, bucket := range buckets {
		if bucket <= last || bucket >= numBuckets || counts[n] < 1 || int64(counts[n]) > items[0] {
			return d, fmt.Errorf("bucket %d, after %d, comes up in %d of %d items", bucket, last, counts[n], items[0])
		}
		d.number(uint32(bucket))
		last = bucket
	}
	return d, nil
}

func decodeVectors(c columns, numItems, numTerms int) (out vectors, err error) {
	if len(c.rows) != numItems+1 || len(c.numbers) != len(c.weights) || c.rows[0] != 0 || c.rows[numItems] != int64(len(c.numbers)) {
		return out, fmt.Errorf("%d rows, %d terms and %d weights for a vocabulary of %d", len(c.rows)-1, len(c.numbers), len(c.weights), numItems)
	}
	room := make([]term, maxTerms)
	for i := range numItems {
		lo, hi := c.rows[i], c.rows[i+1]
		if lo > hi || hi > int64(len(c.numbers)) || hi-lo > maxTerms {
			return out, fmt.Errorf("rows do not rise, or by more than %d terms", maxTerms)
		}
		vector := room[:hi-lo]
		if err := fillVector(vector, c.numbers[lo:hi], c.weights[lo:hi], numTerms); err != nil {
			return out, fmt.Errorf("the vector of item %d %w", i, err)
		}
		out.add(vector)
	}
	return out, nil
}

func fillVector(vector []term, numbers []int32, weights []float32, numTerms int) error {
	if len(vector) == 0 {
		return nil
	}
	last, length := int32(-1), 0.0
	for i, n := range numbers {
		if n <= last || int(n) >= numTerms {
			return fmt.Errorf("has term %d of %d after %d", n, numTerms, last)
		}
		if !(weights[i] > 0) {
			return fmt.Errorf("has a weight of %g", weights[i])
		}
		vector[i], last = term{n, weights[i]}, n
		length += float64(weights[i]) * float64(weights[i])
	}
	const rounding = 1e-3
	if !(math.Abs(length-1) < rounding) {
		return fmt.Errorf("has the length %g, not 1", math.Sqrt(length))
	}
	return nil
}
