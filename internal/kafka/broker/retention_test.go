package broker

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kafka"
)

// Old records go, the last one stays however old it is, and a restart keeps counting from there.
func TestRetentionByTime(t *testing.T) {
	dir := t.TempDir()
	now := time.UnixMilli(1_700_000_000_000)
	spec := kafka.TopicSpec{Name: "t", Partitions: 3, Config: TopicConfig(time.Hour, 1<<30)}
	session := func(f func(b *Broker, c *kafka.Client, p *kafka.Producer)) {
		b, err := Start(Config{DataDir: dir, Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}()
		c, err := kafka.NewClient(kafka.Config{Brokers: []string{b.Addr()}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{spec}); err != nil {
			t.Fatal(err)
		}
		p := kafka.NewProducer(c, kafka.ProducerConfig{Linger: -1})
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- p.Run(ctx) }()
		f(b, c, p)
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}
	offsets := func(c *kafka.Client, want map[int32]kafka.OffsetRange) {
		t.Helper()
		if got, err := c.Offsets(t.Context(), "t"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("offsets %v, %v, want %v", got, err, want)
		}
	}
	write := func(p *kafka.Producer, partition int32, age time.Duration, n int) {
		t.Helper()
		for range n { // a batch each
			if err := p.Produce(t.Context(), []kafka.Record{{Topic: "t", Partition: partition, Time: now.Add(-age)}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	session(func(b *Broker, c *kafka.Client, p *kafka.Producer) {
		write(p, 0, 2*time.Hour, 5) // all too old
		write(p, 1, 2*time.Hour, 3)
		write(p, 1, time.Minute, 4)
		b.cluster.ApplyRetention() // kfake's own must leave them alone
		offsets(c, map[int32]kafka.OffsetRange{0: {End: 5}, 1: {End: 7}, 2: {}})
		for range 2 { // the second time there is nothing to do
			if err := b.retain(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			offsets(c, map[int32]kafka.OffsetRange{0: {Start: 4, End: 5}, 1: {Start: 3, End: 7}, 2: {}})
		}
	})
	session(func(_ *Broker, c *kafka.Client, p *kafka.Producer) {
		offsets(c, map[int32]kafka.OffsetRange{0: {Start: 4, End: 5}, 1: {Start: 3, End: 7}, 2: {}})
		write(p, 0, 0, 1)
		offsets(c, map[int32]kafka.OffsetRange{0: {Start: 4, End: 6}, 1: {Start: 3, End: 7}, 2: {}})
	})
}

// Retention by size never empties a partition, and cuts it into files small enough to be removed.
func TestRetentionBySize(t *testing.T) {
	config := TopicConfig(time.Hour, 1)
	want := map[string]string{
		"cleanup.policy": "delete", "retention.ms": "-1", "delete.retention.ms": "3600000",
		"retention.bytes": "16777216", "segment.bytes": "2097152",
	}
	if !reflect.DeepEqual(config, want) {
		t.Errorf("config %v, want %v", config, want)
	}
}

func TestRunEnds(t *testing.T) {
	b, err := Start(Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ctx); err != nil {
		t.Errorf("stopped: %v", err)
	}
	b.durability.fail(context.DeadlineExceeded)
	if err := b.Run(t.Context()); err == nil {
		t.Error("the refused sync was not returned")
	}
}
