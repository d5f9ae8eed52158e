package kafka_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A second, independent client does what the product never does: transactions and deleting records.

func franz(tb testing.TB, brokers []string, opts ...kgo.Opt) *kgo.Client {
	tb.Helper()
	// Where a part of everything fails it would wait seconds for each, by default.
	again := kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond })
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...), again, kgo.MetadataMinAge(10*time.Millisecond))...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// transactional is a client that writes to partition 0 in transactions.
func transactional(tb testing.TB, brokers []string, id string) *kgo.Client {
	tb.Helper()
	return franz(tb, brokers, kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

func begin(tb testing.TB, c *kgo.Client) {
	tb.Helper()
	if err := c.BeginTransaction(); err != nil {
		tb.Fatal(err)
	}
}

func write(tb testing.TB, c *kgo.Client, topic, value string) {
	tb.Helper()
	if err := c.ProduceSync(tb.Context(), &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		tb.Fatal(err)
	}
}

// end writes a commit or abort marker.
func end(tb testing.TB, c *kgo.Client, commit bool) {
	tb.Helper()
	if err := c.EndTransaction(tb.Context(), kgo.TransactionEndTry(commit)); err != nil {
		tb.Fatal(err)
	}
}

// committed is what the other client reads of partition 0 below an offset.
func committed(tb testing.TB, brokers []string, topic string, below int64) (values []string) {
	tb.Helper()
	c := franz(tb, brokers, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumePartitions(
		map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	for at := int64(0); at < below; {
		fetches := c.PollFetches(tb.Context())
		if err := fetches.Err(); err != nil {
			tb.Fatal(err)
		}
		for r := range fetches.RecordsAll() {
			at = r.Offset + 1
			if !r.Attrs.IsControl() {
				values = append(values, string(r.Value))
			}
		}
	}
	return values
}

// deleteRecords moves the start of partition 0, as retention does.
func deleteRecords(tb testing.TB, brokers []string, topic string, start int64) {
	tb.Helper()
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Offset = start
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.DeleteRecordsRequestTopicPartition{p}
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Topics, req.TimeoutMillis = []kmsg.DeleteRecordsRequestTopic{t}, 5000
	res, err := req.RequestWith(tb.Context(), franz(tb, brokers))
	if err == nil {
		err = kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		tb.Fatal(err)
	}
}
