package kafka_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	kafkago "github.com/segmentio/kafka-go"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// inject makes an API fail and requires at the end that it did.
func inject(t *testing.T, b *broker.Broker, f broker.Fault) {
	t.Helper()
	remove, err := b.Inject(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if remove() == 0 {
			t.Errorf("fault %+v never hit", f)
		}
	})
}

// hold lets the next request of an API wait until release is called; held is closed when it has come.
func hold(t *testing.T, b *broker.Broker, api string) (held <-chan struct{}, release func()) {
	t.Helper()
	held, release, err := b.Hold(api)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return held, release
}

// A topic grows when the leader of a group has shared its partitions and nobody has them yet. The new ones must be shared,
// too: a watch that begins later finds nothing changed.
func TestGroupSeesPartitionsThatCameWhileItJoined(t *testing.T) {
	b := kafkatest.Broker(t)
	c := kafkatest.Client(t, b)
	kafkatest.Topic(t, c, "growing", 2)
	synced, release := hold(t, b, "SyncGroup")
	given := make(chan int32)
	kafkatest.Run(t, func(ctx context.Context) error {
		return group(c, "g", "growing").Run(ctx, func(ctx context.Context, _ string, p int32, _ func(int64)) error {
			select {
			case given <- p:
			case <-ctx.Done():
			}
			<-ctx.Done()
			return nil
		})
	})
	<-synced
	if err := c.GrowTopic(t.Context(), "growing", 3); err != nil {
		t.Fatal(err)
	}
	release()
	for deadline := time.After(time.Minute); ; {
		select {
		case p := <-given:
			if p == 2 {
				return
			}
		case <-deadline:
			t.Fatal("nobody was given the new partition")
		}
	}
}

// A batch that a broker refuses for now is sent again, without a gap or a change of order behind it.
func TestProduceRetriesInOrder(t *testing.T) {
	for _, code := range []kafkago.Error{kafkago.NotLeaderForPartition, kafkago.NotEnoughReplicas, kafkago.KafkaStorageError, kafkago.LeaderNotAvailable} {
		t.Run(code.Title(), func(t *testing.T) {
			b := kafkatest.Broker(t)
			c := kafkatest.Client(t, b)
			kafkatest.Topic(t, c, "t", 2)
			inject(t, b, broker.Fault{API: "Produce", Code: int16(code), Count: 3})
			produceNumbered(t, c, 2)
		})
	}
}

// The broker stored the batch and the answer got lost: sent again, it is not stored twice.
func TestProduceLostAnswerStoresOnce(t *testing.T) {
	for _, code := range []kafkago.Error{kafkago.RequestTimedOut, kafkago.NotEnoughReplicasAfterAppend} {
		t.Run(code.Title(), func(t *testing.T) {
			b := kafkatest.Broker(t)
			c := kafkatest.Client(t, b)
			kafkatest.Topic(t, c, "t", 2)
			inject(t, b, broker.Fault{API: "Produce", Code: int16(code), Count: 5})
			produceNumbered(t, c, 2)
		})
	}
}

// A broker that lost the producer's state gets the batch under a new identity.
func TestProduceForgotten(t *testing.T) {
	for _, code := range []kafkago.Error{kafkago.UnknownProducerId, kafkago.OutOfOrderSequenceNumber, kafkago.InvalidProducerEpoch} {
		t.Run(code.Title(), func(t *testing.T) {
			b := kafkatest.Broker(t)
			c := kafkatest.Client(t, b)
			kafkatest.Topic(t, c, "t", 2)
			inject(t, b, broker.Fault{API: "Produce", Code: int16(code), Count: 2})
			produceNumbered(t, c, 2)
		})
	}
}

