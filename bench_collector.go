package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/kafka"
)

const (
	collectorBatch    = 10    // events of a request, as the beacon sends them
	collectorPace     = 2_000 // requests a second of the measured delay: 20,000 events
	collectorRounds   = 2     // of each way in turn; the median counts
	collectorSeconds  = 4
	collectorVisitors = 500
	collectorAtOnce   = 256    // connections
	rawRecords        = 20_000 // of the log, which the raw way writes again and again
	rawCall           = 1_000  // records of one of its calls
	rawCallers        = 8
)

// benchCollector measures what the collector takes, with an embedded broker that acknowledges after its fsync: events a second in
// batches of ten beside raw producing of the same bytes; the delay of an acknowledgement at 20,000 events a second beside that
// of the producer alone; and requests of one event beside a handler that only reads the body.
func benchCollector(ctx context.Context, progress io.Writer, emit func(benchResult) error) (err error) {
	dir, err := os.MkdirTemp("", "millrace-bench-collector-")
	if err != nil {
		return fmt.Errorf("make bench directory: %w", err)
	}
	defer os.RemoveAll(dir)
	a := &app{stdout: io.Discard, stderr: progress}
	cfg, err := loadConfig("", nil, map[string]any{"data_dir": dir, "log.level": "warn", "access.key_rate": 1e6})
	if err != nil {
		return err
	}
	return a.withStarted(ctx, cfg, systemOptions{roles: roleTracker}, func(ctx context.Context, running adminClient) (err error) {
		b := &collectorBench{dir: dir, info: running.info, progress: progress}
		if b.load, err = startGenerator(ctx, progress); err != nil {
			return err
		}
		defer func() { err = joinStop(err, b.load.stop()) }()
		return b.run(ctx, emit)
	})
}

func joinStop(err, stopped error) error {
	if err != nil {
		return err
	}
	return stopped
}

// collectorBench is what the figures are measured with.
type collectorBench struct {
	dir      string
	info     runInfo
	progress io.Writer
	load     *generator
	key      string
	records  []kafka.Record // as the collector has written them
}

func (b *collectorBench) run(ctx context.Context, emit func(benchResult) error) error {
	keys, err := newFreshnessBench(b.dir, b.info)
	if err != nil {
		return err
	}
	b.key = keys.keys.WriteKey
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{b.info.Kafka}, ClientID: "millrace-bench"})
	if err != nil {
		return fmt.Errorf("open kafka client: %w", err)
	}
	defer client.Close()
	tens, err := b.bodies("tens", collectorBatch)
	if err != nil {
		return err
	}
	ones, err := b.bodies("ones", 1)
	if err != nil {
		return err
	}
	if _, err := b.ask(tens, b.info.Listen, 0); err != nil { // warm, and something to write raw
		return err
	}
	if b.records, err = readBack(ctx, client); err != nil {
		return err
	}
	producer := kafka.NewProducer(client, kafka.ProducerConfig{})
	return alongside(ctx, producer.Run, func(ctx context.Context) error {
		if err := b.throughput(ctx, producer, tens, emit); err != nil {
			return err
		}
		if err := b.delay(ctx, producer, tens, emit); err != nil {
			return err
		}
		return b.single(ctx, ones, emit)
	})
}

// bodies writes a file of request bodies with so many events each, every one of one visitor.
func (b *collectorBench) bodies(name string, events int) (string, error) {
	var text strings.Builder
	for v := range collectorVisitors {
		text.WriteString(`{"events":[`)
		for e := range events {
			if e > 0 {
				text.WriteByte(',')
			}
			fmt.Fprintf(&text, `{"type":"view_item","anonymous_id":"0198f2c1-7d3a-7c31-9a4e-%012d","session_id":"0198f2c1-7d3a-7c31-9a4e-%012d","tab_id":"2f7d1c0b8a55","seq":%d,`+
				`"page_view_id":"0198f2c1-7d3a-7c31-9a4e-2f7d1c0b8a55","page":{"url":"https://shop.example/p/%d","referrer":"https://shop.example/c/shoes","title":"Trail shoe %d"},`+
				`"items":[{"item_id":"item-%d","price":129.95,"item_category":"Shoes","item_brand":"Acme"}],"currency":"EUR","value":129.95}`, v, v, e, v, v, 7*v+e)
		}
		text.WriteString("]}\n")
	}
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return "", fmt.Errorf("write requests: %w", err)
	}
	return path, nil
}

// ask sends requests of a file, so many a second, or as many as are answered.
func (b *collectorBench) ask(bodies, address string, rate float64) (loadReport, error) {
	report, err := b.load.run(loadOrder{
		Address: address, Path: "/v1/events", Key: b.key, Bodies: bodies, Connections: collectorAtOnce, Seconds: collectorSeconds, Rate: rate,
	})
	if err == nil {
		err = report.perfect()
	}
	return report, err
}

