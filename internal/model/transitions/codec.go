package transitions

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/millrace/millrace/internal/model/artifact"
	"github.com/millrace/millrace/internal/model/rowsum"
)

// Kind names the codec of this package.
const Kind = "transitions"

// The layouts of the sections, within an artifact of this kind:
//
//	1  config   JSON      the Config
//	   rows     int64s    one more than there are items: item i has the pairs rows[i] to rows[i+1]
//	   items    int32s    the other item of each pair, strongest first within a row
//	   weights  float32s  the weight of each pair
//	2  the same, and then
//	   out      float64s  by item: the sum of all pairs that lead from it, also of those that its row does not keep
//	   in       float64s  by item: the sum of all pairs that lead to it
//	   newest   int64s    one: the time as of which the sums are decayed, that of the newest event in Unix milliseconds
//
// Version 1 is read and never written. Its model answers as it always did; nothing can be laid over it.
const (
	versionWithoutDegrees = 1
	version               = 2
)

// ErrNoDegrees is wrapped by the errors of what a model of a version 1 file cannot do.
var ErrNoDegrees = errors.New("the file is of layout version 1, which has no degrees; training makes a new one")

// Kind implements model.Artifact.
func (m *Model) Kind() string { return Kind }

// Encode implements model.Artifact.
func (m *Model) Encode(w io.Writer) error {
	if m.degrees == nil {
		return fmt.Errorf("encode transitions model: %w", ErrNoDegrees)
	}
	out := artifact.NewWriter(w, Kind, version)
	out.JSON("config", m.cfg)
	out.Int64s("rows", m.Offsets)
	out.Int32s("items", m.Items)
	out.Float32s("weights", m.Weights)
	out.Float64s("out", m.degrees.out)
	out.Float64s("in", m.degrees.in)
	out.Int64s("newest", []int64{m.degrees.newest})
	return out.Close()
}

// Decode reads what Encode wrote, now or in an earlier version, for a vocabulary of numItems; its errors wrap
// artifact.ErrCorrupt.
func Decode(f artifact.File, numItems int) (*Model, error) {
	in := artifact.NewReader(f, Kind, versionWithoutDegrees, version)
	m := &Model{pool: rowsum.NewPool(), owner: f.Owner}
	in.JSON("config", &m.cfg)
	m.Offsets, m.Items, m.Weights = in.Int64s("rows"), in.Int32s("items"), in.Float32s("weights")
	err := m.Check(numItems, func(weight float32) bool { return weight > 0 })
	if in.Version() == version {
		m.degrees = &degrees{out: in.Float64s("out"), in: in.Float64s("in")}
		if newest := in.Int64s("newest"); len(newest) == 1 {
			m.degrees.newest = newest[0]
		} else {
			err = errors.Join(err, fmt.Errorf("%d times of the newest event", len(newest)))
		}
		err = errors.Join(err, m.degrees.check(numItems))
	}
	if err := errors.Join(err, m.cfg.Validate()); err != nil {
		in.Failf("%v", err) // an error of the reader came before, and stays
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("decode transitions model: %w", err)
	}
	return m, nil
}

func (d *degrees) check(numItems int) error {
	if len(d.out) != numItems || len(d.in) != numItems {
		return fmt.Errorf("degrees of %d and %d items for a vocabulary of %d", len(d.out), len(d.in), numItems)
	}
	for item := range d.out {
		if !(d.out[item] >= 0 && d.in[item] >= 0 && d.out[item]+d.in[item] <= math.MaxFloat64) {
			return fmt.Errorf("item %d has the degrees %g and %g", item, d.out[item], d.in[item])
		}
	}
	return nil
}
