package ease

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/millrace/millrace/internal/model/artifact"
	"github.com/millrace/millrace/internal/model/rowsum"
)

// Kind names the codec of this package.
const Kind = "ease"

// The layouts of the sections, within an artifact of this kind:
//
//	1  config   JSON      the Config
//	   form     text      the Form
//	   rows     int64s    one more than there are items: item i has the pairs rows[i] to rows[i+1]
//	   items    int32s    the other item of each pair, in rising order within a row
//	   weights  float32s  the weight of each pair
const version = 1

// Kind implements model.Artifact.
func (m *Model) Kind() string { return Kind }

// Encode implements model.Artifact.
func (m *Model) Encode(w io.Writer) error {
	out := artifact.NewWriter(w, Kind, version)
	out.JSON("config", m.cfg)
	out.Text("form", string(m.form))
	out.Int64s("rows", m.Offsets)
	out.Int32s("items", m.Items)
	out.Float32s("weights", m.Weights)
	return out.Close()
}

// Decode reads what Encode wrote, for a vocabulary of numItems; its errors wrap artifact.ErrCorrupt.
func Decode(f artifact.File, numItems int) (*Model, error) {
	in := artifact.NewReader(f, Kind, version)
	m := &Model{pool: rowsum.NewPool(), owner: f.Owner}
	in.JSON("config", &m.cfg)
	m.form = Form(in.Text("form"))
	m.Offsets, m.Items, m.Weights = in.Int64s("rows"), in.Int32s("items"), in.Float32s("weights")
	err := m.Check(numItems, func(weight float32) bool { return math.Abs(float64(weight)) <= math.MaxFloat32 })
	if m.form != Whole && m.form != Neighbourhoods {
		err = errors.Join(err, fmt.Errorf("form %q is unknown", m.form))
	}
	if err := errors.Join(err, m.cfg.Validate()); err != nil {
		in.Failf("%v", err) // an error of the reader came before, and stays
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("decode EASE model: %w", err)
	}
	return m, nil
}
