package kafka_test

import (
	"errors"
	"testing"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// testDeleteRecords deletes from the front of one partition: the rest, the other partitions and the numbering stay.
func testDeleteRecords(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "deleted", 2)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	produce(t, p, "deleted", 0, 10)
	produce(t, p, "deleted", 1, 10)
	for _, step := range []struct{ before, start int64 }{{7, 7}, {7, 7}, {3, 7}, {8, 8}} {
		if start, err := c.DeleteRecords(t.Context(), "deleted", 0, step.before); err != nil || start != step.start {
			t.Fatalf("deleting before %d: the log starts at %d (%v), want %d", step.before, start, err, step.start)
		}
	}
	ranges, err := c.Offsets(t.Context(), "deleted")
	if err != nil || ranges[0] != (kafka.OffsetRange{Start: 8, End: 10}) || ranges[1] != (kafka.OffsetRange{Start: 0, End: 10}) {
		t.Fatalf("offsets %v, %v", ranges, err)
	}
	var below *kafka.ErrBelowStart
	if _, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: "deleted", Partition: 0, Offset: 7}); !errors.As(err, &below) || below.Start != 8 {
		t.Errorf("a deleted record was asked for: %v", err)
	}
	res, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: "deleted", Partition: 0, Offset: 8})
	if err != nil || len(res.Records) == 0 || res.Records[0].Offset != 8 {
		t.Errorf("the record after the deleted ones: %v, %v", res.Records, err)
	}
	var above *kafka.ErrAboveEnd
	if _, err := c.DeleteRecords(t.Context(), "deleted", 0, 11); !errors.As(err, &above) || above.End != 10 {
		t.Errorf("deleting past the end: %v", err)
	}
	produce(t, p, "deleted", 0, 1)
	if ranges, err := c.Offsets(t.Context(), "deleted"); err != nil || ranges[0].End != 11 {
		t.Errorf("offsets %v (%v) after one more record", ranges, err)
	}
}

// testDeleteCompacted: a topic that is compacted only keeps its front, and says why.
func testDeleteCompacted(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	_, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "compacted", Partitions: 1, Config: map[string]string{"cleanup.policy": "compact"}}})
	if err != nil {
		t.Fatal(err)
	}
	produceKeyed(t, kafkatest.Producer(t, c, kafka.ProducerConfig{}), "compacted")
	if _, err := c.DeleteRecords(t.Context(), "compacted", 0, 1); !errors.Is(err, kafka.ErrCompacted) {
		t.Errorf("deleting from a compacted topic gave %v", err)
	}
}

func produceKeyed(t *testing.T, p *kafka.Producer, topic string) {
	t.Helper()
	for range 2 {
		if err := p.Produce(t.Context(), []kafka.Record{{Topic: topic, Key: []byte("key"), Value: []byte("value")}}); err != nil {
			t.Fatal(err)
		}
	}
}
