package content

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
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
// What is said of words a decoded model holds itself, because a live index keeps it for longer than the model. Vectors stay in the file
// until somebody asks the model (stored).
const version = 1

// Kind implements model.Artifact.
func (m *Model) Kind() string { return Kind }

// Encode implements model.Artifact.
func (m *Model) Encode(w io.Writer) error { return m.encode(w, m.asked().vectors.columns()) }

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
	owner   any // of the memory that they lie in
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
	defer runtime.KeepAlive(f.Owner)
	m := &Model{}
	in.JSON("config", &m.cfg)
	words, wordsErr := decodeDictionary(in.Int64s("described"), in.Int32s("buckets"), in.Int32s("counts"), numItems)
	c := columns{rows: in.Int64s("rows"), numbers: in.Int32s("terms"), weights: in.Float32s("weights"), owner: f.Owner}
	if err := errors.Join(m.cfg.Validate(), wordsErr, c.check(numItems, len(words.buckets))); err != nil {
		in.Failf("%v", err) // an error of the reader came before, and stays
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("decode content model: %w", err)
	}
	m.words, m.stored = words, &c
	m.initPool()
	return m, nil
}

// asked is the index, made of the file where nobody has asked before. A version whose blend does without content is never asked: who
// serves it finds what is alike in the live catalogue, and a second index of a million items would take half a GiB.
func (m *Model) asked() *index {
	m.making.Do(func() {
		if m.stored != nil {
			m.index = newIndex(nil, m.stored.pack(), len(m.words.buckets))
			m.stored = nil // and with it the file
		}
	})
	return &m.index
}

// Prepare makes what the first query would have to wait for.
func (m *Model) Prepare() { m.asked() }

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

// check reports the first thing that is wrong with vectors for a vocabulary of numItems.
func (c *columns) check(numItems, numTerms int) error {
	if len(c.rows) != numItems+1 || len(c.numbers) != len(c.weights) || c.rows[0] != 0 || c.rows[numItems] != int64(len(c.numbers)) {
		return fmt.Errorf("%d rows, %d terms and %d weights for a vocabulary of %d", len(c.rows)-1, len(c.numbers), len(c.weights), numItems)
	}
	for i := range numItems {
		lo, hi := c.rows[i], c.rows[i+1]
		if lo > hi || hi > int64(len(c.numbers)) || hi-lo > maxTerms {
			return fmt.Errorf("rows do not rise, or by more than %d terms", maxTerms)
		}
		if err := checkVector(c.numbers[lo:hi], c.weights[lo:hi], numTerms); err != nil {
			return fmt.Errorf("the vector of item %d %w", i, err)
		}
	}
	return nil
}

// pack makes vectors of what was checked.
func (c *columns) pack() (out vectors) {
	defer runtime.KeepAlive(c)
	room := make([]term, 0, maxTerms)
	for i := range len(c.rows) - 1 {
		room = room[:0]
		for at := c.rows[i]; at < c.rows[i+1]; at++ {
			room = append(room, term{c.numbers[at], c.weights[at]})
		}
		out.add(room)
	}
	return out
}

func checkVector(numbers []int32, weights []float32, numTerms int) error {
	if len(numbers) == 0 {
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
		last = n
		length += float64(weights[i]) * float64(weights[i])
	}
	const rounding = 1e-3
	if !(math.Abs(length-1) < rounding) {
		return fmt.Errorf("has the length %g, not 1", math.Sqrt(length))
	}
	return nil
}
