package serving

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

const (
	// maxExposureQueue and maxExposureBytes bound the lists that wait for Kafka: a second and a half of a shop that asks for ten
	// thousand a second, whose compact records have some 2 KiB.
	maxExposureQueue = 16_384
	maxExposureBytes = 64 << 20
	// exposureBatch and exposureBatchBytes bound what is sent together. The producer has the same buffer for events, which must
	// not find it full of exposures.
	exposureBatch      = 1_024
	exposureBatchBytes = 1 << 20
	// exposureLinger is for how long a batch gathers: nobody waits for this log, and large batches cost the processors less than half of
	// what batches of the producer's own patience do. A node that is killed loses so much more of it.
	exposureLinger = 50 * time.Millisecond
	// exposureSenders is how many batches are on their way at once: while one waits for its fsync the next is gathered.
	exposureSenders = 4
	// maxExposureRecord bounds one record, below what a batch of the producer takes.
	maxExposureRecord = 384 << 10
	// exposureTimeout bounds one batch; a Kafka that is away longer costs exposures, never answers.
	exposureTimeout = 30 * time.Second
	// exposureDrain bounds the last batches when serving stops, the one under way included: shorter than the 10 s that
	// supervisors wait before they kill.
	exposureDrain = 3 * time.Second
)

// listed is the record of a list as it goes to Kafka.
type listed struct {
	key   string // <site>:<rec_id>
	at    time.Time
	value []byte // JSON of an event.Exposure, which nobody changes any more
}

// exposures sends the record of every list to Kafka behind the request path's back. When the queue is full a record is
// dropped and counted: an answer never waits for its log.
type exposures struct {
	queue   chan listed
	bytes   atomic.Int64 // of the queue
	produce Producer
	dropped prometheus.Counter
	log     *slog.Logger
	failed  rarely
}

func newExposures(produce Producer, dropped prometheus.Counter, log *slog.Logger) *exposures {
	return &exposures{queue: make(chan listed, maxExposureQueue), produce: produce, dropped: dropped, log: log}
}

// record takes a list or drops it.
func (x *exposures) record(l listed) {
	size := int64(len(l.value))
	if x.bytes.Add(size) <= maxExposureBytes {
		select {
		case x.queue <- l:
			return
		default:
		}
	}
	x.bytes.Add(-size)
	x.dropped.Inc()
}

// run sends what is recorded until ctx ends, and then what is left.
func (x *exposures) run(ctx context.Context) {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(exposureDrain, stop) })()
	var senders errgroup.Group
	senders.SetLimit(exposureSenders)
	for batch := x.gather(ctx); batch != nil; batch = x.gather(ctx) {
		senders.Go(func() error {
			x.send(sending, batch)
			return nil
		})
	}
	_ = senders.Wait() // none of them fails
}

// gather is the next batch: what comes until the first of it has waited for exposureLinger, or it is full. After ctx it is what is left,
// and then nil.
func (x *exposures) gather(ctx context.Context) []kafka.Record {
	var batch []kafka.Record
	var due <-chan time.Time
	for size := 0; len(batch) < exposureBatch && size < exposureBatchBytes; {
		select {
		case l := <-x.queue:
			if batch == nil {
				due = time.After(exposureLinger)
			}
			size += len(l.value)
			batch = append(batch, x.take(l))
		case <-due:
			return batch
		case <-ctx.Done():
			select {
			case l := <-x.queue:
				size += len(l.value)
				batch = append(batch, x.take(l))
			default:
				return batch
			}
		}
	}
	return batch
}

// take is a list out of the queue, as it goes to Kafka.
func (x *exposures) take(l listed) kafka.Record {
	x.bytes.Add(-int64(len(l.value)))
	return kafka.Record{
		Topic: event.TopicExposures, Partition: -1, Time: l.at, Key: []byte(l.key), Value: l.value,
		Headers: []kafka.Header{{Key: event.HeaderSchema, Value: []byte(event.ExposureSchema)}},
	}
}

func (x *exposures) send(ctx context.Context, batch []kafka.Record) {
	ctx, cancel := context.WithTimeout(ctx, exposureTimeout)
	defer cancel()
	if err := x.produce.Produce(ctx, batch); err != nil {
		x.dropped.Add(float64(len(batch)))
		x.failed.warn(ctx, x.log, "exposures were dropped", err)
	}
}
