package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A second, independent client does what the product never does: transactions and deleting records.

func franz(tb testing.TB, brokers []string, opts ...kgo.Opt) *kgo.Client {
	tb.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...))...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// transaction writes one record to partition 0 and then a commit or abort marker.
func transaction(tb testing.TB, brokers []string, topic, id string, commit bool) {
	tb.Helper()
	c := franz(tb, brokers, kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := c.BeginTransaction(); err != nil {
		tb.Fatal(err)
	}
	if err := c.ProduceSync(tb.Context(), &kgo.Record{Topic: topic, Value: []byte(id)}).FirstErr(); err != nil {
		tb.Fatal(err)
	}
	if err := c.EndTransaction(tb.Context(), kgo.TransactionEndTry(commit)); err != nil {
		tb.Fatal(err)
	}
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
