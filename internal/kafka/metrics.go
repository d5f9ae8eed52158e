package kafka

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// producerMetrics are what a Producer counts, by topic.
type producerMetrics struct {
	records  *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	failed   *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	buffered *prometheus.Desc
}

func newProducerMetrics() *producerMetrics {
	topic := []string{"topic"}
	return &producerMetrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_kafka_produced_records_total", Help: "Records that all in-sync replicas acknowledged.",
		}, topic),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_kafka_produced_bytes_total", Help: "Bytes of acknowledged batches, compressed.",
		}, topic),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_kafka_produce_failed_records_total", Help: "Records whose callers got an error after they were taken.",
		}, topic),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_kafka_produce_seconds", Help: "From a batch's first record to its acknowledgement, linger and retries included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16), // 1 ms to 33 s
		}, topic),
		buffered: prometheus.NewDesc("millrace_kafka_produce_buffered_bytes", "Bytes that wait for acknowledgement.", nil, nil),
	}
}

// done counts a batch that ended with err.
func (m *producerMetrics) done(topic string, b *batch, err error) {
	if err != nil {
		m.failed.WithLabelValues(topic).Add(float64(b.builder.records))
		return
	}
	m.records.WithLabelValues(topic).Add(float64(b.builder.records))
	m.bytes.WithLabelValues(topic).Add(float64(b.builder.size()))
	m.seconds.WithLabelValues(topic).Observe(time.Since(b.born).Seconds())
}

// Describe makes a Producer a prometheus.Collector.
func (p *Producer) Describe(ch chan<- *prometheus.Desc) {
	m := p.metrics
	m.records.Describe(ch)
	m.bytes.Describe(ch)
	m.failed.Describe(ch)
	m.seconds.Describe(ch)
	ch <- m.buffered
}

// Collect makes a Producer a prometheus.Collector.
func (p *Producer) Collect(ch chan<- prometheus.Metric) {
	m := p.metrics
	m.records.Collect(ch)
	m.bytes.Collect(ch)
	m.failed.Collect(ch)
	m.seconds.Collect(ch)
	ch <- prometheus.MustNewConstMetric(m.buffered, prometheus.GaugeValue, float64(p.BufferedBytes()))
}
