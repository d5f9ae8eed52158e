package broker_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, dir, listen string) *broker.Broker {
	t.Helper()
	b, err := broker.Start(broker.Config{DataDir: dir, Listen: listen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// A restart on another port keeps topics, settings, records and commits, and tells clients the new port.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, "127.0.0.1:0")
	c := kafkatest.Client(t, b)
	spec := kafka.TopicSpec{Name: "millrace.events", Partitions: broker.Partitions, Config: broker.TopicConfig(7*24*time.Hour, 1<<30)}
	if _, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{spec}); err != nil {
		t.Fatal(err)
	}
	write(t, c, 0, 100)
	old := b.Addr()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	hold, err := net.Listen("tcp", old) // so that the second broker cannot get the same port by chance
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()

	b = start(t, dir, "127.0.0.1:0")
	if b.Addr() == old || strings.HasSuffix(b.Addr(), ":0") {
		t.Fatalf("address %s after %s", b.Addr(), old)
	}
	c = kafkatest.Client(t, b)
	created, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{spec})
	if err != nil || created != nil {
		t.Fatalf("created %v, %v", created, err)
	}
	write(t, c, 100, 50)
	if got := read(t, c); len(got) != 150 {
		t.Fatalf("%d distinct values, want 150", len(got))
	}
}

// write produces the numbers from to from+n-1 as values.
func write(t *testing.T, c *kafka.Client, from, n int) {
	t.Helper()
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	records := make([]kafka.Record, n)
	for i := range records {
		value := []byte(strconv.Itoa(from + i))
		records[i] = kafka.Record{Topic: "millrace.events", Partition: -1, Time: time.UnixMilli(1_700_000_000_000), Key: value, Value: value}
	}
	if err := p.Produce(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

// read counts every value in the topic.
func read(t *testing.T, c *kafka.Client) map[string]int {
	t.Helper()
	ranges, err := c.Offsets(t.Context(), "millrace.events")
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]int)
	for partition, r := range ranges {
		for at := r.Start; at < r.End; {
			res, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: "millrace.events", Partition: partition, Offset: at})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range res.Records {
				values[string(r.Value)]++
			}
			at = res.Next
		}
	}
	return values
}

func TestLockedDirectory(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, "127.0.0.1:0")
	_, err := broker.Start(broker.Config{DataDir: dir, Listen: "127.0.0.1:0"})
	var locked *broker.LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() || locked.Dir != dir {
		t.Fatalf("second broker: %v", err)
	}
	for _, part := range []string{dir, strconv.Itoa(os.Getpid()), "--data-dir"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("message %q lacks %q", err, part)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, dir, "127.0.0.1:0")
}

func TestListenErrors(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for name, tc := range map[string]struct{ listen, part string }{
		"busy":        {busy.Addr().String(), "in use"},
		"every host":  {":9092", "loopback"},
		"other host":  {"192.0.2.1:9092", "loopback"},
		"wildcard":    {"0.0.0.0:0", "loopback"},
		"name":        {"example.org:9092", "loopback"},
		"no port":     {"127.0.0.1", "missing port"},
		"wild number": {"127.0.0.1:99999", "invalid port"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := broker.Start(broker.Config{DataDir: dir, Listen: tc.listen})
			var listenErr *broker.ListenError
			if !errors.As(err, &listenErr) {
				t.Fatalf("error %v, want *ListenError", err)
			}
			for _, part := range []string{tc.listen, "--kafka-listen", tc.part} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("message %q lacks %q", err, part)
				}
			}
			start(t, dir, "localhost:0") // and the directory is free again
		})
	}
}

// What does not look like a log stops the start, and is not deleted.
func TestDamagedState(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, "127.0.0.1:0")
	kafkatest.Topic(t, kafkatest.Client(t, b), "t", 1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "log", "topics.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := broker.Start(broker.Config{DataDir: dir, Listen: "127.0.0.1:0"}); err == nil {
		_ = b.Close()
		t.Fatal("a damaged directory was opened")
	} else if !strings.Contains(err.Error(), dir) {
		t.Errorf("message %q lacks the directory", err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "{" {
		t.Errorf("the damaged file is now %q, %v", got, err)
	}
}
