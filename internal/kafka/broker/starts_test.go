package broker

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/kafka"
)

// killed is the data directory of a broker as a kill would leave it at this moment.
func killed(t *testing.T, dir string) string {
	t.Helper()
	left := t.TempDir()
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{lockName, pidName} {
		if err := os.Remove(filepath.Join(left, name)); err != nil {
			t.Fatal(err)
		}
	}
	return left
}

func startAt(t *testing.T, dir string) *kafka.Client {
	t.Helper()
	b, err := Start(Config{DataDir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := kafka.NewClient(kafka.Config{Brokers: []string{b.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Deleted records stay deleted, whether the broker was closed or killed, and the numbering goes on.
func TestDeletedRecordsStayDeleted(t *testing.T) {
	dir := t.TempDir()
	c := startAt(t, dir)
	if _, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "t", Partitions: 2}}); err != nil {
		t.Fatal(err)
	}
	p := kafka.NewProducer(c, kafka.ProducerConfig{Linger: -1})
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	for n := range 10 { // in batches of one and of more
		for partition := range int32(2) {
			records := make([]kafka.Record, 1+n%2)
			for i := range records {
				records[i] = kafka.Record{Topic: "t", Partition: partition, Value: []byte("value")}
			}
			if err := p.Produce(t.Context(), records); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := c.DeleteRecords(t.Context(), "t", 1, 6); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteRecords(t.Context(), "t", 1, 99); err == nil {
		t.Fatal("records that there are none of were deleted")
	}
	stop()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	once := killed(t, dir)
	again := startAt(t, once)
	want := map[int32]kafka.OffsetRange{0: {Start: 0, End: 15}, 1: {Start: 6, End: 15}}
	check := func(what string, c *kafka.Client) {
		t.Helper()
		got, err := c.Offsets(t.Context(), "t")
		if err != nil || len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("%s: offsets %v (%v), want %v", what, got, err, want)
		}
	}
	check("killed", again)
	check("killed again", startAt(t, killed(t, once)))
}
