package eval

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// metricKinds lists the kinds of figures in the order in which reports have them; the first ones say how good a list is, the
// rest what it is made of.
func metricKinds() []string {
	return []string{"NDCG", "HR", "MRR", "Recall", "MAP", "popularity_bias", "novelty", "diversity", "coverage"}
}

// qualityKinds is how many of metricKinds say how good a list is.
const qualityKinds = 5

// metricName is the name of a figure, taken apart: "HR@20".
type metricName struct {
	kind string
	k    int
}

func parseMetric(name string) metricName {
	kind, k, _ := strings.Cut(name, "@")
	n, err := strconv.Atoi(k)
	if err != nil {
		return metricName{kind: name}
	}
	return metricName{kind: kind, k: n}
}

// quality reports whether the figure says how good a list is.
func (m metricName) quality() bool { return slices.Contains(metricKinds()[:qualityKinds], m.kind) }

// metricsOf lists the names of figures in the order of reports: by length of the list, then by kind.
func metricsOf(metrics map[string]MetricValue) []string {
	kinds := metricKinds()
	return slices.SortedFunc(maps.Keys(metrics), func(a, b string) int {
		x, y := parseMetric(a), parseMetric(b)
		return cmp.Or(cmp.Compare(x.k, y.k), cmp.Compare(slices.Index(kinds, x.kind), slices.Index(kinds, y.kind)), cmp.Compare(a, b))
	})
}
