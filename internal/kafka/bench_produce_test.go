package kafka_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

const (
	produceCallers = 8     // as many partitions, one for each
	produceCall    = 1_000 // records of one call: of an import, and at once a whole batch of the peers
	produceTurn    = 20    // calls of each caller before the next way has its turn
	produceRounds  = 5     // turns of each way; the median counts
	produceTarget  = 0.8   // of a peer's rate
)

// produceWay is one way to write the records of a call to a partition and wait until all replicas have them.
type produceWay struct {
	name  string
	write func(ctx context.Context, partition int, records []kafka.Record) error
}

// BenchmarkProduceIdempotent is what exactness costs: the same callers write the same batches to the same broker in turn,
// through the Producer and through two plain ways of the library, its Writer and the call below it, which collects nothing.
// None of the peers numbers its batches. Batch size and linger are the same, but the peers need never linger: a call of
// theirs is a whole batch. The last pair has the Producer as the product uses it beside peers that leave out compression.
func BenchmarkProduceIdempotent(b *testing.B) {
	brokers := map[string]func(testing.TB) []string{
		"embedded": func(tb testing.TB) []string { return []string{kafkatest.Broker(tb).Addr()} },
		"real":     kafkatest.Real,
	}
	for name, start := range brokers {
		b.Run("broker="+name, func(b *testing.B) {
			addrs := start(b)
			kafkatest.Topic(b, kafkatest.Dial(b, addrs), "bench", produceCallers)
			none, zstd := kafka.ProducerConfig{Uncompressed: true}, kafka.ProducerConfig{}
			b.Run("codec=none", func(b *testing.B) {
				produceInTurn(b, produceTarget, idempotentWay(b, addrs, none), writerWay(b, addrs, 0), callWay(b, addrs, 0))
			})
			b.Run("codec=zstd", func(b *testing.B) {
				produceInTurn(b, produceTarget, idempotentWay(b, addrs, zstd), writerWay(b, addrs, kafkago.Zstd), callWay(b, addrs, kafkago.Zstd))
			})
			b.Run("codec=zstd/peers=none", func(b *testing.B) {
				produceInTurn(b, 0, idempotentWay(b, addrs, zstd), writerWay(b, addrs, 0), callWay(b, addrs, 0))
			})
		})
	}
}

// produceInTurn reports the rate of each way, and the median over the rounds of ours to each peer's. It fails where that is
// below target.
func produceInTurn(b *testing.B, target float64, ours produceWay, peers ...produceWay) {
	ways := append([]produceWay{ours}, peers...)
	records := benchRecords(produceCallers*produceCall, "bench")
	for i := range records {
		records[i].Partition = int32(i / produceCall)
	}
	rates := make([][]float64, len(ways))
	for round := range produceRounds + 1 {
		for i, way := range ways {
			if rate := produceRate(b, way, records); round > 0 { // the first one connects
				rates[i] = append(rates[i], rate)
			}
		}
	}
	for i, way := range ways {
		b.ReportMetric(median(rates[i]), way.name+"-records/s")
		if i == 0 {
			continue
		}
		ratios := make([]float64, produceRounds)
		for round := range ratios {
			ratios[round] = rates[0][round] / rates[i][round]
		}
		b.ReportMetric(median(ratios), "ratio-to-"+way.name)
		if median(ratios) < target {
			b.Errorf("%.2f of the rate of %s, want %.2f: %.2f by rounds", median(ratios), way.name, target, ratios)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// produceRate is how many records a second all callers together write in one turn.
func produceRate(b *testing.B, way produceWay, records []kafka.Record) float64 {
	begun := time.Now()
	var all sync.WaitGroup
	for caller := range produceCallers {
		all.Go(func() {
			own := records[caller*produceCall : (caller+1)*produceCall]
			for range produceTurn {
				if err := way.write(b.Context(), caller, own); err != nil {
					b.Errorf("%s: %v", way.name, err)
				}
			}
		})
	}
	all.Wait()
	return float64(len(records)*produceTurn) / time.Since(begun).Seconds()
}

func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

func idempotentWay(b *testing.B, addrs []string, cfg kafka.ProducerConfig) produceWay {
	p := kafkatest.Producer(b, kafkatest.Dial(b, addrs), cfg)
	return produceWay{"idempotent", func(ctx context.Context, _ int, records []kafka.Record) error {
		return p.Produce(ctx, records)
	}}
}

// toPartition is a balancer that does what the caller wants, as a record with a partition does.
type toPartition struct{}

func (toPartition) Balance(m kafkago.Message, _ ...int) int {
	partition, _ := m.WriterData.(int)
	return partition
}

func writerWay(b *testing.B, addrs []string, codec kafkago.Compression) produceWay {
	w := &kafkago.Writer{
		Addr: kafkago.TCP(addrs...), Transport: libraryTransport(b), Topic: "bench", Balancer: toPartition{}, Compression: codec,
		RequiredAcks: kafkago.RequireAll, BatchSize: produceCall, BatchBytes: kafka.DefaultMaxBatchBytes, BatchTimeout: kafka.DefaultLinger,
	}
	b.Cleanup(func() {
		if err := w.Close(); err != nil {
			b.Error(err)
		}
	})
	return produceWay{"writer", func(ctx context.Context, partition int, records []kafka.Record) error {
		theirs := make([]kafkago.Message, len(records))
		for i, r := range records {
			theirs[i] = kafkago.Message{Time: r.Time, Key: r.Key, Value: r.Value, Headers: libraryHeaders(r), WriterData: partition}
		}
		return w.WriteMessages(ctx, theirs...)
	}}
}

func callWay(b *testing.B, addrs []string, codec kafkago.Compression) produceWay {
	api := &kafkago.Client{Addr: kafkago.TCP(addrs...), Transport: libraryTransport(b)}
	return produceWay{"call", func(ctx context.Context, partition int, records []kafka.Record) error {
		theirs := make([]kafkago.Record, len(records))
		for i, r := range records {
			theirs[i] = kafkago.Record{Time: r.Time, Key: kafkago.NewBytes(r.Key), Value: kafkago.NewBytes(r.Value), Headers: libraryHeaders(r)}
		}
		res, err := api.Produce(ctx, &kafkago.ProduceRequest{Topic: "bench", Partition: partition, RequiredAcks: kafkago.RequireAll,
			Compression: codec, Records: kafkago.NewRecordReader(theirs...)})
		if err != nil {
			return err
		}
		return res.Error
	}}
}

func libraryHeaders(r kafka.Record) []kafkago.Header {
	return []kafkago.Header{kafkago.Header(r.Headers[0])}
}
