package stream

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the stream tells Prometheus.
type metrics struct {
	lag        *lag
	freshness  prometheus.Histogram
	applied    prometheus.Counter
	duplicates prometheus.Counter
	dead       *prometheus.CounterVec
	lost       *prometheus.CounterVec
	skipped    prometheus.Counter
	closed     prometheus.Counter
	forwarded  prometheus.Counter
	erased     prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, l *landing, online *patient) (*metrics, error) {
	m := &metrics{
		lag: newLag(),
		freshness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_event_to_feature_seconds",
			Help:    "Time from the collector's receipt of an event to its features being readable in the online store.",
			Buckets: []float64{.002, .005, .01, .02, .03, .05, .075, .1, .15, .25, .5, 1, 2.5, 10, 60, 600},
		}),
		applied: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_stream_events_total", Help: "Events applied to features.",
		}),
		duplicates: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_stream_duplicates_total", Help: "Records left out because their event stood in the log before.",
		}),
		dead: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_dead_letters_total", Help: "Records that could not be used, by topic and reason.",
		}, []string{"topic", "reason"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_lost_offsets_total", Help: "Offsets that retention removed before they were read.",
		}, []string{"topic", "partition"}),
		skipped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_feed_skipped_records_total", Help: "Changes left out of the change feed because Kafka does not take them.",
		}),
		closed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_sessions_closed_total", Help: "Records of closed sessions written; those of sessions that went on, and what a crash repeats, count again.",
		}),
		forwarded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_stream_forwarded_total", Help: "Events that stood in another partition than their key belongs in, and were moved there.",
		}),
		erased: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_stream_erased_total", Help: "Events left out because their person was erased after they happened.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millrace_lake_commit_age_seconds", Help: "How long the oldest row that has not landed waits for its commit; 0 when none waits.",
	}, func() float64 { return l.age().Seconds() })
	away := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millrace_online_store_away_seconds", Help: "How long publication has been waiting for the online store; 0 while it answers.",
	}, func() float64 { return online.away().Seconds() })
	for _, c := range []prometheus.Collector{away, m.lag, m.freshness, m.applied, m.duplicates, m.dead, m.lost, m.skipped, m.closed, m.forwarded, m.erased, age} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}
