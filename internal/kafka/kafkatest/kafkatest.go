// Package kafkatest starts Kafka for tests: the embedded broker in a temporary directory, or a real Apache Kafka.
package kafkatest

import (
	"testing"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
)

// Broker starts an embedded broker on a free port and a temporary directory; both go away with the test.
func Broker(tb testing.TB) *broker.Broker {
	tb.Helper()
	b, err := broker.Start(broker.Config{DataDir: tb.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		tb.Fatalf("start broker: %v", err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Errorf("close broker: %v", err)
		}
	})
	return b
}

// Client returns a client of an embedded broker, closed with the test.
func Client(tb testing.TB, b *broker.Broker) *kafka.Client {
	tb.Helper()
	return Dial(tb, []string{b.Addr()})
}

// Dial returns a client of any cluster, closed with the test.
func Dial(tb testing.TB, brokers []string) *kafka.Client {
	tb.Helper()
	c, err := kafka.NewClient(kafka.Config{Brokers: brokers, ClientID: "kafkatest"})
	if err != nil {
		tb.Fatalf("connect: %v", err)
	}
	tb.Cleanup(c.Close)
	return c
}

// Topic creates a topic with settings that keep everything.
func Topic(tb testing.TB, c *kafka.Client, name string, partitions int32) {
	tb.Helper()
	if _, err := c.EnsureTopics(tb.Context(), []kafka.TopicSpec{{Name: name, Partitions: partitions}}); err != nil {
		tb.Fatalf("create topic %s: %v", name, err)
	}
}

// Producer returns a running producer, stopped with the test.
func Producer(tb testing.TB, c *kafka.Client, cfg kafka.ProducerConfig) *kafka.Producer {
	tb.Helper()
	p := kafka.NewProducer(c, cfg)
	Run(tb, p.Run)
	return p
}
