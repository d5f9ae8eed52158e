package transitions

import (
	"fmt"
	"io"

	"github.com/millrace/millrace/internal/model/artifact"
)

// Kind names the codec of this package.
const Kind = "transitions"

const version = 1

// Kind implements model.Artifact.
func (m *Model) Kind() string { return Kind }

// Encode implements model.Artifact.
func (m *Model) Encode(w io.Writer) error {
	out := artifact.NewWriter(w, Kind, version)
	out.JSON(m.cfg)
	out.Int64s(m.rows)
	out.Int32s(m.neighbours)
	out.Float32s(m.weights)
	return out.Close()
}

// Decode reads what Encode wrote, for a vocabulary of numItems; its errors wrap artifact.ErrCorrupt.
func Decode(r io.Reader, numItems int) (*Model, error) {
	in := artifact.NewReader(r, Kind, version)
	m := &Model{}
	in.JSON(&m.cfg)
	m.rows, m.neighbours, m.weights = in.Int64s(), in.Int32s(), in.Float32s()
	m.check(in, numItems)
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("decode transitions model: %w", err)
	}
	if err := m.cfg.Validate(); err != nil {
		return nil, fmt.Errorf("decode transitions model: %w: %w", artifact.ErrCorrupt, err)
	}
	m.initPool()
	return m, nil
}

func (m *Model) check(in *artifact.Reader, numItems int) {
	if len(m.rows) != numItems+1 || len(m.neighbours) != len(m.weights) {
		in.Failf("%d rows, %d neighbours and %d weights for a vocabulary of %d",
			len(m.rows)-1, len(m.neighbours), len(m.weights), numItems)
		return
	}
	last := int64(0)
	for _, end := range m.rows {
		if end < last || end > int64(len(m.neighbours)) {
			in.Failf("rows do not rise")
			return
		}
		last = end
	}
	for i, item := range m.neighbours {
		if item < 0 || int(item) >= numItems || !(m.weights[i] > 0) {
			in.Failf("transition to item %d with weight %g", item, m.weights[i])
			return
		}
	}
}
