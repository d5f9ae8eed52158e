package popularity

import (
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
//	   rising_rows, rising_items, rising_scores likewise, by trend
//	   segments, segment_rows, segment_items, segment_scores likewise, of the segments
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
	encodeAll(out, "category", m.byCategory)
	encodeAll(out, "rising", m.risingIn)
	out.Strings("segments", m.segments)
	encodeAll(out, "segment", m.bySegment)
	return out.Close()
}

// encodeAll writes rankings one after the other.
func encodeAll(out *artifact.Writer, name string, rankings []ranking) {
	rows, all := make([]int64, 1, len(rankings)+1), ranking{}
	for _, r := range rankings {
		all.items, all.scores = append(all.items, r.items...), append(all.scores, r.scores...)
		rows = append(rows, int64(len(all.items)))
	}
	out.Int64s(name+"_rows", rows)
	all.encode(out, name)
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
	} else {
		m.segments = in.Strings("segments")
		if !slices.IsSorted(m.segments) {
			in.Failf("segments are not in order")
		}
		m.byCategory = decodeAll(in, "category", len(m.categories), numItems)
		m.risingIn = decodeAll(in, "rising", len(m.categories), numItems)
		m.bySegment = decodeAll(in, "segment", len(m.segments), numItems)
	}
	if err := m.cfg.Validate(); err != nil {
		in.Failf("%v", err)
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("decode popularity model: %w", err)
	}
	return m, nil
}

// decodeAll is the inverse of encodeAll, for n rankings.
func decodeAll(in *artifact.Reader, name string, n, numItems int) []ranking {
	rows, all := in.Int64s(name+"_rows"), decodeRanking(in, name, numItems)
	if len(rows) != n+1 || rows[0] != 0 || rows[n] != int64(len(all.items)) || !slices.IsSorted(rows) {
		in.Failf("the rows of %s do not cover its items", name) // an error of the reader came before, and stays
		return nil
	}
	var out []ranking
	for i := range n {
		from, to := rows[i], rows[i+1]
		out = append(out, ranking{items: all.items[from:to:to], scores: all.scores[from:to:to]})
	}
	return out
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
