package stream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// millionEnv names the directory of a child process.
const millionEnv = "MILLRACE_MILLION_DIR"

// TestMillionProcess is no test: TestLongMillionProfiles starts it as a process of its own, measures it and kills it. It
// writes the address of its broker, then says when it has caught up, and again after each line that it reads.
func TestMillionProcess(t *testing.T) {
	dir := os.Getenv(millionEnv)
	if dir == "" {
		t.Skip("a process that TestLongMillionProfiles starts")
	}
	if err := runMillion(t, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) // its maker is gone: there is nothing to clean up that a kill would
	}
}

func runMillion(t *testing.T, dir string) error {
	ctx := t.Context()
	b, err := broker.Start(broker.Config{DataDir: filepath.Join(dir, "kafka"), Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	fmt.Println("broker", b.Addr())
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{b.Addr()}, ClientID: "millrace"})
	if err != nil {
		return err
	}
	producer := kafka.NewProducer(client, kafka.ProducerConfig{})
	store, err := control.Open(ctx, filepath.Join(dir, "control.db"))
	if err != nil {
		return err
	}
	landed, err := lake.Open(ctx, lake.Config{Dir: filepath.Join(dir, "lake")})
	if err != nil {
		return err
	}
	catchUp := new(state.CatchUp)
	online, err := onlinestore.OpenEmbedded(onlinestore.EmbeddedConfig{Dir: filepath.Join(dir, "online"), CatchUp: catchUp})
	if err != nil {
		return err
	}
	group := kafka.NewGroup(client, kafka.GroupConfig{Group: Group, Topics: Topics()})
	metrics := prometheus.NewRegistry()
	s, err := New(Config{StateDir: filepath.Join(dir, "state")}, Deps{Log: client, Assigner: group, Producer: producer, Lake: landed,
		Epochs: store, Replays: store, Rebuilds: store, Online: online, CatchUp: catchUp, Metrics: metrics})
	if err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return producer.Run(ctx) })
	all.Go(func() error { return s.Run(ctx) })
	all.Go(func() error {
		return answerMillion(ctx, s, func() float64 { return metric(t, metrics, "millrace_stream_events_total") })
	})
	return all.Wait()
}

// answerMillion speaks with the maker of the process. applied counts the events that it has applied.
func answerMillion(ctx context.Context, s *Stream, applied func() float64) error {
	if err := drainMillion(ctx, s); err != nil {
		return err
	}
	fmt.Println("caught-up", int(applied()))
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		if err := errors.Join(drainMillion(ctx, s), s.sweeper.idle(ctx)); err != nil {
			return err
		}
		fmt.Println("drained", int(applied()))
	}
	return errors.New("the maker of the process is gone")
}