// readBack reads records that the collector has written.
func readBack(ctx context.Context, client *kafka.Client) (all []kafka.Record, err error) {
	ranges, err := client.Offsets(ctx, event.TopicEvents)
	if err != nil {
		return nil, fmt.Errorf("read offsets: %w", err)
	}
	for partition, span := range ranges {
		for at := span.Start; at < span.End && len(all) < rawRecords; {
			res, err := client.Fetch(ctx, kafka.FetchRequest{Topic: event.TopicEvents, Partition: partition, Offset: at})
			if err != nil {
				return nil, fmt.Errorf("read events back: %w", err)
			}
			at = res.Next
			for _, r := range res.Records {
				r.Partition = -1
				all = append(all, r)
			}
		}
	}
	if len(all) < rawCallers*rawCall {
		return nil, fmt.Errorf("only %d events are in the log", len(all))
	}
	return all, nil
}

// throughput lets both ways write as fast as they can, in turn.
func (b *collectorBench) throughput(ctx context.Context, producer *kafka.Producer, tens string, emit func(benchResult) error) error {
	var ours, raw []float64
	for range collectorRounds {
		report, err := b.ask(tens, b.info.Listen, 0)
		if err != nil {
			return err
		}
		ours = append(ours, report.perSecond()*collectorBatch)
		rate, err := b.rawRate(ctx, producer)
		if err != nil {
			return err
		}
		raw = append(raw, rate)
		fmt.Fprintf(b.progress, "%.0f events a second in batches of %d, raw producing %.0f\n", ours[len(ours)-1], collectorBatch, rate)
	}
	r := benchResult{Bench: "collector", Metric: "batches_of_10", Value: median(ours), Unit: "events/s"}
	return emit(r.against(median(raw), "raw producing of the same bytes"))
}

// rawRate writes the records in calls of a thousand, from several callers.
func (b *collectorBench) rawRate(ctx context.Context, producer *kafka.Producer) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	start := time.Now()
	var mu sync.Mutex
	written := 0
	group, ctx := errgroup.WithContext(ctx)
	for caller := range rawCallers {
		group.Go(func() error {
			for at := caller * rawCall; time.Since(start) < collectorSeconds*time.Second; at += rawCall {
				from := at % (len(b.records) - rawCall + 1)
				if err := producer.Produce(ctx, b.records[from:from+rawCall]); err != nil {
					return fmt.Errorf("produce: %w", err)
				}
				mu.Lock()
				written += rawCall
				mu.Unlock()
			}
			return nil
		})
	}
	err := group.Wait()
	return float64(written) / time.Since(start).Seconds(), err
}

// delay is how long an acknowledgement takes at a pace that a shop has, beside the producer alone at the same pace.
func (b *collectorBench) delay(ctx context.Context, producer *kafka.Producer, tens string, emit func(benchResult) error) error {
	report, err := b.ask(tens, b.info.Listen, collectorPace)
	if err != nil {
		return err
	}
	alone, err := b.rawDelays(ctx, producer)
	if err != nil {
		return err
	}
	for _, figure := range []struct {
		metric string
		ours   float64
		p      float64
	}{{"ack_p50_at_20000", report.P50, 50}, {"ack_p99_at_20000", report.P99, 99}} {
		r := benchResult{Bench: "collector", Metric: figure.metric, Value: figure.ours, Unit: "ms"}
		if err := emit(r.against(percentile(alone, figure.p), "the producer alone at the same pace")); err != nil {
			return err
		}
	}
	return nil
}

// rawDelays are those of calls of ten records at the pace, in milliseconds from when each was due.
func (b *collectorBench) rawDelays(ctx context.Context, producer *kafka.Producer) ([]float64, error) {
	var mu sync.Mutex
	var all []float64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2 * collectorAtOnce)
	start := time.Now()
	for n := range collectorPace * collectorSeconds {
		due := start.Add(time.Duration(n) * time.Second / collectorPace)
		if wait := time.Until(due); wait > 0 {
			<-time.After(wait)
		}
		group.Go(func() error {
			from := n * collectorBatch % (len(b.records) - collectorBatch)
			if err := producer.Produce(ctx, b.records[from:from+collectorBatch]); err != nil {
				return fmt.Errorf("produce: %w", err)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, float64(time.Since(due).Microseconds())/1000)
			return nil
		})
	}
	err := group.Wait()
	return all, err
}

// single is requests of one event each, beside a handler that reads the body and answers.
func (b *collectorBench) single(ctx context.Context, ones string, emit func(benchResult) error) error {
	bare, err := httpserver.New(httpserver.Config{Name: "bare", Listen: anyLoopbackPort, Flag: "--listen"}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"accepted":1,"duplicates":0,"rejected":[]}`)
	}))
	if err != nil {
		return err
	}
	return alongside(ctx, bare.Run, func(context.Context) error {
		var ours, only []float64
		for range collectorRounds {
			report, err := b.ask(ones, b.info.Listen, 0)
			if err != nil {
				return err
			}
			ours = append(ours, report.perSecond())
			if report, err = b.ask(ones, bare.Addr(), 0); err != nil {
				return err
			}
			only = append(only, report.perSecond())
			fmt.Fprintf(b.progress, "%.0f requests a second of one event, %.0f of a handler that reads the body\n", ours[len(ours)-1], only[len(only)-1])
		}
		r := benchResult{Bench: "collector", Metric: "one_event_a_request", Value: median(ours), Unit: "requests/s"}
		return emit(r.against(median(only), "a handler that only reads the body"))
	})
}
