package serving

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/control"
)

// feedMetrics count what feeds do on this node.
type feedMetrics struct {
	runs    *prometheus.CounterVec
	entries *prometheus.CounterVec
}

func newFeedMetrics(reg prometheus.Registerer) (*feedMetrics, error) {
	m := &feedMetrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_feed_runs_total", Help: "Readings of catalogue feeds, by how they ended.",
		}, []string{"state"}),
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_feed_entries_total", Help: "Entries of catalogue feeds, by what became of them.",
		}, []string{"verdict"}),
	}
	for _, state := range []control.JobState{control.JobDone, control.JobFailed, control.JobCancelled} {
		m.runs.WithLabelValues(string(state)) // a rate needs a zero to start from
	}
	for _, c := range []prometheus.Collector{m.runs, m.entries} {
		if err := reg.Register(c); err != nil {
			return nil, wrap(err, "register metrics of feeds")
		}
	}
	return m, nil
}

func (m *feedMetrics) ended(state control.JobState, r *FeedReport) {
	m.runs.WithLabelValues(string(state)).Inc()
	m.entries.WithLabelValues("changed").Add(float64(r.Accepted - r.Unchanged))
	m.entries.WithLabelValues("unchanged").Add(float64(r.Unchanged))
	m.entries.WithLabelValues("rejected").Add(float64(r.Rejected))
	m.entries.WithLabelValues("removed").Add(float64(r.Removed))
}
