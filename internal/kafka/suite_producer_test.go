package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// Many callers at once: everything acknowledged is there once, and each caller's records keep their order.
func testProduceConcurrently(t *testing.T, brokers []string) {
	const callers, calls = 32, 20
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "concurrent", 4)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{MaxBatchBytes: 4 << 10}) // several batches wait in a queue
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range calls {
				key := fmt.Appendf(nil, "caller %d", caller)
				records := make([]kafka.Record, 3)
				for j := range records {
					records[j] = kafka.Record{Topic: "concurrent", Partition: -1, Time: time.UnixMilli(1), Key: key, Value: strconv.AppendInt(nil, int64(3*i+j), 10)}
				}
				if err := p.Produce(t.Context(), records); err != nil {
					t.Error(err)
				}
				clear(records) // the caller may reuse them
			}
		})
	}
	wg.Wait()
	if n := p.BufferedBytes(); n != 0 {
		t.Errorf("%d bytes still counted as buffered", n)
	}
	requireInOrder(t, c, "concurrent", 4, callers, 3*calls)
}

// requireInOrder checks that keys many values 0, 1, 2, ... up to values each are in a topic, once and in order.
func requireInOrder(t *testing.T, c *kafka.Client, topic string, partitions int32, keys, values int) {
	t.Helper()
	next := make(map[string]int)
	for partition := range partitions {
		for _, r := range fetchAll(t, c, topic, partition, 0) {
			if want := kafka.PartitionFor(r.Key, partitions); want != partition {
				t.Fatalf("key %s is in partition %d, want %d", r.Key, partition, want)
			}
			if want := strconv.Itoa(next[string(r.Key)]); string(r.Value) != want {
				t.Fatalf("%s/%d offset %d, key %s: value %s, want %s", topic, partition, r.Offset, r.Key, r.Value, want)
			}
			next[string(r.Key)]++
		}
	}
	if len(next) != keys {
		t.Fatalf("%d keys, want %d", len(next), keys)
	}
	for key, n := range next {
		if n != values {
			t.Errorf("%s has %d values, want %d", key, n, values)
		}
	}
}

func testProduceRefuses(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "refuse", 1)
	p := kafka.NewProducer(c, kafka.ProducerConfig{MaxBatchBytes: 2000, MaxBufferedBytes: 3000})
	record := func(size int) []kafka.Record {
		return []kafka.Record{{Topic: "refuse", Partition: -1, Time: time.UnixMilli(1), Value: make([]byte, size)}}
	}
	if err := p.Produce(t.Context(), record(2000)); !errors.Is(err, kafka.ErrRecordTooLarge) {
		t.Errorf("large record: %v", err)
	}
	// Nothing is sent before Run, so the buffer fills.
	acked := make(chan error, 2)
	for i := range 2 {
		if err := p.Enqueue(t.Context(), record(1400), func(err error) { acked <- err }); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
	if err := p.Produce(t.Context(), record(1000)); !errors.Is(err, kafka.ErrBufferFull) {
		t.Errorf("full buffer: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Produce(ctx, record(10)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled caller: %v", err)
	}
	stop := kafkatest.Run(t, p.Run)
	for range 2 {
		if err := <-acked; err != nil {
			t.Errorf("buffered record: %v", err)
		}
	}
	stop()
	if err := p.Produce(t.Context(), record(10)); !errors.Is(err, kafka.ErrProducerClosed) {
		t.Errorf("closed producer: %v", err)
	}
	if got := fetchAll(t, c, "refuse", 0, 0); len(got) != 3 { // the cancelled caller's record was taken
		t.Errorf("%d records in the log, want 3", len(got))
	}
}

// Stopping sends what lingers.
func testProduceDrains(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "drain", 2)
	p := kafka.NewProducer(c, kafka.ProducerConfig{Linger: time.Hour})
	stop := kafkatest.Run(t, p.Run)
	acked := make(chan error, 1)
	records := []kafka.Record{{Topic: "drain", Partition: 0, Time: time.UnixMilli(1)}, {Topic: "drain", Partition: 1, Time: time.UnixMilli(1)}}
	if err := p.Enqueue(t.Context(), records, func(err error) { acked <- err }); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-acked; err != nil {
		t.Fatal(err)
	}
	if n := len(fetchAll(t, c, "drain", 0, 0)) + len(fetchAll(t, c, "drain", 1, 0)); n != 2 {
		t.Fatalf("%d records in the log, want 2", n)
	}
}

// The compression is what another client sees of it, and what is asked.
func testProduceCompression(t *testing.T, brokers []string) {
	const zstd = 4 // in a batch's attributes
	c := kafkatest.Dial(t, brokers)
	for want, cfg := range map[uint8]kafka.ProducerConfig{zstd: {}, 0: {Uncompressed: true}} {
		topic := fmt.Sprintf("codec.%d", want)
		kafkatest.Topic(t, c, topic, 1)
		value := bytes.Repeat([]byte("value "), 1000)
		err := kafkatest.Producer(t, c, cfg).Produce(t.Context(), []kafka.Record{{Topic: topic, Time: time.UnixMilli(1), Value: value}})
		if err != nil {
			t.Fatal(err)
		}
		fetches := franz(t, brokers, kgo.ConsumeTopics(topic)).PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		if r := fetches.Records()[0]; r.Attrs.CompressionType() != want || !bytes.Equal(r.Value, value) {
			t.Errorf("codec %d, want %d; %d bytes", r.Attrs.CompressionType(), want, len(r.Value))
		}
		if got := fetchAll(t, c, topic, 0, 0); len(got) != 1 || !bytes.Equal(got[0].Value, value) {
			t.Errorf("codec %d: %d records, or another value", want, len(got))
		}
	}
}

func testUnknownPartition(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "unknown", 2)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	err := p.Produce(t.Context(), []kafka.Record{{Topic: "unknown", Partition: 2, Time: time.UnixMilli(1)}})
	if !errors.Is(err, kafka.ErrNoPartition) {
		t.Fatalf("partition 2 of 2: %v", err)
	}
}
