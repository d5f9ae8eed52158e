package serving

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Stages of a request, in the order of the pipeline; stageTotal is all of them.
const (
	stageVisitor    = "visitor"
	stageCandidates = "candidates"
	stageRank       = "rank"
	stageRerank     = "rerank"
	stageTotal      = "total"
)

// metrics are what serving counts. Labels hold placements, stages and rungs only, whose number operators bound.
type metrics struct {
	seconds  *prometheus.HistogramVec
	degraded *prometheus.CounterVec
	empty    prometheus.Counter
	dropped  prometheus.Counter
	stale    prometheus.Counter

	rulesSkipped prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_recommend_seconds", Help: "Time of recommendation requests by placement and stage.",
			Buckets: prometheus.ExponentialBuckets(0.000_05, 2, 14), // 50 us to 0.4 s
		}, []string{"placement", "stage"}),
		degraded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_recommend_degraded_total", Help: "Lists that a rung of the ladder had to answer.",
		}, []string{"rung"}),
		empty: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_recommend_empty_total", Help: "Lists without an item.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_exposures_dropped_total", Help: "Exposures that were not sent to Kafka.",
		}),
		stale: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_recommend_stale_total", Help: "Lists that did not see their after_event in time.",
		}),
		rulesSkipped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_rules_skipped_total", Help: "Revisions of rules that were read and not understood, and are left out.",
		}),
	}
	for _, r := range []rung{rungSession, rungCategory, rungTrending, rungStatic} {
		m.degraded.WithLabelValues(r.String()) // a rate needs a zero to start from
	}
	for _, c := range []prometheus.Collector{m.seconds, m.degraded, m.empty, m.dropped, m.stale, m.rulesSkipped} {
		if err := reg.Register(c); err != nil {
			return nil, wrap(err, "register metrics of serving")
		}
	}
	return m, nil
}

// stage counts what a stage took, unless m is nil: a list that is made again is not counted again.
func (m *metrics) stage(placement, stage string, took time.Duration) {
	if m == nil {
		return
	}
	m.seconds.WithLabelValues(placement, stage).Observe(took.Seconds())
}

func (m *metrics) answered(placement string, a *Answer, took time.Duration) {
	m.stage(placement, stageTotal, took)
	if a.Degraded != rungNone.String() {
		m.degraded.WithLabelValues(a.Degraded).Inc()
	}
	if len(a.Items) == 0 {
		m.empty.Inc()
	}
	if a.Stale {
		m.stale.Inc()
	}
}

// count is how far a counter has come.
func count(c prometheus.Counter) int64 {
	var m dto.Metric
	if c.Write(&m) != nil {
		return 0 // never: a counter writes its own value
	}
	return int64(m.GetCounter().GetValue())
}

// degradedByRung counts the lists that each rung had to answer.
func (m *metrics) degradedByRung() map[string]int64 {
	counts := map[string]int64{}
	for r := rungSession; r <= rungStatic; r++ {
		counts[r.String()] = count(m.degraded.WithLabelValues(r.String()))
	}
	return counts
}

// modelAge reports the age of each site's model when it is asked.
type modelAge struct {
	models *models
	now    func() time.Time
	desc   *prometheus.Desc
}

func newModelAge(m *models, now func() time.Time) *modelAge {
	return &modelAge{models: m, now: now, desc: prometheus.NewDesc(
		"millrace_model_age_seconds", "Age of the model in force since its training.", []string{"site"}, nil)}
}

func (a *modelAge) Describe(descs chan<- *prometheus.Desc) { descs <- a.desc }

func (a *modelAge) Collect(metrics chan<- prometheus.Metric) {
	a.models.all(func(site string, loaded *loadedModel) {
		age := a.now().Sub(loaded.Manifest.CreatedAt).Seconds()
		metrics <- prometheus.MustNewConstMetric(a.desc, prometheus.GaugeValue, age, site)
	})
}
