package popularity

import (
	"fmt"
	"io"
	"slices"

	"github.com/millrace/millrace/internal/model/artifact"
)

// Kind names the codec of this package.
const Kind = "popularity"

const version = 1

// Kind implements model.Artifact.
func (m *Model) Kind() string { return Kind }

// Encode implements model.Artifact.
func (m *Model) Encode(w io.Writer) error {
	out := artifact.NewWriter(w, Kind, version)
	out.JSON(m.cfg)
	m.overall.encode(out)
	m.trending.encode(out)
	out.Strings(m.categories)
	for _, r := range m.byCategory {
		r.encode(out)
	}
	return out.Close()
}

// Decode reads what Encode wrote, for a vocabulary of numItems; its errors wrap artifact.ErrCorrupt.
func Decode(r io.Reader, numItems int) (*Model, error) {
	in := artifact.NewReader(r, Kind, version)
	m := &Model{}
	in.JSON(&m.cfg)
	m.overall = decodeRanking(in, numItems)
	m.trending = decodeRanking(in, numItems)
	m.categories = in.Strings()
	if !slices.IsSorted(m.categories) {
		in.Failf("categories are not in order")
	}
	for range m.categories {
		m.byCategory = append(m.byCategory, decodeRanking(in, numItems))
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("decode popularity model: %w", err)
	}
	if err := m.cfg.Validate(); err != nil {
		return nil, fmt.Errorf("decode popularity model: %w: %w", artifact.ErrCorrupt, err)
	}
	return m, nil
}

func (r ranking) encode(out *artifact.Writer) {
	out.Int32s(r.items)
	out.Float32s(r.scores)
}

func decodeRanking(in *artifact.Reader, numItems int) ranking {
	r := ranking{items: in.Int32s(), scores: in.Float32s()}
	if len(r.items) != len(r.scores) {
		in.Failf("ranking of %d items has %d scores", len(r.items), len(r.scores))
	}
	for _, item := range r.items {
		if item < 0 || int(item) >= numItems {
			in.Failf("item index %d is outside a vocabulary of %d", item, numItems)
			break
		}
	}
	return r
}
