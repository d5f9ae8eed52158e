package kafka_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// Readers of many partitions share a budget that holds no two answers: never two of them hold records at once, and each
// reads all of its partition.
func testBudget(t *testing.T, brokers []string) {
	const topic, partitions = "budget", 8
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, topic, partitions)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{MaxBatchBytes: 8 << 10})
	if err := p.Produce(t.Context(), benchRecords(4000, topic)); err != nil {
		t.Fatal(err)
	}
	ends, err := c.Offsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	budget := kafka.NewBudget(1 << 10)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var holders, total atomic.Int64
	readers, ctx := errgroup.WithContext(ctx)
	for partition := range int32(partitions) {
		readers.Go(func() error {
			for at := int64(0); at < ends[partition].End; {
				res, err := c.Fetch(ctx, kafka.FetchRequest{Topic: topic, Partition: partition, Offset: at, MaxBytes: 30_000, Budget: budget})
				if err != nil {
					return err
				}
				if now := holders.Add(1); now > 1 {
					return fmt.Errorf("%d answers are held at once", now)
				}
				total.Add(int64(len(res.Records)))
				at = res.Next
				holders.Add(-1)
				res.Release()
			}
			return nil
		})
	}
	if err := readers.Wait(); err != nil || total.Load() != 4000 {
		t.Fatalf("%d records of 4000: %v", total.Load(), err)
	}
}
