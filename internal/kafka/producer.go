package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// DefaultLinger is how long a batch waits for company. An fsynced append costs 0.3 to 5 ms whatever its size, so a
	// few milliseconds of patience multiply throughput and stay far below the 100 ms that freshness has.
	DefaultLinger = 2 * time.Millisecond
	// DefaultMaxBatchBytes keeps a batch under the 1 MiB that brokers accept by default (message.max.bytes).
	DefaultMaxBatchBytes = 512 << 10
	// DefaultMaxBufferedBytes bounds what waits for acknowledgement: about 100,000 events of 600 bytes.
	DefaultMaxBufferedBytes = 64 << 20

	// drainTimeout bounds the last flush when Run ends; it is shorter than the 10 s that supervisors wait before they kill.
	drainTimeout = 5 * time.Second
	// partitionsRefresh is how soon a producer notices that a topic has grown.
	partitionsRefresh = 5 * time.Second
)

var (
	// ErrBufferFull says that MaxBufferedBytes of records wait for Kafka already. Nothing was taken; try again later.
	ErrBufferFull = errors.New("producer buffer is full")
	// ErrProducerClosed says that Run has ended. Nothing was taken.
	ErrProducerClosed = errors.New("producer is closed")
	// ErrRecordTooLarge says that one record exceeds MaxBatchBytes. Nothing was taken.
	ErrRecordTooLarge = errors.New("record is larger than a batch may be")
	// ErrNoPartition says that a record names a partition that its topic does not have. Nothing was taken.
	ErrNoPartition = errors.New("topic has no such partition")
)

// ProducerConfig bounds a Producer; a bound of zero has the default of the same name. A negative Linger sends at once.
type ProducerConfig struct {
	Linger           time.Duration
	MaxBatchBytes    int
	MaxBufferedBytes int
	// Uncompressed leaves batches as they are. They are compressed otherwise, because their bytes on the broker's disk, in
	// its restart and in every fetch cost more than the 2 ns a byte that zstd takes here.
	Uncompressed bool
}

// Producer collects the records of many callers into one batch per partition and acknowledges them when all in-sync
// replicas have them. Per partition the order of calls is the order in the log, since at most one batch is in flight;
// batches carry sequence numbers, so that one sent again after a lost answer is stored once. Only when that cannot be
// known any more (a broker forgot the producer, the retry budget ran out and the caller repeats) is a record stored
// twice, and readers remove it. A Producer is a prometheus.Collector.
type Producer struct {
	client  *Client
	cfg     ProducerConfig
	metrics *producerMetrics
	closing chan struct{}

	mu       sync.Mutex
	sending  context.Context // nil until Run; ends when the drain is over
	group    *errgroup.Group // the lanes' goroutines, owned by Run
	closed   bool
	buffered int // bytes in open and in-flight batches
	lost     int // records that failed while draining
	counts   map[string]int32
	lanes    map[laneKey]*lane
	spare    [][]byte // buffers of acknowledged batches
}

// call is one Produce or Enqueue: done runs once, when the last of its records is acknowledged or has failed. Its other
// fields are guarded by Producer.mu.
type call struct {
	pending int
	err     error
	done    func(error)
}

// NewProducer returns a producer on a client. What it takes is sent once Run runs.
func NewProducer(c *Client, cfg ProducerConfig) *Producer {
	if cfg.Linger == 0 {
		cfg.Linger = DefaultLinger
	}
	if cfg.MaxBatchBytes <= 0 {
		cfg.MaxBatchBytes = DefaultMaxBatchBytes
	}
	if cfg.MaxBufferedBytes <= 0 {
		cfg.MaxBufferedBytes = DefaultMaxBufferedBytes
	}
	return &Producer{
		client: c, cfg: cfg,
		metrics: newProducerMetrics(),
		closing: make(chan struct{}),
		counts:  make(map[string]int32),
		lanes:   make(map[laneKey]*lane),
	}
}

