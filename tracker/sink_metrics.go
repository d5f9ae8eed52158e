package tracker

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// sinkMetrics are what a Sink counts. Events, never their visitors.
type sinkMetrics struct {
	spooled prometheus.Counter
	drained prometheus.Counter
	refused *prometheus.CounterVec
}

func newSinkMetrics(reg prometheus.Registerer, s *Sink) (*sinkMetrics, error) {
	gauge := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
	}
	m := &sinkMetrics{
		spooled: prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_spool_events_total", Help: "Events that were written to the spool, because Kafka did not take them in time."}),
		drained: prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_spool_drained_total", Help: "Events that went from the spool to Kafka."}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_spool_refused_total", Help: "Events that the spool did not take either: it was full, or its disk failed.",
		}, []string{"reason"}),
	}
	stats := s.deps.Spool.Stats
	for _, c := range []prometheus.Collector{
		m.spooled, m.drained, m.refused,
		gauge("millrace_spool_waiting_events", "Events in the spool that Kafka does not have.", func() float64 { return float64(stats().Entries) }),
		gauge("millrace_spool_bytes", "Bytes of the spool on disk.", func() float64 { return float64(stats().Bytes) }),
		gauge("millrace_spool_oldest_seconds", "How long the oldest event of the spool has waited.", func() float64 { return stats().Oldest.Seconds() }),
		gauge("millrace_collector_waiting_bytes", "Bytes of events whose requests are not answered.", func() float64 { return float64(s.waiting.Load()) }),
		gauge("millrace_collector_kafka_away", "1 while Kafka does not take events.", func() float64 {
			if s.away.Load() {
				return 1
			}
			return 0
		}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register spool metrics: %w", err)
		}
	}
	return m, nil
}
