package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// The load of `bench serving` and `bench collector` comes from a process of its own, the hidden subcommand loadCommand of this program: what it
// allocates does not make the measured process collect garbage, and its threads compete with the others' as a client's do. It
// speaks HTTP/1.1 by hand over connections that stay open, because a general client would take more of the processors than the
// server that is measured. Orders are lines of JSON on its standard input, reports lines on its standard output.
const loadCommand = "bench-load"

// loadOrder is one run of the generator.
type loadOrder struct {
	Address     string  `json:"address"`
	Path        string  `json:"path"`
	Key         string  `json:"key"`
	Bodies      string  `json:"bodies"` // a file, a body a line; they are sent in turn
	Connections int     `json:"connections"`
	Seconds     float64 `json:"seconds"`
	// Rate is how many requests a second arrive, evenly, whether or not earlier ones are answered; the time of each counts from when
	// it was due. 0 means that every connection sends the next one when it has an answer.
	Rate float64 `json:"rate"`
}

// loadReport is what came of it. Times are in milliseconds.
type loadReport struct {
	Answers int     `json:"answers"` // of success
	Failed  int     `json:"failed"`  // of another status, or none
	Empty   int     `json:"empty"`   // answers of a list without items
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	P999    float64 `json:"p999"`
	Slowest float64 `json:"slowest"`
	Trouble string  `json:"trouble,omitempty"` // the first failure, in words
}

func (r loadReport) perSecond() float64 { return float64(r.Answers) / r.Seconds }

// perfect reports a run in which a request failed, or was answered with nothing.
func (r loadReport) perfect() error {
	if r.Failed == 0 && r.Empty == 0 {
		return nil
	}
	return fmt.Errorf("%d requests failed, %d lists are empty: %s", r.Failed, r.Empty, r.Trouble)
}

func (a *app) loadCommand() *cobra.Command {
	return &cobra.Command{
		Use: loadCommand, Hidden: true, Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			orders, reports := bufio.NewScanner(os.Stdin), json.NewEncoder(a.stdout)
			for orders.Scan() {
				var order loadOrder
				if err := json.Unmarshal(orders.Bytes(), &order); err != nil {
					return usageError{fmt.Errorf("%s: %w", loadCommand, err)}
				}
				report, err := order.run(cmd.Context())
				if err != nil {
					return fmt.Errorf("load %s: %w", order.Address, err)
				}
				if err := reports.Encode(report); err != nil {
					return fmt.Errorf("report load: %w", err)
				}
			}
			return orders.Err()
		},
	}
}

// maxDue bounds the requests that are due and wait for a connection. Who falls so far behind that they are more only sends later: a
// request counts from when it was due all the same.
const maxDue = 1 << 16

// run sends requests for as long as the order says, over connections that are open before the first one.
func (o loadOrder) run(ctx context.Context) (loadReport, error) {
	requests, err := o.requests()
	if err != nil {
		return loadReport{}, err
	}
	connections := make([]*loadConnection, o.Connections)
	for i := range connections {
		connections[i] = &loadConnection{address: o.Address, patience: o.seconds() + loadPatience}
		if err := connections[i].open(ctx); err != nil {
			return loadReport{}, err
		}
		defer connections[i].close()
	}
	var turn atomic.Int64
	next := func() []byte { return requests[int(turn.Add(1))%len(requests)] }
	start := time.Now()
	end := start.Add(o.seconds())
	group, ctx := errgroup.WithContext(ctx)
	var due chan time.Time
	if o.Rate > 0 {
		due = make(chan time.Time, maxDue)
		group.Go(func() error {
			defer close(due)
			return o.pace(ctx, start, end, due)
		})
	}
	var pending sync.WaitGroup
	for _, c := range connections {
		pending.Add(1)
		group.Go(func() error {
			defer pending.Done()
			if due == nil {
				for now := time.Now(); now.Before(end) && ctx.Err() == nil; now = time.Now() {
					c.ask(ctx, next(), now)
				}
				return ctx.Err()
			}
			for at := range due {
				c.ask(ctx, next(), at)
			}
			return ctx.Err()
		})
	}
	pending.Wait()
	took := time.Since(start)
	if err := group.Wait(); err != nil {
		return loadReport{}, err
	}
	return reportOf(connections, took), nil
}

// pace says when each request is due. The sleeps of Go's timers are too coarse for it by a millisecond.
func (o loadOrder) pace(ctx context.Context, start, end time.Time, due chan<- time.Time) error {
	for n := 0; ; n++ {
		at := start.Add(time.Duration(float64(n) / o.Rate * float64(time.Second)))
		if at.After(end) {
			return nil
		}
		if wait := time.Until(at); wait > 0 {
			pause := unix.NsecToTimeval(wait.Nanoseconds())
			if _, err := unix.Select(0, nil, nil, nil, &pause); err != nil && !errors.Is(err, unix.EINTR) {
				return fmt.Errorf("wait until a request is due: %w", err)
			}
		}
		select {
		case due <- at:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o loadOrder) seconds() time.Duration { return time.Duration(o.Seconds * float64(time.Second)) }

// requests reads the bodies and puts the head of a request before each.
func (o loadOrder) requests() ([][]byte, error) {
	file, err := os.Open(o.Bodies)
	if err != nil {
		return nil, fmt.Errorf("read the requests to send: %w", err)
	}
	defer file.Close()
	var requests [][]byte
	lines := bufio.NewReader(file)
	for {
		body, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(body) == 0 {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the requests to send: %w", err)
		}
		head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
			o.Path, o.Address, o.Key, len(body))
		requests = append(requests, append([]byte(head), body...))
	}
	if len(requests) == 0 {
		return nil, fmt.Errorf("%s holds no requests", o.Bodies)
	}
	return requests, nil
}

// reportOf sums up what the connections met.
func reportOf(connections []*loadConnection, took time.Duration) loadReport {
	report := loadReport{Seconds: took.Seconds()}
	var times []float64
	for _, c := range connections {
		report.Failed += c.failed
		report.Empty += c.empty
		times = append(times, c.millis...)
		if report.Trouble == "" && c.trouble != nil {
			report.Trouble = c.trouble.Error()
		}
	}
	report.Answers = len(times)
	if len(times) > 0 {
		slices.Sort(times)
		at := func(share float64) float64 { return times[min(len(times)-1, int(float64(len(times))*share))] }
		report.P50, report.P99, report.P999, report.Slowest = at(0.5), at(0.99), at(0.999), times[len(times)-1]
	}
	return report
}
