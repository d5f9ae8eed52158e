package popularity

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/millrace/millrace/internal/model/artifact"
)

// Kind names the codec of this package.
const Kind = "popularity"

// The layouts of the sections, within an artifact of this kind:
//
//	1  only in the earlier form of artifacts, and never written: the Config, and the rankings one after the other
//	2  config             JSON      the Config
//	   overall_items      int32s    the items, best first
//	   overall_scores     float32s  their scores
//	   trending_items, trending_scores likewise
//	   categories         strings   sorted
//	   category_rows      int64s    one more than there are categories: category c has the places rows[c] to rows[c+1]
//	   category_items     int32s    its items, best first
//	   category_scores    float32s  their scores
//
// A decoded model uses no memory of the file: rankings are short.
const (
	versionOfSections = 1
	version           = 2
)

// Kind implements model.Artifact.
func (m *Model) Kind() string { return Kind }

// Encode implements model.Artifact.
func (m *Model) Encode(w io.Writer) error {
	out := artifact.NewWriter(w, Kind, version)
	out.JSON("config", m.cfg)
	m.overall.encode(out, "overall")
	m.trending.encode(out, "trending")
	out.Strings("categories", m.categories)
	rows, all := make([]int64, 1, len(m.byCategory)+1), ranking{}
	for _, r := range m.byCategory {
		all.items, all.scores = append(all.items, r.items...), append(all.scores, r.scores...)
		rows = append(rows, int64(len(all.items)))
	}
	out.Int64s("category_rows", rows)
	all.encode(out, "category")
	return out.Close()
}

// Decode reads what Encode wrote, now or in an earlier version, for a vocabulary of numItems; its errors wrap
// artifact.ErrCorrupt.
func Decode(f artifact.File, numItems int) (*Model, error) {
	in := artifact.NewReader(f, Kind, versionOfSections, version)
	m := &Model{}
	in.JSON("config", &m.cfg)
	m.overall = decodeRanking(in, "overall", numItems)
	m.trending = decodeRanking(in, "trending", numItems)
	m.categories = in.Strings("categories")
	if !slices.IsSorted(m.categories) {
		in.Failf("categories are not in order")
	}
	if in.Version() == versionOfSections {
		for range m.categories {
			m.byCategory = append(m.byCategory, decodeRanking(in, "", numItems))
		}
	} else if err := m.cut(in.Int64s("category_rows"), decodeRanking(in, "category", numItems)); err != nil {
		in.Failf("%v", err) // an error of the reader came before, and stays
	}
	if err := m.cfg.Validate(); err != nil {
		in.Failf("%v", err)
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("decode popularity model: %w", err)
	}
	return m, nil
}

// cut makes the rankings of the categories from all of them.
func (m *Model) cut(rows []int64, all ranking) error {
	if len(rows) != len(m.categories)+1 || rows[0] != 0 || rows[len(m.categories)] != int64(len(all.items)) || !slices.IsSorted(rows) {
		return errors.New("the rows of the categories do not cover their items")
	}
	for c := range m.categories {
		from, to := rows[c], rows[c+1]
		m.byCategory = append(m.byCategory, ranking{items: all.items[from:to:to], scores: all.scores[from:to:to]})
	}
	return nil
}

func (r ranking) encode(out *artifact.Writer, name string) {
	out.Int32s(name+"_items", r.items)
	out.Float32s(name+"_scores", r.scores)
}

func decodeRanking(in *artifact.Reader, name string, numItems int) ranking {
	r := ranking{items: slices.Clone(in.Int32s(name + "_items")), scores: slices.Clone(in.Float32s(name + "_scores"))}
	if len(r.items) != len(r.scores) {
		in.Failf("ranking of %d items has %d scores", len(r.items), len(r.scores))
		return ranking{}
	}
	for _, item := range r.items {
		if item < 0 || int(item) >= numItems {
			in.Failf("item index %d is outside a vocabulary of %d", item, numItems)
			break
		}
	}
	return r
}