// Run sends batches until ctx ends. Then it refuses new records and sends what is buffered for at most 5 s; the error
// says how many records were not acknowledged by then. Run is called once.
func (p *Producer) Run(ctx context.Context) error {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx)) // batches outlive ctx by the drain
	defer stop()
	group := new(errgroup.Group)
	p.mu.Lock()
	p.sending, p.group = sending, group
	for _, l := range p.lanes {
		group.Go(func() error { return l.run(sending) })
	}
	p.mu.Unlock()

	for refresh := time.NewTicker(partitionsRefresh); ctx.Err() == nil; {
		select {
		case <-refresh.C:
			p.refreshPartitions(ctx)
		case <-ctx.Done():
			refresh.Stop()
		}
	}
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	close(p.closing)
	defer time.AfterFunc(drainTimeout, stop).Stop()
	if err := group.Wait(); err != nil {
		return err
	}
	if p.lost > 0 {
		return fmt.Errorf("drain producer: %d records were not acknowledged", p.lost)
	}
	return nil
}

// Produce writes records and returns when every one is acknowledged, or with the first error. A record with a negative
// Partition goes where its key belongs. The errors that say so have taken nothing; after any other, ctx's included, some
// of the records may be in the log. The records may be reused when Produce returns.
func (p *Producer) Produce(ctx context.Context, records []Record) error {
	acked := make(chan error, 1)
	if err := p.Enqueue(ctx, records, func(err error) { acked <- err }); err != nil {
		return err
	}
	select {
	case err := <-acked:
		return err
	case <-ctx.Done():
		return fmt.Errorf("await acknowledgement: %w", ctx.Err())
	}
}

// Enqueue is Produce without the wait: done is called once, from a sending goroutine, and must not block. The records
// may be reused when Enqueue returns. It blocks only on the first record of a topic, while the partition count is read.
func (p *Producer) Enqueue(ctx context.Context, records []Record, done func(error)) error {
	if len(records) == 0 {
		done(nil)
		return nil
	}
	total := 0
	for i := range records {
		n := recordSize(&records[i])
		if n > p.cfg.MaxBatchBytes-lengthPrefixSize-batchHeaderSize {
			return fmt.Errorf("record %d of topic %s has about %d bytes: %w", i, records[i].Topic, n, ErrRecordTooLarge)
		}
		total += n
	}
	if err := p.learnTopics(ctx, records); err != nil {
		return err
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return ErrProducerClosed
	case p.buffered+total > p.cfg.MaxBufferedBytes:
		return ErrBufferFull
	}
	for i := range records {
		if r := &records[i]; r.Partition >= p.counts[r.Topic] {
			return fmt.Errorf("record %d for %s/%d: %w", i, r.Topic, r.Partition, ErrNoPartition)
		}
	}
	p.buffered += total
	c := &call{pending: len(records), done: done}
	for i := range records {
		r := &records[i]
		partition := r.Partition
		if partition < 0 {
			partition = PartitionFor(r.Key, p.counts[r.Topic])
		}
		p.lane(laneKey{r.Topic, partition}).add(c, r)
	}
	return nil
}

// BufferedBytes is how much waits for acknowledgement now.
func (p *Producer) BufferedBytes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buffered
}

// learnTopics makes the partition counts of all topics of records known. A partition above what is known may be new: the
// count is read again for it, once a topic.
func (p *Producer) learnTopics(ctx context.Context, records []Record) error {
	topic, count, asked := "", int32(0), false
	for i := range records {
		r := &records[i]
		if r.Topic != topic {
			p.mu.Lock()
			topic, count, asked = r.Topic, p.counts[r.Topic], false
			p.mu.Unlock()
		}
		if asked || count > 0 && r.Partition < count {
			continue
		}
		n, err := p.client.partitions(ctx, topic)
		if err != nil {
			return err
		}
		count, asked = n, true
		p.mu.Lock()
		p.counts[topic] = n
		p.mu.Unlock()
	}
	return nil
}

// refreshPartitions reads the counts again; one that cannot be read stays as it was.
func (p *Producer) refreshPartitions(ctx context.Context) {
	p.mu.Lock()
	topics := slices.Collect(maps.Keys(p.counts))
	p.mu.Unlock()
	for _, topic := range topics {
		n, err := p.client.partitions(ctx, topic)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.counts[topic] = n
		p.mu.Unlock()
	}
}

// lane finds or starts the lane of a partition. The caller holds mu.
func (p *Producer) lane(key laneKey) *lane {
	l := p.lanes[key]
	if l == nil {
		l = &lane{p: p, key: key, wake: make(chan struct{}, 1), state: producerState{id: noProducer}}
		p.lanes[key] = l
		if p.group != nil {
			sending := p.sending
			p.group.Go(func() error { return l.run(sending) })
		}
	}
	return l
}
