package tracker

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the collector's. Reasons are codes of this program; no label ever holds what a client wrote.
type metrics struct {
	accepted     prometheus.Counter
	duplicates   prometheus.Counter
	rejected     *prometheus.CounterVec
	dropped      prometheus.Counter
	erased       prometheus.Counter
	propsDropped prometheus.Counter
	refused      *prometheus.CounterVec
	seconds      prometheus.Histogram
	replays      *prometheus.CounterVec
	lost         *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		accepted:   counter("millrace_events_accepted_total", "Events acknowledged to clients."),
		duplicates: counter("millrace_events_duplicates_total", "Accepted events whose id was acknowledged lately; the stream removes them."),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_events_rejected_total", Help: "Events refused with a verdict, by code.",
		}, []string{"reason"}),
		dropped:      counter("millrace_events_without_consent_total", "Events dropped because the visitor refused analytics."),
		erased:       counter("millrace_events_erased_total", "Events dropped because their person was erased after they happened."),
		propsDropped: counter("millrace_event_props_dropped_total", "Entries of props beyond the limits."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_event_requests_refused_total", Help: "Whole requests refused, by problem type.",
		}, []string{"reason"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_tracking_lost_total", Help: "Numbered events of tabs that did not arrive while their tab lived.",
		}, []string{"site", "family"}),
		replays: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_tracking_replays_total", Help: "Numbered events of tabs that arrived again.",
		}, []string{"site", "family"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_collect_seconds", Help: "Time to answer POST /v1/events.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}),
	}
	for _, c := range []prometheus.Collector{m.accepted, m.duplicates, m.rejected, m.dropped, m.erased, m.propsDropped, m.refused, m.seconds, m.lost, m.replays} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register collector metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) count(b batch, ans eventsAnswer) {
	m.accepted.Add(float64(ans.Accepted))
	m.duplicates.Add(float64(ans.Duplicates))
	m.dropped.Add(float64(b.dropped))
	m.erased.Add(float64(b.erased))
	m.propsDropped.Add(float64(b.propsDropped))
	for _, v := range ans.Rejected {
		m.rejected.WithLabelValues(v.Code).Inc()
	}
}

// account counts what the numbers of tabs tell; family is one of losses' bounded names.
func (m *metrics) account(site, family string, c Tally) {
	if c.Lost > 0 {
		m.lost.WithLabelValues(site, family).Add(float64(c.Lost))
	}
	if c.Replays > 0 {
		m.replays.WithLabelValues(site, family).Add(float64(c.Replays))
	}
}
