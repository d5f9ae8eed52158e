package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// childEnv names the directory of the broker that TestChild runs until it is killed.
const childEnv = "BROKER_TEST_CHILD"

// TestChild is no test but the process that TestKill kills: it produces numbers for ever and prints each one after its
// acknowledgement.
func TestChild(t *testing.T) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		t.Skip("runs as a child of TestKill only")
	}
	if err := runChild(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
}

func runChild(ctx context.Context, dir string) error {
	b, err := broker.Start(broker.Config{DataDir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	c, err := kafka.NewClient(kafka.Config{Brokers: []string{b.Addr()}})
	if err != nil {
		return err
	}
	if _, err := c.EnsureTopics(ctx, []kafka.TopicSpec{{Name: "millrace.events", Partitions: broker.Partitions}}); err != nil {
		return err
	}
	ranges, err := c.Offsets(ctx, "millrace.events")
	if err != nil {
		return err
	}
	first := 0 // numbers of an earlier life
	for _, r := range ranges {
		first += int(r.End)
	}
	p := kafka.NewProducer(c, kafka.ProducerConfig{})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.Run(ctx) })
	const callers = 16
	for caller := range callers {
		g.Go(func() error {
			for i := first + caller; ; i += callers {
				value := fmt.Appendf(nil, "%d-%d", os.Getpid(), i)
				r := kafka.Record{Topic: "millrace.events", Partition: -1, Time: time.UnixMilli(1_700_000_000_000), Key: value, Value: value}
				if err := p.Produce(ctx, []kafka.Record{r}); err != nil {
					return err
				}
				if _, err := fmt.Printf("%s\n", value); err != nil { // one write a line: it is whole or not there
					return err
				}
			}
		})
	}
	return g.Wait()
}

// Three times kill -9 under load: every record that was acknowledged is there once.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := make(map[string]bool)
	for range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		before := len(acked)
		for lines.Scan() {
			acked[lines.Text()] = true
			if len(acked) == before+500 {
				if err := cmd.Process.Kill(); err != nil { // the rest of the pipe still counts
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // killed, as it should be
		if len(acked) < before+500 {
			t.Fatalf("the child ended after %d records", len(acked)-before)
		}
	}

	b, err := broker.Start(broker.Config{DataDir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	stored := read(t, kafkatest.Client(t, b))
	for value := range acked {
		if stored[value] != 1 {
			t.Errorf("acknowledged record %s is stored %d times", value, stored[value])
		}
	}
	for value, n := range stored {
		if pid, _, ok := strings.Cut(value, "-"); !ok || n != 1 {
			t.Errorf("record %s is stored %d times", value, n)
		} else if _, err := strconv.Atoi(pid); err != nil {
			t.Errorf("record %s was never written", value)
		}
	}
	t.Logf("%d acknowledged, %d stored", len(acked), len(stored))
}
