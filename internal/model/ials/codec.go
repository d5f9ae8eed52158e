package ials

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/millrace/millrace/internal/model/artifact"
)

// Kind names the codec of this package.
const Kind = "ials"

// The layouts of the sections, within an artifact of this kind:
//
//	1  config   JSON      the Config
//	   order    int32s    the items by falling size of their factors
//	   factors  float32s  the factors, in that order, Dimensions numbers for each
//	   gram     float32s  their Gram matrix, by rows
const version = 1

// Kind implements model.Artifact.
func (m *Model) Kind() string { return Kind }

// Encode implements model.Artifact.
func (m *Model) Encode(w io.Writer) error {
	out := artifact.NewWriter(w, Kind, version)
	out.JSON("config", m.cfg)
	out.Int32s("order", m.order)
	out.Float32s("factors", m.factors)
	out.Float32s("gram", m.gram)
	return out.Close()
}

// Decode reads what Encode wrote, for a vocabulary of numItems; its errors wrap artifact.ErrCorrupt.
func Decode(f artifact.File, numItems int) (*Model, error) {
	in := artifact.NewReader(f, Kind, version)
	m := &Model{owner: f.Owner}
	in.JSON("config", &m.cfg)
	m.order, m.factors, m.gram = in.Int32s("order"), in.Float32s("factors"), in.Float32s("gram")
	if err := errors.Join(m.cfg.Validate(), m.check(numItems)); err != nil {
		in.Failf("%v", err) // an error of the reader came before, and stays
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("decode iALS model: %w", err)
	}
	if err := m.prepare(); err != nil {
		return nil, fmt.Errorf("decode iALS model: %w: %w", artifact.ErrCorrupt, err)
	}
	return m, nil
}

func (m *Model) check(numItems int) error {
	d := m.cfg.Dimensions
	if len(m.order) != numItems || len(m.factors) != numItems*d || len(m.gram) != d*d {
		return fmt.Errorf("%d items with %d factors and a Gram matrix of %d for a vocabulary of %d in %d dimensions",
			len(m.order), len(m.factors), len(m.gram), numItems, d)
	}
	seen := make([]bool, numItems)
	for _, item := range m.order {
		if item < 0 || int(item) >= numItems || seen[item] {
			return fmt.Errorf("item %d is outside the vocabulary or has two factors", item)
		}
		seen[item] = true
	}
	for _, numbers := range [][]float32{m.factors, m.gram} {
		for i, x := range numbers {
			if !(math.Abs(float64(x)) <= math.MaxFloat32) {
				return fmt.Errorf("number %d of the factors or their Gram matrix is %g", i, x)
			}
		}
	}
	for i := range d {
		for j := range i {
			if m.gram[i*d+j] != m.gram[j*d+i] {
				return fmt.Errorf("the Gram matrix differs from its transpose at %d, %d", i, j)
			}
		}
	}
	return nil
}