// produceNumbered writes numbered values of one key in many calls at once in flight, and checks them.
func produceNumbered(t *testing.T, c *kafka.Client, partitions int32) {
	t.Helper()
	const values = 100
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{Linger: -1, MaxBatchBytes: 400})
	acked := make(chan error, values)
	for i := range values {
		r := kafka.Record{Topic: "t", Partition: -1, Time: time.UnixMilli(1), Key: []byte("k"), Value: strconv.AppendInt(nil, int64(i), 10)}
		if err := p.Enqueue(t.Context(), []kafka.Record{r}, func(err error) { acked <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range values {
		if err := <-acked; err != nil {
			t.Fatal(err)
		}
	}
	requireInOrder(t, c, "t", partitions, 1, values)
}

// A lasting refusal reaches exactly the callers of that batch, and the partition goes on afterwards.
func TestProduceRefusedForGood(t *testing.T) {
	b := kafkatest.Broker(t)
	c := kafkatest.Client(t, b)
	kafkatest.Topic(t, c, "t", 2)
	registry := prometheus.NewPedanticRegistry()
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	if err := registry.Register(p); err != nil {
		t.Fatal(err)
	}
	inject(t, b, broker.Fault{API: "Produce", Topic: "t", Partitions: []int32{1}, Code: int16(kafkago.TopicAuthorizationFailed), Count: 1})
	record := func(partition int32) []kafka.Record {
		return []kafka.Record{{Topic: "t", Partition: partition, Time: time.UnixMilli(1)}}
	}
	if err := p.Produce(t.Context(), record(1)); !errors.Is(err, kafkago.TopicAuthorizationFailed) {
		t.Errorf("refused partition: %v", err)
	}
	for partition := range int32(2) {
		if err := p.Produce(t.Context(), record(partition)); err != nil {
			t.Errorf("partition %d: %v", partition, err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		m := f.GetMetric()[0]
		got[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	for name, want := range map[string]float64{
		"millrace_kafka_produced_records_total":       2,
		"millrace_kafka_produce_failed_records_total": 1,
		"millrace_kafka_produce_seconds":              2,
		"millrace_kafka_produce_buffered_bytes":       0,
	} {
		if have, ok := got[name]; !ok || have != want {
			t.Errorf("%s is %v, want %v", name, have, want)
		}
	}
}

func TestFetchRetries(t *testing.T) {
	b := kafkatest.Broker(t)
	c := kafkatest.Client(t, b)
	kafkatest.Topic(t, c, "t", 1)
	produce(t, kafkatest.Producer(t, c, kafka.ProducerConfig{}), "t", 0, 3)
	inject(t, b, broker.Fault{API: "Fetch", Topic: "t", Code: int16(kafkago.NotLeaderForPartition), Count: 3})
	if got := fetchAll(t, c, "t", 0, 0); len(got) != 3 {
		t.Fatalf("%d records, want 3", len(got))
	}
	inject(t, b, broker.Fault{API: "Fetch", Topic: "t", Code: int16(kafkago.TopicAuthorizationFailed), Count: 1})
	if _, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: "t"}); !errors.Is(err, kafkago.TopicAuthorizationFailed) {
		t.Fatalf("refused fetch: %v", err)
	}
}

// The library tells a connection that broke as an unknown error of the broker, which is none of the question.
func TestOffsetsRetry(t *testing.T) {
	b := kafkatest.Broker(t)
	c := kafkatest.Client(t, b)
	kafkatest.Topic(t, c, "t", 1)
	produce(t, kafkatest.Producer(t, c, kafka.ProducerConfig{}), "t", 0, 3)
	inject(t, b, broker.Fault{API: "ListOffsets", Topic: "t", Code: int16(kafkago.Unknown), Count: 2})
	if ranges, err := c.Offsets(t.Context(), "t"); err != nil || ranges[0] != (kafka.OffsetRange{Start: 0, End: 3}) {
		t.Errorf("the partition goes %+v, %v", ranges, err)
	}
	inject(t, b, broker.Fault{API: "ListOffsets", Topic: "t", Code: int16(kafkago.Unknown), Count: 2})
	if at, err := c.OffsetAt(t.Context(), "t", 0, time.UnixMilli(0)); err != nil || at != 0 {
		t.Errorf("the first record is at %d, %v", at, err)
	}
}

// The group comes back after its coordinator was away, and gives up at once where it is not allowed.
func TestGroupJoinErrors(t *testing.T) {
	b := kafkatest.Broker(t)
	c := kafkatest.Client(t, b)
	kafkatest.Topic(t, c, "t", 1)
	inject(t, b, broker.Fault{API: "JoinGroup", Code: int16(kafkago.NotCoordinatorForGroup), Count: 1})
	o := newOwners(t)
	stop := kafkatest.Run(t, func(ctx context.Context) error { return group(c, "g", "t").Run(ctx, o.handler("a")) })
	o.await(map[string]int{"a": 1})
	stop()

	inject(t, b, broker.Fault{API: "JoinGroup", Code: int16(kafkago.GroupAuthorizationFailed), Count: 1})
	if err := group(c, "g", "t").Run(t.Context(), o.handler("a")); !errors.Is(err, kafkago.GroupAuthorizationFailed) {
		t.Fatalf("forbidden group: %v", err)
	}
}

// A member that loses its place (a long pause, a broker restart) joins again.
func TestGroupRejoins(t *testing.T) {
	b := kafkatest.Broker(t)
	c := kafkatest.Client(t, b)
	kafkatest.Topic(t, c, "t", 2)
	o := newOwners(t)
	kafkatest.Run(t, func(ctx context.Context) error { return group(c, "g", "t").Run(ctx, o.handler("a")) })
	o.await(map[string]int{"a": 2})
	inject(t, b, broker.Fault{API: "Heartbeat", Code: int16(kafkago.UnknownMemberId), Count: 1})
	o.awaitHandled("a", 4)
	o.await(map[string]int{"a": 2})
}

// The broker restarts on the same port while a producer and a reader run.
func TestBrokerRestart(t *testing.T) {
	dir := t.TempDir()
	first, err := broker.Start(broker.Config{DataDir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	addr := first.Addr()
	c := kafkatest.Dial(t, []string{addr})
	kafkatest.Topic(t, c, "t", 1)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	produce(t, p, "t", 0, 3)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	acked := make(chan error, 1)
	r := kafka.Record{Topic: "t", Time: time.UnixMilli(1), Value: []byte("while it is away")}
	if err := p.Enqueue(t.Context(), []kafka.Record{r}, func(err error) { acked <- err }); err != nil {
		t.Fatal(err)
	}
	second, err := broker.Start(broker.Config{DataDir: dir, Listen: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Close() })
	if err := <-acked; err != nil {
		t.Fatal(err)
	}
	if got := fetchAll(t, c, "t", 0, 0); len(got) != 4 || string(got[3].Value) != string(r.Value) {
		t.Fatalf("%d records after the restart, want 4", len(got))
	}
}
