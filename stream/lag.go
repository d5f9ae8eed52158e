package stream

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/kafka"
)

// lag tells Prometheus how far the owned partitions are behind, in records and in seconds. Seconds count until the moment
// of the scrape, so that they grow also while a partition is stuck and nobody comes to change a number.
type lag struct {
	records, seconds *prometheus.Desc
	now              func() time.Time

	mu     sync.Mutex
	unread map[partitionID]unread
}

// unread is what a partition still has to apply.
type unread struct {
	records int64
	oldest  time.Time // record time of the first of them, or of one before it; zero is not known
}

func newLag() *lag {
	labels := []string{"group", "topic", "partition"}
	return &lag{
		records: prometheus.NewDesc("millrace_consumer_lag_records", "Records in the log that the group has not applied yet.", labels, nil),
		seconds: prometheus.NewDesc("millrace_consumer_lag_seconds",
			"How long ago the oldest record that the group has not applied yet was received; 0 when there is none.", labels, nil),
		now:    time.Now,
		unread: make(map[partitionID]unread),
	}
}

// behind is what is unread when the first done records of a fetch are applied.
func behind(res kafka.FetchResult, done int) unread {
	switch {
	case done < len(res.Records):
		next := &res.Records[done]
		return unread{records: res.End - next.Offset, oldest: next.Time}
	case done > 0:
		return unread{records: res.End - res.Next, oldest: res.Records[done-1].Time}
	}
	return unread{records: res.End - res.Next}
}

func (l *lag) set(id partitionID, u unread) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unread[id] = u
}

// drop forgets a partition that is owned no more.
func (l *lag) drop(id partitionID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.unread, id)
}

// Describe makes a lag a prometheus.Collector.
func (l *lag) Describe(ch chan<- *prometheus.Desc) {
	ch <- l.records
	ch <- l.seconds
}

// Collect makes a lag a prometheus.Collector.
func (l *lag) Collect(ch chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, u := range l.unread {
		seconds := 0.0
		if u.records > 0 && !u.oldest.IsZero() {
			seconds = max(0, l.now().Sub(u.oldest).Seconds())
		}
		partition := strconv.Itoa(int(id.partition))
		ch <- prometheus.MustNewConstMetric(l.records, prometheus.GaugeValue, float64(u.records), Group, id.topic, partition)
		ch <- prometheus.MustNewConstMetric(l.seconds, prometheus.GaugeValue, seconds, Group, id.topic, partition)
	}
}
