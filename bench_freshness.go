package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

const (
	freshnessTries = 500
	// freshnessPoll is the pause between two looks; it adds at most itself to a measured time.
	freshnessPoll = 200 * time.Microsecond
	// freshnessGiveUp ends a try that shows nothing at all.
	freshnessGiveUp = 10 * time.Second
)

// benchFreshness measures, in milliseconds from the collector's acknowledgement, when the profile and the list show an
// event; and whether a list asked for with after_event is ever stale. The limit is what nothing could undercut: Kafka
// alone, from the acknowledgement of a record until a waiting fetch returns it, and one request that reads the answer.
// Then the same beside a hot key.
func benchFreshness(ctx context.Context, progress io.Writer, emit func(benchResult) error) error {
	dir, err := os.MkdirTemp("", "millrace-bench-freshness-")
	if err != nil {
		return fmt.Errorf("make bench directory: %w", err)
	}
	defer os.RemoveAll(dir)
	a := &app{stdout: io.Discard, stderr: progress}
	cfg, err := loadConfig("", nil, map[string]any{"data_dir": dir, "log.level": "warn"})
	if err != nil {
		return err
	}
	return a.withRunning(ctx, cfg, allRoles, func(ctx context.Context, running adminClient) error {
		b, err := newFreshnessBench(dir, running.info)
		if err != nil {
			return err
		}
		if err := b.run(ctx, progress, emit); err != nil {
			return err
		}
		return b.hotKey(ctx, progress, emit)
	})
}

// freshnessBench is a visitor who looks closely.
type freshnessBench struct {
	base string
	info runInfo
	keys bootstrapKeys
}

func newFreshnessBench(dir string, info runInfo) (*freshnessBench, error) {
	b := &freshnessBench{base: "http://" + info.Listen, info: info}
	text, err := os.ReadFile(filepath.Join(dir, keysFile))
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	if err := json.Unmarshal(text, &b.keys); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	return b, nil
}

func (b *freshnessBench) run(ctx context.Context, progress io.Writer, emit func(benchResult) error) error {
	limits, err := b.kafkaAlone(ctx)
	if err != nil {
		return err
	}
	var features, lists, reads []float64
	stale := 0
	for try := range freshnessTries {
		visitor, item := fmt.Sprintf("visitor-%d", try%50), fmt.Sprintf("item-%d", try)
		if _, err := b.send(ctx, visitor, item); err != nil {
			return err
		}
		acknowledged := time.Now()
		if err := b.until(ctx, func() (bool, error) { return b.profileShows(ctx, visitor, item) }); err != nil {
			return fmt.Errorf("wait for the profile of try %d: %w", try, err)
		}
		features = append(features, float64(time.Since(acknowledged).Microseconds())/1000)

		start := time.Now()
		if _, err := b.profileShows(ctx, visitor, item); err != nil {
			return err
		}
		reads = append(reads, float64(time.Since(start).Microseconds())/1000)

		second := item + "-b"
		if _, err := b.send(ctx, visitor, second); err != nil {
			return err
		}
		acknowledged = time.Now()
		if err := b.until(ctx, func() (bool, error) { return b.listShows(ctx, visitor, second) }); err != nil {
			return fmt.Errorf("wait for the list of try %d: %w", try, err)
		}
		lists = append(lists, float64(time.Since(acknowledged).Microseconds())/1000)

		id, err := b.send(ctx, visitor, item+"-c")
		if err != nil {
			return err
		}
		list, err := b.recommend(ctx, visitor, id)
		if err != nil {
			return err
		}
		switch {
		case list.Stale:
			stale++
		case !list.holds(item + "-c"):
			return fmt.Errorf("try %d: the list says that it reflects event %s and does not", try, id)
		}
		if (try+1)%100 == 0 {
			fmt.Fprintf(progress, "%d of %d tries\n", try+1, freshnessTries)
		}
	}
	const what = "Kafka alone and one request"
	for _, figure := range []struct {
		metric string
		values []float64
		p      float64
	}{
		{"ack_to_features_p50", features, 50}, {"ack_to_features_p99", features, 99},
		{"ack_to_recommend_p50", lists, 50}, {"ack_to_recommend_p99", lists, 99},
	} {
		r := benchResult{Bench: "freshness", Metric: figure.metric, Value: percentile(figure.values, figure.p), Unit: "ms"}
		if err := emit(r.against(percentile(limits, figure.p)+percentile(reads, figure.p), what)); err != nil {
			return err
		}
	}
	r := benchResult{Bench: "freshness", Metric: "stale_with_after_event", Value: float64(stale), Unit: "lists"}
	return emit(r.against(freshnessTries, "tries"))
}

