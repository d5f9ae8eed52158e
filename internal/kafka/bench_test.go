package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// benchRecords have the size of usual events, and their share of what does not compress.
func benchRecords(n int, topic string) []kafka.Record {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	records := make([]kafka.Record, n)
	for i := range records {
		browser := fmt.Sprintf("%016x", rng.Uint64())
		records[i] = kafka.Record{
			Topic: topic, Partition: -1, Time: time.UnixMilli(1_700_000_000_000 + int64(i)),
			Key: []byte("default:a:" + browser),
			Value: fmt.Appendf(nil, `{"event_id":"01890a5d-ac96-774b-%04x-%012x","site":"default","type":"view_item","occurred_at":"2026-01-02T03:04:05.%03dZ",`+
				`"received_at":"2026-01-02T03:04:05.%03dZ","anonymous_id":"%s","items":[{"item_id":"sku-%d"}]}`,
				rng.IntN(1<<16), rng.Uint64()>>16, rng.IntN(1000), rng.IntN(1000), browser, rng.IntN(100_000)),
			Headers: []kafka.Header{{Key: "millrace-schema", Value: []byte("event/1")}},
		}
	}
	return records
}

// BenchmarkProduce: many callers with one record each, as the collector has, against calls of 1,000 records, as an
// import has. The broker syncs.
func BenchmarkProduce(b *testing.B) {
	for _, bc := range []struct{ callers, records int }{{256, 1}, {4, 1000}} {
		b.Run(fmt.Sprintf("callers=%d/records=%d", bc.callers, bc.records), func(b *testing.B) {
			c := kafkatest.Client(b, kafkatest.Broker(b))
			kafkatest.Topic(b, c, "bench", 16)
			p := kafkatest.Producer(b, c, kafka.ProducerConfig{})
			records := benchRecords(10_000, "bench")
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range bc.callers {
				wg.Go(func() {
					for {
						i := int(next.Add(int64(bc.records))) - bc.records
						if i >= b.N {
							return
						}
						at := i % (len(records) - bc.records + 1)
						if err := p.Produce(b.Context(), records[at:at+bc.records]); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkFetch reads one partition from start to end, over and over: our Fetch against the library's Conn.
func BenchmarkFetch(b *testing.B) {
	const stored = 200_000
	broker := kafkatest.Broker(b)
	c := kafkatest.Client(b, broker)
	kafkatest.Topic(b, c, "bench", 1)
	p := kafkatest.Producer(b, c, kafka.ProducerConfig{})
	records := benchRecords(1000, "bench")
	for range stored / len(records) {
		if err := p.Produce(b.Context(), records); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("client=own", func(b *testing.B) {
		b.ReportAllocs()
		for n, at := 0, int64(0); n < b.N; {
			res, err := c.Fetch(b.Context(), kafka.FetchRequest{Topic: "bench", Offset: at})
			if err != nil {
				b.Fatal(err)
			}
			n += len(res.Records)
			if at = res.Next; at == stored {
				at = 0
			}
			res.Release()
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
	b.Run("client=library", func(b *testing.B) {
		b.ReportAllocs()
		conn, err := kafkago.DialLeader(b.Context(), "tcp", broker.Addr(), "bench", 0)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		for n := 0; n < b.N; {
			if at, _ := conn.Offset(); at == stored {
				if _, err := conn.Seek(0, kafkago.SeekStart); err != nil {
					b.Fatal(err)
				}
			}
			batch := conn.ReadBatch(1, kafka.DefaultMaxBytes)
			for {
				if _, err := batch.ReadMessage(); err != nil {
					if !errors.Is(err, io.EOF) {
						b.Fatal(err)
					}
					break
				}
				n++
			}
			if err := batch.Close(); err != nil && !errors.Is(err, io.EOF) {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
}

// BenchmarkLatency offers 1,000 records a second, one a call, to 16 partitions and measures from Produce to its
// acknowledgement and to the record's arrival at a long-polling reader. Run it with a fixed count: -benchtime=5000x.
func BenchmarkLatency(b *testing.B) {
	const interval = time.Millisecond
	const partitions = 16
	c := kafkatest.Client(b, kafkatest.Broker(b))
	kafkatest.Topic(b, c, "bench", partitions)
	p := kafkatest.Producer(b, c, kafka.ProducerConfig{})
	records := benchRecords(b.N, "bench")
	acked, arrived := make([]time.Duration, b.N), make([]time.Duration, b.N)
	start := make([]time.Time, b.N)
	for i := range records {
		records[i].Time = time.UnixMilli(int64(i)) // says which one arrived
	}
	var got atomic.Int64
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var readers, writers sync.WaitGroup
	for partition := range int32(partitions) {
		readers.Go(func() {
			for at := int64(0); ; {
				res, err := c.Fetch(ctx, kafka.FetchRequest{Topic: "bench", Partition: partition, Offset: at})
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					b.Error(err)
					return
				}
				now := time.Now()
				for _, r := range res.Records {
					i := r.Time.UnixMilli()
					arrived[i] = now.Sub(start[i])
				}
				at = res.Next
				if got.Add(int64(len(res.Records))) == int64(b.N) {
					cancel()
				}
			}
		})
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	b.ResetTimer()
	for i := range records {
		<-tick.C
		start[i] = time.Now()
		writers.Go(func() {
			if err := p.Produce(b.Context(), records[i:i+1]); err != nil {
				b.Error(err)
			}
			acked[i] = time.Since(start[i])
		})
	}
	writers.Wait()
	readers.Wait()
	b.StopTimer()
	for name, d := range map[string][]time.Duration{"ack": acked, "delivery": arrived} {
		slices.Sort(d)
		b.ReportMetric(float64(d[len(d)/2].Microseconds()), name+"-p50-us")
		b.ReportMetric(float64(d[len(d)*99/100].Microseconds()), name+"-p99-us")
		b.ReportMetric(float64(d[len(d)-1].Microseconds()), name+"-max-us")
	}
}
