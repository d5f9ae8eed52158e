package kafka_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// suite is what the product expects of any cluster; it runs on the embedded broker and on Apache Kafka.
func suite(t *testing.T, brokers []string) {
	t.Run("round trip", func(t *testing.T) { testRoundTrip(t, brokers) })
	t.Run("group rebalance", func(t *testing.T) { testGroupRebalance(t, brokers) })
	t.Run("group handler error", func(t *testing.T) { testGroupHandlerError(t, brokers) })
}

func TestEmbedded(t *testing.T) {
	suite(t, []string{kafkatest.Broker(t).Addr()})
}

func testRoundTrip(t *testing.T, brokers []string) {
	ctx := t.Context()
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "round-trip", 4)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	want := make(map[int32][]kafka.Record)
	var records []kafka.Record
	for i := range 1000 {
		key := []byte(fmt.Sprintf("key-%d", i%37))
		r := kafka.Record{
			Topic: "round-trip", Partition: -1, Time: time.UnixMilli(1_700_000_000_000 + int64(i)).UTC(), Key: key,
			Value: []byte(fmt.Sprintf("value-%d", i)), Headers: []kafka.Header{{Key: "millrace-schema", Value: []byte("event/1")}},
		}
		records = append(records, r)
		r.Partition = kafka.PartitionFor(key, 4)
		r.Offset = int64(len(want[r.Partition]))
		want[r.Partition] = append(want[r.Partition], r)
	}
	if err := p.Produce(ctx, records); err != nil {
		t.Fatal(err)
	}
	for partition, records := range want {
		got := fetchAll(t, c, "round-trip", partition, 0)
		if len(got) != len(records) {
			t.Fatalf("partition %d: %d records, want %d", partition, len(got), len(records))
		}
		for i := range got {
			requireSame(t, got[i], records[i])
		}
	}
}

// fetchAll reads a partition from an offset to its end.
func fetchAll(tb testing.TB, c *kafka.Client, topic string, partition int32, from int64) (all []kafka.Record) {
	tb.Helper()
	for {
		res, err := c.Fetch(tb.Context(), kafka.FetchRequest{Topic: topic, Partition: partition, Offset: from, MaxWait: 10 * time.Millisecond})
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, res.Records...)
		from = res.Next
		if from >= res.End {
			return all
		}
	}
}

func requireSame(tb testing.TB, got, want kafka.Record) {
	tb.Helper()
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		tb.Fatalf("record\n got %+v\nwant %+v", got, want)
	}
}

func TestReal(t *testing.T) {
	suite(t, kafkatest.Real(t))
}
