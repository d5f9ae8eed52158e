package kafka_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// BenchmarkProduceIdempotent has the same callers write the same batches to the same broker, in turn through the
// idempotent Producer and through the library's plain produce call, which neither numbers nor collects them. The ratio of
// the rates is what exactness costs; the aim is 0.8 or more. Both wait for all replicas and for the disk. The Producer
// compresses, so the fair comparison is plain=zstd; the other one has it compress against none at all.
func BenchmarkProduceIdempotent(b *testing.B) {
	const callers, perCall, partitions = 8, 1000, 8
	const turn = 20 // calls of each caller before the other way has its turn
	for _, bc := range []struct {
		name  string
		codec kafkago.Compression
	}{{"plain=uncompressed", 0}, {"plain=zstd", kafkago.Zstd}} {
		b.Run(bc.name, func(b *testing.B) {
			broker := kafkatest.Broker(b)
			c := kafkatest.Client(b, broker)
			kafkatest.Topic(b, c, "bench", partitions)
			p := kafkatest.Producer(b, c, kafka.ProducerConfig{})
			api := &kafkago.Client{Addr: kafkago.TCP(broker.Addr()), Transport: libraryTransport(b)}
			records := benchRecords(perCall, "bench")
			idempotent := func(ctx context.Context, partition int) error {
				own := make([]kafka.Record, len(records))
				for i := range own {
					own[i] = records[i]
					own[i].Partition = int32(partition)
				}
				return p.Produce(ctx, own)
			}
			plain := func(ctx context.Context, partition int) error {
				theirs := make([]kafkago.Record, len(records))
				for i, r := range records {
					theirs[i] = kafkago.Record{Time: r.Time, Key: libraryBytes(r.Key), Value: libraryBytes(r.Value), Headers: []kafkago.Header{kafkago.Header(r.Headers[0])}}
				}
				res, err := api.Produce(ctx, &kafkago.ProduceRequest{Topic: "bench", Partition: partition, RequiredAcks: kafkago.RequireAll,
					Compression: bc.codec, Records: kafkago.NewRecordReader(theirs...)})
				if err == nil {
					err = res.Error
				}
				return err
			}
			var took [2]time.Duration
			n := 0
			for ; n < b.N || n == 0; n += turn * callers * perCall {
				for i, produce := range []func(context.Context, int) error{idempotent, plain} {
					begun := time.Now()
					var all sync.WaitGroup
					for caller := range callers {
						all.Go(func() {
							for range turn {
								if err := produce(b.Context(), caller%partitions); err != nil {
									b.Error(err)
								}
							}
						})
					}
					all.Wait()
					took[i] += time.Since(begun)
				}
			}
			b.ReportMetric(float64(n)/took[0].Seconds(), "idempotent-records/s")
			b.ReportMetric(float64(n)/took[1].Seconds(), "plain-records/s")
			b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func libraryBytes(b []byte) kafkago.Bytes { return kafkago.NewBytes(bytes.Clone(b)) }