// kafkaAlone times acknowledgement to fetch without anything of ours around it.
func (b *freshnessBench) kafkaAlone(ctx context.Context) ([]float64, error) {
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{b.info.Kafka}, ClientID: "millrace-bench"})
	if err != nil {
		return nil, fmt.Errorf("open kafka client: %w", err)
	}
	defer client.Close()
	const topic = "bench.freshness"
	if _, err := client.EnsureTopics(ctx, []kafka.TopicSpec{{Name: topic, Partitions: 1}}); err != nil {
		return nil, fmt.Errorf("create bench topic: %w", err)
	}
	var times []float64
	producer := kafka.NewProducer(client, kafka.ProducerConfig{})
	err = alongside(ctx, producer.Run, func(ctx context.Context) error {
		for offset := range int64(freshnessTries) {
			arrived := make(chan error, 1)
			var at time.Time
			go func() {
				_, err := client.Fetch(ctx, kafka.FetchRequest{Topic: topic, Offset: offset, MaxWait: freshnessGiveUp})
				at = time.Now()
				arrived <- err
			}()
			if err := producer.Produce(ctx, []kafka.Record{{Topic: topic, Time: time.Now(), Value: []byte("x")}}); err != nil {
				return fmt.Errorf("produce: %w", err)
			}
			acknowledged := time.Now()
			if err := <-arrived; err != nil {
				return fmt.Errorf("fetch: %w", err)
			}
			times = append(times, max(0.001, float64(at.Sub(acknowledged).Microseconds())/1000))
		}
		return nil
	})
	return times, err
}

// until looks again and again; a limit far above any figure turns a hang into an error.
func (b *freshnessBench) until(ctx context.Context, shown func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, freshnessGiveUp)
	defer cancel()
	for {
		if ok, err := shown(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(freshnessPoll):
		}
	}
}

// send posts one view and returns its event id once it is acknowledged.
func (b *freshnessBench) send(ctx context.Context, visitor, item string) (id string, err error) {
	id = event.NewID(time.Now())
	body := map[string]any{"event_id": id, "type": event.ViewItem, "anonymous_id": visitor, "item_id": item, "occurred_at": time.Now().UTC()}
	return id, b.call(ctx, "POST", "/v1/events", body, nil)
}

func (b *freshnessBench) profileShows(ctx context.Context, visitor, item string) (bool, error) {
	var profile struct {
		Interactions []struct {
			ItemID string `json:"item_id"`
		} `json:"interactions"`
	}
	if err := b.call(ctx, "GET", "/v1/users/"+url.PathEscape("anonymous:"+visitor)+"/features", nil, &profile); err != nil {
		return false, err
	}
	for _, i := range profile.Interactions {
		if i.ItemID == item {
			return true, nil
		}
	}
	return false, nil
}

// benchList is what the bench reads of an answer of the recommendation API.
type benchList struct {
	Stale bool `json:"stale"`
	Items []struct {
		ItemID string `json:"item_id"`
	} `json:"items"`
}

func (l benchList) holds(item string) bool {
	for _, i := range l.Items {
		if i.ItemID == item {
			return true
		}
	}
	return false
}

// recommend asks for the recently viewed items: the list in which a view must show at once.
func (b *freshnessBench) recommend(ctx context.Context, visitor, after string) (benchList, error) {
	var list benchList
	body := map[string]any{"placement": "recent", "anonymous_id": visitor}
	if after != "" {
		body["after_event"] = after
	}
	return list, b.call(ctx, "POST", "/v1/recommend", body, &list)
}

func (b *freshnessBench) listShows(ctx context.Context, visitor, item string) (bool, error) {
	list, err := b.recommend(ctx, visitor, "")
	return list.holds(item), err
}

// call speaks JSON with the public listener. A profile that does not exist yet is not an error.
func (b *freshnessBench) call(ctx context.Context, method, path string, body, out any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, b.base+path, bytes.NewReader(encoded))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+b.keys.SecretKey)
	req.Header.Set("X-Millrace-Key", b.keys.SecretKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAdminAnswerBytes))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode == http.StatusNotFound && method == http.MethodGet {
		return nil
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
