package serving

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

const (
	// maxExposureQueue bounds the lists that wait for Kafka: some 10 KiB each, and seconds of a busy shop.
	maxExposureQueue = 4_096
	// exposureBatch is how many are sent together.
	exposureBatch = 256
	// exposureTimeout bounds one batch; a Kafka that is away longer costs exposures, never answers.
	exposureTimeout = 30 * time.Second
	// exposureDrain bounds the last batches when serving stops, the one under way included: shorter than the 10 s that
	// supervisors wait before they kill.
	exposureDrain = 3 * time.Second
)

// exposures sends the record of every list to Kafka behind the request path's back. When the queue is full a record is
// dropped and counted: an answer never waits for its log.
type exposures struct {
	queue   chan *event.Exposure
	produce Producer
	dropped prometheus.Counter
	log     *slog.Logger
	failed  rarely
}

func newExposures(produce Producer, dropped prometheus.Counter, log *slog.Logger) *exposures {
	return &exposures{queue: make(chan *event.Exposure, maxExposureQueue), produce: produce, dropped: dropped, log: log}
}

// record takes an exposure or drops it.
func (x *exposures) record(e *event.Exposure) {
	select {
	case x.queue <- e:
	default:
		x.dropped.Inc()
	}
}

// run sends until ctx ends, and then what is under way and what is queued, for at most exposureDrain.
func (x *exposures) run(ctx context.Context) {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(exposureDrain, stop) })()
	batch := make([]*event.Exposure, 0, exposureBatch)
	for {
		select {
		case e := <-x.queue:
			batch = x.fill(append(batch[:0], e))
			x.send(sending, batch)
		case <-ctx.Done():
			for batch = x.fill(batch[:0]); len(batch) > 0; batch = x.fill(batch[:0]) {
				x.send(sending, batch)
			}
			return
		}
	}
}

// fill adds what is queued already.
func (x *exposures) fill(batch []*event.Exposure) []*event.Exposure {
	for len(batch) < exposureBatch {
		select {
		case e := <-x.queue:
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

func (x *exposures) send(ctx context.Context, batch []*event.Exposure) {
	records := make([]kafka.Record, 0, len(batch))
	for _, e := range batch {
		value, err := event.MarshalExposure(e)
		if err != nil {
			x.dropped.Inc()
			x.failed.warn(ctx, x.log, "an exposure was dropped", err)
			continue
		}
		records = append(records, kafka.Record{
			Topic: event.TopicExposures, Partition: -1, Time: e.ServedAt, Key: []byte(e.Site + ":" + e.RecID), Value: value,
			Headers: []kafka.Header{{Key: event.HeaderSchema, Value: []byte(event.ExposureSchema)}},
		})
	}
	ctx, cancel := context.WithTimeout(ctx, exposureTimeout)
	defer cancel()
	if err := x.produce.Produce(ctx, records); err != nil {
		x.dropped.Add(float64(len(records)))
		x.failed.warn(ctx, x.log, "exposures were dropped", err)
	}
}
