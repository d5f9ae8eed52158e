package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"
)

const (
	// noProducer is the producer id of batches without sequence numbers.
	noProducer = -1
	// acksAll asks for every in-sync replica.
	acksAll = -1
	// spareBuffers is how many batch buffers are kept for reuse: with the default sizes at most 8 MB.
	spareBuffers = 16
)

type laneKey struct {
	topic     string
	partition int32
}

// lane is the queue of one partition and the goroutine that sends it, one batch at a time.
type lane struct {
	p    *Producer
	key  laneKey
	wake chan struct{} // the queue got its first batch, or its first batch is full

	queue []*batch      // guarded by p.mu; all but the last are full
	state producerState // owned by run
}

// batch is what one request will carry, and who waits for it.
type batch struct {
	builder batchBuilder
	born    time.Time
	bytes   int // as counted in Producer.buffered
	waiters []waiter
}

// waiter is a call with how many of its records are in a batch.
type waiter struct {
	call    *call
	records int
}

// add appends a record to the last batch, or to a new one when it is full. The caller holds p.mu.
func (l *lane) add(c *call, r *Record) {
	size := recordSize(r)
	n := len(l.queue)
	if n == 0 || l.queue[n-1].builder.size()+size > l.p.cfg.MaxBatchBytes {
		b := &batch{born: time.Now()}
		if last := len(l.p.spare) - 1; last >= 0 {
			b.builder.buf, l.p.spare = l.p.spare[last], l.p.spare[:last]
		}
		l.queue = append(l.queue, b)
		n++
		l.signal()
	}
	b := l.queue[n-1]
	b.builder.add(r)
	b.bytes += size
	if w := len(b.waiters); w > 0 && b.waiters[w-1].call == c {
		b.waiters[w-1].records++
	} else {
		b.waiters = append(b.waiters, waiter{call: c, records: 1})
	}
}

func (l *lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake already
	}
}

// run sends batches until the producer is closing and the queue is empty. Failures go to the callers.
func (l *lane) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		b, linger, closed := l.next()
		switch {
		case b != nil:
			l.finish(b, l.send(ctx, b))
		case linger > 0:
			timer.Reset(linger)
			select {
			case <-timer.C:
			case <-l.wake:
			case <-l.p.closing:
			}
		case closed:
			return nil
		default:
			select {
			case <-l.wake:
			case <-l.p.closing:
			}
		}
	}
}

// next takes the first batch if it is due: full, older than the linger, or the producer is closing. Otherwise it says
// how long the batch still lingers, 0 for an empty queue.
func (l *lane) next() (b *batch, linger time.Duration, closed bool) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if len(l.queue) == 0 {
		return nil, 0, l.p.closed
	}
	b = l.queue[0]
	if len(l.queue) == 1 && !l.p.closed {
		if linger = l.p.cfg.Linger - time.Since(b.born); linger > 0 {
			return nil, linger, false
		}
	}
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return b, 0, l.p.closed
}

// finish tells the callers of a batch and frees its bytes.
func (l *lane) finish(b *batch, err error) {
	l.p.metrics.done(l.key.topic, b, err)
	var done []*call
	l.p.mu.Lock()
	l.p.buffered -= b.bytes
	if err == nil {
		if len(l.p.spare) < spareBuffers {
			l.p.spare = append(l.p.spare, b.builder.buf) // after an error a connection may still be reading from it
		}
	} else if l.p.closed {
		l.p.lost += int(b.builder.records)
	}
	for _, w := range b.waiters {
		w.call.pending -= w.records
		if w.call.err == nil {
			w.call.err = err
		}
		if w.call.pending == 0 {
			done = append(done, w.call)
		}
	}
	l.p.mu.Unlock()
	for _, c := range done {
		c.done(c.err)
	}
}

// send writes one batch, again after transient failures. The sequence number makes a repetition harmless: the broker
// recognises it and answers as it did the first time.
func (l *lane) send(ctx context.Context, b *batch) error {
	if !l.p.cfg.Uncompressed {
		b.builder.compress(l.p.client.encoder)
	}
	err := l.p.client.retry(ctx, func(ctx context.Context) error {
		if l.state.id == noProducer {
			if err := l.identify(ctx); err != nil {
				return err
			}
		}
		err := l.write(ctx, b.builder.seal(l.state))
		switch {
		case errors.Is(err, kafkago.DuplicateSequenceNumber):
			return nil // stored by an earlier attempt whose answer was lost
		case errors.Is(err, kafkago.OutOfOrderSequenceNumber), errors.Is(err, kafkago.UnknownProducerId),
			errors.Is(err, kafkago.InvalidProducerEpoch):
			l.state.id = noProducer // the broker forgot us: a new identity, from sequence 0
			return fmt.Errorf("%w: %w", errForgotten, err)
		}
		return err
	})
	if err != nil {
		l.state.id = noProducer // whether it was written is unknown, so the next sequence number would be a guess
		return fmt.Errorf("produce %d records to %s/%d: %w", b.builder.records, l.key.topic, l.key.partition, err)
	}
	l.state.sequence += b.builder.records
	if l.state.sequence < 0 {
		l.state.id = noProducer // 2^31 records: the sequence wraps in the protocol, a new identity is simpler
	}
	return nil
}

// identify asks for a producer id of this lane's own, so that a reset concerns no other partition.
func (l *lane) identify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	res, err := l.p.client.api.InitProducerID(ctx, &kafkago.InitProducerIDRequest{})
	if err != nil {
		return fmt.Errorf("get producer id: %w", err)
	}
	if res.Error != nil {
		return fmt.Errorf("get producer id: %w", res.Error)
	}
	l.state = producerState{id: int64(res.Producer.ProducerID), epoch: int16(res.Producer.ProducerEpoch)}
	return nil
}

func (l *lane) write(ctx context.Context, recordSet []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout) // the broker's own limit below, and the way there and back
	defer cancel()
	res, err := roundTrip[*produce.Response](ctx, l.p.client, &rawproduce.Request{
		Acks:    acksAll,
		Timeout: int32(requestTimeout.Milliseconds()),
		Topics: []rawproduce.RequestTopic{{Topic: l.key.topic, Partitions: []rawproduce.RequestPartition{{
			Partition: l.key.partition,
			RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(recordSet)},
		}}}},
	})
	if err != nil {
		return err
	}
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return fmt.Errorf("broker answered %d topics for one partition", len(res.Topics))
	}
	if p := res.Topics[0].Partitions[0]; p.ErrorCode != 0 {
		return kafkago.Error(p.ErrorCode)
	}
	return nil
}
