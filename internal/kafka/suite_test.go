package kafka_test

import (
	"fmt"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// suite is what the product expects of any cluster; it runs on the embedded broker and on Apache Kafka.
var suite = []struct {
	name string
	test func(t *testing.T, brokers []string)
}{
	{"round trip", testRoundTrip},
	{"ensure topics", testEnsureTopics},
	{"grow topic", testGrowTopic},
	{"offsets", testOffsets},
	{"offset at a time", testOffsetAt},
	{"delete records", testDeleteRecords},
	{"long poll", testLongPoll},
	{"out of range", testOutOfRange},
	{"closed client", testClosedClient},
	{"fetch bounds", testFetchBounds},
	{"control records", testControlRecords},
	{"read committed", testReadCommitted},
	{"open transaction", testOpenTransaction},
	{"release", testRelease},
	{"budget", testBudget},
	{"against the library", testAgainstLibrary},
	{"produce concurrently", testProduceConcurrently},
	{"produce refuses", testProduceRefuses},
	{"produce drains", testProduceDrains},
	{"produce compression", testProduceCompression},
	{"unknown partition", testUnknownPartition},
	{"group rebalance", testGroupRebalance},
	{"group sticky", testGroupSticky},
	{"group handler error", testGroupHandlerError},
}

func runSuite(t *testing.T, brokers []string) {
	for _, s := range suite {
		t.Run(s.name, func(t *testing.T) { s.test(t, brokers) })
	}
}

func TestEmbedded(t *testing.T) { runSuite(t, []string{kafkatest.Broker(t).Addr()}) }

// TestFaulty is the suite on a cluster where a part of everything fails for now, answers get lost and leaders move.
func TestFaulty(t *testing.T) {
	b := kafkatest.Broker(t)
	for _, f := range []broker.Fault{
		{API: "Produce", Code: int16(kafkago.NotLeaderForPartition), Every: 5},
		{API: "Produce", Code: int16(kafkago.RequestTimedOut), Every: 7},
		{API: "Fetch", Code: int16(kafkago.NotLeaderForPartition), Every: 4},
		{API: "ListOffsets", Code: int16(kafkago.LeaderNotAvailable), Every: 3},
		{API: "CreateTopics", Code: int16(kafkago.NotController), Every: 3},
		{API: "InitProducerID", Code: int16(kafkago.GroupLoadInProgress), Every: 3},
		{API: "DeleteRecords", Code: int16(kafkago.NotLeaderForPartition), Every: 2},
		{API: "DeleteRecords", Code: int16(kafkago.RequestTimedOut), Every: 3},
		{API: "OffsetFetch", Code: int16(kafkago.NotCoordinatorForGroup), Every: 2},
	} {
		f.Count = -1
		inject(t, b, f)
	}
	runSuite(t, []string{b.Addr()})
}

func TestReal(t *testing.T) {
	brokers := kafkatest.Real(t)
	runSuite(t, brokers)
	t.Run("delete compacted", func(t *testing.T) { testDeleteCompacted(t, brokers) }) // the embedded broker compacts nothing
}

func testRoundTrip(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "round-trip", 4)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	want := make(map[int32][]kafka.Record)
	var records []kafka.Record
	for i := range 1000 {
		key := fmt.Appendf(nil, "key-%d", i%37)
		r := kafka.Record{
			Topic: "round-trip", Partition: -1, Time: time.UnixMilli(1_700_000_000_000 + int64(i)).UTC(), Key: key,
			Value: fmt.Appendf(nil, "value-%d", i), Headers: []kafka.Header{{Key: "millrace-schema", Value: []byte("event/1")}},
		}
		records = append(records, r)
		r.Partition = kafka.PartitionFor(key, 4)
		r.Offset = int64(len(want[r.Partition]))
		want[r.Partition] = append(want[r.Partition], r)
	}
	if err := p.Produce(t.Context(), records); err != nil {
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
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		tb.Fatalf("record\n got %s\nwant %s", g, w)
	}
}
