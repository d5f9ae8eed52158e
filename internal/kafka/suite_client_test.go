package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

func testEnsureTopics(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	specs := []kafka.TopicSpec{
		{Name: "ensure.a", Partitions: 3, Config: map[string]string{"retention.ms": "3600000", "cleanup.policy": "delete"}},
		{Name: "ensure.b", Partitions: 16},
	}
	created, err := c.EnsureTopics(t.Context(), specs)
	if err != nil || !slices.Equal(created, []string{"ensure.a", "ensure.b"}) {
		t.Fatalf("created %v, %v", created, err)
	}
	// Another client has not seen them yet.
	created, err = kafkatest.Dial(t, brokers).EnsureTopics(t.Context(), specs)
	if err != nil || created != nil {
		t.Fatalf("second time: created %v, %v", created, err)
	}
	specs[0].Partitions = 4
	var count *kafka.PartitionCountError
	if _, err = c.EnsureTopics(t.Context(), specs); !errors.As(err, &count) || count.Have != 3 || count.Want != 4 {
		t.Fatalf("another count: %v", err)
	}
	for _, part := range []string{"has 3 partitions", "with 4", "`millrace topics adopt ensure.a`"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
	if _, err = c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "ensure.c", Partitions: 0}}); err == nil {
		t.Fatal("no partitions at all were accepted")
	}

	api := &kafkago.Client{Addr: kafkago.TCP(brokers...), Transport: libraryTransport(t)}
	res, err := api.DescribeConfigs(t.Context(), &kafkago.DescribeConfigsRequest{Resources: []kafkago.DescribeConfigRequestResource{
		{ResourceType: kafkago.ResourceTypeTopic, ResourceName: "ensure.a", ConfigNames: []string{"retention.ms"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Resources[0].ConfigEntries[0].ConfigValue; got != "3600000" {
		t.Errorf("retention.ms is %q", got)
	}
}

func testOffsets(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "offsets", 3)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	for partition, n := range []int{0, 5, 2} {
		produce(t, p, "offsets", int32(partition), n)
	}
	got, err := c.Offsets(t.Context(), "offsets")
	want := map[int32]kafka.OffsetRange{0: {}, 1: {End: 5}, 2: {End: 2}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("offsets %v, %v, want %v", got, err, want)
	}
	lag, err := c.LagRecords(t.Context(), "nobody", "offsets")
	if err != nil || !reflect.DeepEqual(lag, map[int32]int64{0: 0, 1: 5, 2: 2}) {
		t.Fatalf("lag without commits %v, %v", lag, err)
	}
}

// The first record of a time or later is found, and behind the last the end.
func testOffsetAt(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "offset-at", 2)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	for range 2 { // at 0 to 4 ms, and again: in two batches
		produce(t, p, "offset-at", 1, 5)
	}
	for _, want := range []struct {
		partition    int32
		millis, next int64
	}{{1, 0, 0}, {1, 3, 3}, {1, 4, 4}, {1, 5, 10}, {1, 1e12, 10}, {0, 3, 0}} {
		got, err := c.OffsetAt(t.Context(), "offset-at", want.partition, time.UnixMilli(want.millis))
		if err != nil || got != want.next {
			t.Errorf("partition %d at %d ms: offset %d, %v, want %d", want.partition, want.millis, got, err, want.next)
		}
	}
}

// Fetch waits for the first record and delivers it at once.
func testLongPoll(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "long-poll", 1)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	empty, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: "long-poll", MaxWait: time.Millisecond})
	if err != nil || len(empty.Records) != 0 || empty.Next != 0 || empty.End != 0 {
		t.Fatalf("empty partition: %+v, %v", empty, err)
	}
	const patience = 30 * time.Second // the test's limit shows a Fetch that sits it out
	ctx, cancel := context.WithTimeout(t.Context(), patience/2)
	defer cancel()
	got := make(chan kafka.FetchResult, 1)
	go func() {
		res, err := c.Fetch(ctx, kafka.FetchRequest{Topic: "long-poll", MaxWait: patience})
		if err != nil {
			t.Error(err)
		}
		got <- res
	}()
	produce(t, p, "long-poll", 0, 1)
	if res := <-got; len(res.Records) != 1 || res.Next != 1 {
		t.Fatalf("got %+v", res)
	}
	cancelled, stop := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := c.Fetch(cancelled, kafka.FetchRequest{Topic: "long-poll", Offset: 1, MaxWait: patience})
		failed <- err
	}()
	stop()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled fetch: %v", err)
	}
}

