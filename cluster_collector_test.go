package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// TestCollectorKilledInOutage takes Kafka away from a collector under load, kills the collector meanwhile, and lets it start
// without Kafka: nothing that it has acknowledged is missing when Kafka is back, and each visitor's events are in order.
func TestCollectorKilledInOutage(t *testing.T) {
	t.Parallel()
	testCollectorOutage(t, 0, 500)
}

// TestLongCollectorOutage is the same for ten minutes at 2,000 events a second.
func TestLongCollectorOutage(t *testing.T) {
	kafkatest.Long(t)
	testCollectorOutage(t, 10*time.Minute, 2_000)
}

func testCollectorOutage(t *testing.T, outage time.Duration, perSecond int) {
	dir := t.TempDir()
	start := func(listen string) *broker.Broker {
		b, err := broker.Start(broker.Config{DataDir: dir, Listen: listen})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	away := start("127.0.0.1:0")
	c := newClusterOn(t, []string{away.Addr()})
	data := t.TempDir()
	args := []string{"tracker", "--listen", "127.0.0.1:0"}
	first := c.role(data, args...)
	crowd := &collectorCrowd{key: c.command("keys", "create"), acknowledged: map[string]int64{}}
	crowd.url.Store(&first.url)
	crowd.start(t.Context(), perSecond)
	crowd.goOn(t, 0, int64(perSecond))

	if err := away.Close(); err != nil {
		t.Fatal(err)
	}
	crowd.goOn(t, outage/2, int64(perSecond))
	if state := crowd.ready(t); !strings.HasPrefix(state, "ok; Kafka takes no events") {
		t.Errorf("/readyz while Kafka is away: %q", state)
	}
	first.kill()
	second := c.role(data, args...)
	expectText(t, second.stderr.String(), "starting without Kafka")
	crowd.url.Store(&second.url)
	crowd.goOn(t, outage/2, int64(perSecond))

	back := start(away.Addr())
	defer back.Close()
	drained := time.Now()
	for crowd.ready(t) != "ok" {
		<-time.After(50 * time.Millisecond)
		if time.Since(drained) > 2*time.Minute {
			t.Fatalf("two minutes after Kafka is back: %s", crowd.ready(t))
		}
	}
	took := time.Since(drained)
	crowd.stop()
	events, repeats := crowd.check(t, kafkatest.Dial(t, []string{back.Addr()}))
	t.Logf("%d events in the log, %d of them twice, %d acknowledged; drained %s after Kafka was back", events, repeats, crowd.sent.Load(), took.Round(time.Millisecond))
	second.stop(t)
}

// collectorCrowd are visitors who send their events in order, and again until they are acknowledged, as the beacon does.
type collectorCrowd struct {
	key  string
	url  atomic.Pointer[string]
	wg   sync.WaitGroup
	end  context.CancelFunc
	sent atomic.Int64

	mu           sync.Mutex
	acknowledged map[string]int64 // visitor -> events
}

const (
	crowdVisitors = 50
	crowdBatch    = 5
)

func (c *collectorCrowd) start(ctx context.Context, perSecond int) {
	ctx, c.end = context.WithCancel(ctx)
	pace := time.Second * crowdVisitors * crowdBatch / time.Duration(perSecond)
	for v := range crowdVisitors {
		visitor := fmt.Sprintf("visitor-%d", v)
		c.wg.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for seq := int64(0); ctx.Err() == nil; <-tick.C {
				if c.send(ctx, visitor, seq) {
					seq += crowdBatch
					c.sent.Add(crowdBatch)
					c.mu.Lock()
					c.acknowledged[visitor] = seq
					c.mu.Unlock()
				}
			}
		})
	}
}

// send posts a batch; false means that it is not acknowledged.
func (c *collectorCrowd) send(ctx context.Context, visitor string, seq int64) bool {
	var body bytes.Buffer
	for i := range int64(crowdBatch) {
		fmt.Fprintf(&body, `{"event_id":"%s-%d","type":"page_view","anonymous_id":%q,"seq":%d,"page":{"url":"https://shop.example/p/%d","title":"A page of the shop"}}`+"\n",
			visitor, seq+i, visitor, seq+i, seq+i)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, *c.url.Load()+"/v1/events?key="+c.key, &body)
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusAccepted
}

// goOn waits for at least so long, and until so many more events are acknowledged.
func (c *collectorCrowd) goOn(t *testing.T, atLeast time.Duration, events int64) {
	t.Helper()
	began, from := time.Now(), c.sent.Load()
	for time.Since(began) < atLeast || c.sent.Load() < from+events {
		if time.Since(began) > atLeast+time.Minute {
			t.Fatalf("%d events are acknowledged in %s", c.sent.Load()-from, time.Since(began))
		}
		<-time.After(10 * time.Millisecond)
	}
}

// ready is what the collector says of itself.
func (c *collectorCrowd) ready(t *testing.T) string {
	t.Helper()
	resp, err := http.Get(*c.url.Load() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func (c *collectorCrowd) stop() {
	c.end()
	c.wg.Wait()
}

// check reads the topic as the stream does, by the first occurrence of each event.
func (c *collectorCrowd) check(t *testing.T, client *kafka.Client) (events, repeats int) {
	t.Helper()
	next := map[string]int64{}
	ranges, err := client.Offsets(t.Context(), event.TopicEvents)
	if err != nil {
		t.Fatal(err)
	}
	for partition, span := range ranges {
		for at := span.Start; at < span.End; {
			res, err := client.Fetch(t.Context(), kafka.FetchRequest{Topic: event.TopicEvents, Partition: partition, Offset: at})
			if err != nil {
				t.Fatal(err)
			}
			at = res.Next
			for _, r := range res.Records {
				var e event.Event
				if err := event.Unmarshal(r.Value, &e); err != nil {
					t.Fatal(err)
				}
				events++
				switch n := next[e.AnonymousID]; {
				case *e.Seq == n:
					next[e.AnonymousID]++
				case *e.Seq < n:
					repeats++
				default:
					t.Fatalf("%s: event %d comes where %d should", e.AnonymousID, *e.Seq, n)
				}
			}
		}
	}
	for visitor, n := range c.acknowledged {
		if next[visitor] < n {
			t.Errorf("%s: %d events were acknowledged, %d are there", visitor, n, next[visitor])
		}
	}
	return events, repeats
}
