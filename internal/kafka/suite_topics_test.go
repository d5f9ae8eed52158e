package kafka_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// A grown topic keeps its records and takes new ones in every partition, at once, also from a producer that knew it before.
func testGrowTopic(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "grow", 2)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	produce(t, p, "grow", 1, 3)
	if err := c.GrowTopic(t.Context(), "grow", 5); err != nil {
		t.Fatal(err)
	}
	if err := kafkatest.Dial(t, brokers).GrowTopic(t.Context(), "grow", 5); err != nil {
		t.Fatalf("a second time, as after a crash: %v", err)
	}
	for partition := range int32(5) {
		produce(t, p, "grow", partition, 1)
	}
	ranges, err := c.Offsets(t.Context(), "grow")
	if err != nil || len(ranges) != 5 || ranges[1].End != 4 || ranges[4].End != 1 {
		t.Fatalf("offsets after growing: %v, %v", ranges, err)
	}
	err = c.GrowTopic(t.Context(), "grow", 4)
	if err == nil || !strings.Contains(err.Error(), "it has 5") {
		t.Fatalf("fewer partitions: %v", err)
	}
}