func testOutOfRange(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "range", 1)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	produce(t, p, "range", 0, 10)

	var above *kafka.ErrAboveEnd
	_, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: "range", Offset: 11})
	if !errors.As(err, &above) || above.End != 10 || above.Offset != 11 {
		t.Fatalf("above the end: %v", err)
	}
	_, err = c.Fetch(t.Context(), kafka.FetchRequest{Topic: "range", Offset: math.MaxInt64})
	if !errors.As(err, &above) {
		t.Fatalf("far above the end: %v", err)
	}
	deleteRecords(t, brokers, "range", 4)
	var below *kafka.ErrBelowStart
	_, err = c.Fetch(t.Context(), kafka.FetchRequest{Topic: "range", Offset: 3})
	if !errors.As(err, &below) || below.Start != 4 || below.End != 10 {
		t.Fatalf("below the start: %v", err)
	}
	res, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: "range", Offset: 4})
	if err != nil || res.Start != 4 || res.End != 10 || len(res.Records) != 6 || res.Records[0].Offset != 4 {
		t.Fatalf("inside a batch: %+v, %v", res, err)
	}
	if _, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: "range", Offset: -1}); !errors.As(err, &below) {
		t.Fatalf("negative offset: %v", err)
	}
}

func testClosedClient(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "closed", 1)
	c.Close()
	if _, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: "closed"}); !errors.Is(err, kafka.ErrClientClosed) {
		t.Errorf("fetch: %v", err)
	}
	if _, err := c.Offsets(t.Context(), "closed"); !errors.Is(err, kafka.ErrClientClosed) {
		t.Errorf("offsets: %v", err)
	}
}

// A value larger than MaxBytes still comes, and MaxBytes bounds the rest.
func testFetchBounds(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "bounds", 1)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{Linger: -1})
	big := kafka.Record{Topic: "bounds", Time: time.UnixMilli(1), Value: make([]byte, 200_000)}
	rand.NewChaCha8([32]byte{}).Read(big.Value) // does not compress
	for range 3 {
		if err := p.Produce(t.Context(), []kafka.Record{big}); err != nil {
			t.Fatal(err)
		}
	}
	for at := int64(0); at < 3; at++ {
		res, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: "bounds", Offset: at, MaxBytes: 1000})
		if err != nil || len(res.Records) != 1 || len(res.Records[0].Value) != len(big.Value) {
			t.Fatalf("at %d: %d records, %v", at, len(res.Records), err)
		}
	}
}

// The library's reader is the oracle: same keys, values, headers and offsets.
func testAgainstLibrary(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "oracle", 1)
	w := &kafkago.Writer{Addr: kafkago.TCP(brokers...), Transport: libraryTransport(t), Topic: "oracle", BatchTimeout: time.Millisecond, RequiredAcks: kafkago.RequireAll}
	for _, compression := range []kafkago.Compression{0, kafkago.Gzip, kafkago.Snappy, kafkago.Lz4, kafkago.Zstd} {
		w.Compression = compression
		var messages []kafkago.Message
		for i := range 20 {
			messages = append(messages, kafkago.Message{
				Key: fmt.Appendf(nil, "%v-%d", compression, i), Value: fmt.Appendf(nil, "value %d", i), Time: time.UnixMilli(1_700_000_000_000 + int64(i)),
				Headers: []kafkago.Header{{Key: "n", Value: []byte{byte(i)}}},
			})
		}
		if err := w.WriteMessages(t.Context(), messages...); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	own := fetchAll(t, c, "oracle", 0, 0)
	if len(own) < 100 { // the library writes again what it has no answer for, and then it is there twice
		t.Fatalf("%d records, want 100", len(own))
	}
	for left := own; len(left) > 0; {
		left = readsLike(t, brokers[0], left)
	}
}

// readsLike reads on with the library from the first of some records, compares, and returns those that it did not come to: a
// connection on which it met a fault is of no more use to it.
func readsLike(t *testing.T, address string, own []kafka.Record) (left []kafka.Record) {
	t.Helper()
	conn, err := kafkago.DialLeader(t.Context(), "tcp", address, own[0].Topic, int(own[0].Partition))
	if kafka.Transient(err) {
		return own
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Seek(own[0].Offset, kafkago.SeekAbsolute); err != nil && !kafka.Transient(err) {
		t.Fatal(err)
	}
	batch := conn.ReadBatch(1, 1<<20)
	for len(own) > 0 {
		m, err := batch.ReadMessage()
		if err != nil {
			break
		}
		theirs := kafka.Record{Topic: m.Topic, Partition: int32(m.Partition), Offset: m.Offset, Time: m.Time.UTC(), Key: m.Key, Value: m.Value}
		for _, h := range m.Headers {
			theirs.Headers = append(theirs.Headers, kafka.Header(h))
		}
		requireSame(t, own[0], theirs)
		own = own[1:]
	}
	if err := batch.Close(); err != nil && !kafka.Transient(err) && !errors.Is(err, io.ErrNoProgress) { // its word for no answer
		t.Fatal(err)
	}
	return own
}

func produce(tb testing.TB, p *kafka.Producer, topic string, partition int32, n int) {
	tb.Helper()
	records := make([]kafka.Record, n)
	for i := range records {
		records[i] = kafka.Record{Topic: topic, Partition: partition, Time: time.UnixMilli(int64(i)), Value: fmt.Appendf(nil, "%d", i)}
	}
	if err := p.Produce(tb.Context(), records); err != nil {
		tb.Fatal(err)
	}
}

// libraryTransport is the library's own, without the process-wide cache of metadata.
func libraryTransport(tb testing.TB) *kafkago.Transport {
	transport := &kafkago.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	return transport
}
