package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// answers is a producer that gives its answers one after the other, the last one again and again.
type answers struct {
	list  []error
	calls int
}

func (a *answers) Produce(context.Context, []kafka.Record) error {
	err := a.list[min(a.calls, len(a.list)-1)]
	a.calls++
	return err
}

func TestProduceTriesAgainWhatMayPass(t *testing.T) {
	full, broken := fmt.Errorf("produce: %w", kafka.ErrBufferFull), fmt.Errorf("produce: %w", io.EOF)
	for _, c := range []struct {
		name    string
		answers []error
		calls   int
		want    error
	}{
		{"no room, then a restart, then well", []error{full, broken, full, nil}, 4, nil},
		{"refused for good", []error{full, kafka.ErrRecordTooLarge, nil}, 2, kafka.ErrRecordTooLarge},
		{"the producer is gone", []error{kafka.ErrProducerClosed, nil}, 1, kafka.ErrProducerClosed},
		{"the partition is taken away", []error{broken}, 11, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				p := &answers{list: c.answers}
				err := produce(ctx, p, slog.New(slog.DiscardHandler), []kafka.Record{{Topic: "t"}})
				if !errors.Is(err, c.want) || p.calls != c.calls {
					t.Fatalf("%v after %d calls, want %v after %d", err, p.calls, c.want, c.calls)
				}
			})
		})
	}
}

// bulky is the history of a visitor whose every list is full of the longest texts, such that JSON needs escapes for them.
func bulky() (events []*event.Event) {
	n := 0
	for i := range 25 {
		e := view(fmt.Sprintf("bulky%d", i), "bulky", "x")
		e.Type, e.Items = event.Purchase, nil
		e.OccurredAt = e.OccurredAt.Add(time.Duration(i) * time.Second)
		e.ReceivedAt = e.OccurredAt
		for j := range 50 {
			item := event.Item{ItemID: strconv.Itoa(n)}
			item.ItemID += strings.Repeat(`"`, event.MaxIDBytes-len(item.ItemID))
			if j < 5 {
				item.ItemCategory = strconv.Itoa(n) + strings.Repeat("\x01", event.MaxNameBytes-10)
				item.ItemBrand = item.ItemCategory
			}
			e.Items = append(e.Items, item)
			n++
		}
		events = append(events, e)
	}
	return events
}

// changes returns the last change of every key of the feed.
func (h *house) changes() map[string]Change {
	h.t.Helper()
	last := make(map[string]Change)
	for _, r := range h.readTopic(event.TopicFeatures) {
		var c Change
		if err := json.Unmarshal(r.Value, &c); err != nil {
			h.t.Fatal(err)
		}
		last[string(r.Key)] = c
	}
	return last
}

// TestLargestProfileIsPublished fills a profile to its bounds: its change must fit into a record.
func TestLargestProfileIsPublished(t *testing.T) {
	h := newHouse(t)
	s := h.start()
	s.drain() // what a first state is made of is no change
	h.produce(bulky()...)
	h.produce(view("small", "small", "<a>"))
	s.drain()
	s.halt()
	if n := metric(t, h.metrics, "millrace_feed_skipped_records_total"); n != 0 {
		t.Fatalf("%v changes were left out", n)
	}
	changes := h.changes()
	c := changes["default:a:bulky:0"]
	if c.Profile == nil || !c.Trimmed || len(c.Profile.Seen) != feature.MaxSeen || len(c.Profile.Bought) != feature.MaxBought ||
		len(c.Profile.Interactions) != feature.MaxInteractions || len(c.Profile.Affinities) != 0 || c.Profile.Interactions[49].Category != "" {
		t.Fatalf("the change of the large profile is trimmed: %v, profile %v", c.Trimmed, c.Profile != nil)
	}
	if c := changes["default:a:small:0"]; c.Trimmed || c.Profile == nil || c.Profile.Seen[0] != "<a>" {
		t.Fatalf("the change of the small profile is %+v", c)
	}
}

// TestRefusedChangeIsLeftOut lets Kafka refuse one row of the feed for good: nothing else may wait for it.
func TestRefusedChangeIsLeftOut(t *testing.T) {
	h := newHouse(t)
	h.useOutput = kafkatest.Producer(t, h.client, kafka.ProducerConfig{Linger: -1, MaxBatchBytes: 32 << 10})
	s := h.start()
	s.drain() // what a first state is made of is no change
	ids := make(map[string]bool)
	for _, e := range bulky()[:8] {
		h.produce(e)
		ids[e.EventID] = true
	}
	s.drain()
	for i := range 20 {
		id := fmt.Sprintf("after%d", i)
		h.produce(view(id, id, "a"))
		ids[id] = true
	}
	s.drain()
	h.checkLanded(ids)
	verify(t, s.Stream)
	s.halt()
	if n := metric(t, h.metrics, "millrace_feed_skipped_records_total"); n < 1 {
		t.Fatalf("%v changes were left out, want the large one", n)
	}
	changes := h.changes()
	for i := range 20 {
		if key := fmt.Sprintf("default:a:after%d:0", i); changes[key].Profile == nil {
			t.Errorf("the feed lacks %s", key)
		}
	}
	if changes["default:a:bulky:0"].Profile != nil {
		t.Error("the refused change is in the feed: the test proves nothing")
	}
}

// TestLargePoisonIsBuried writes records that another program may write but our producer may not.
func TestLargePoisonIsBuried(t *testing.T) {
	h := newHouse(t)
	other := kafkatest.Producer(t, h.client, kafka.ProducerConfig{Linger: -1, MaxBatchBytes: 1 << 20})
	value := make([]byte, 900<<10)
	for i := range value {
		value[i] = byte(i * 7919 >> 3)
	}
	poison := func(key string, value []byte, headers ...kafka.Header) kafka.Record {
		return kafka.Record{Topic: event.TopicEvents, Partition: 0, Time: time.UnixMilli(1_772_000_000_000), Key: []byte(key), Value: value, Headers: headers}
	}
	err := other.Produce(t.Context(), []kafka.Record{
		poison("value", value),
		poison("headers", value[:500<<10], kafka.Header{Key: "big", Value: value[:400<<10]}, kafka.Header{Key: "small", Value: []byte("s")}),
		poison("fits", value[:400<<10], kafka.Header{Key: "own", Value: []byte("header")}),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.produce(view("after", "b1", "a"))
	s := h.start()
	s.drain()
	h.checkLanded(map[string]bool{"after": true})
	letters := h.deadLetters()
	if len(letters) != 3 {
		t.Fatalf("%d dead letters, want 3", len(letters))
	}
	for _, r := range letters {
		headers := make(map[string]string)
		for _, header := range r.Headers {
			headers[header.Key] = string(header.Value)
		}
		if !bytes.HasPrefix(value, r.Value) || headers[HeaderTopic] != event.TopicEvents || headers[HeaderReason] != reasonFormat {
			t.Errorf("letter %q: headers %v", r.Key, headers)
		}
		short := len(r.Value) < 400<<10
		switch string(r.Key) {
		case "value":
			short = short || headers[HeaderTruncated] != strconv.Itoa(len(value)) || headers[HeaderDropped] != ""
		case "fits":
			short = short || headers[HeaderTruncated] != "" || headers["own"] != "header" || len(r.Value) != 400<<10
		default:
			short = short || headers[HeaderTruncated] != "" && headers[HeaderTruncated] != strconv.Itoa(500<<10) || headers[HeaderDropped] != "3" || headers["small"] != ""
		}
		if short {
			t.Errorf("letter %q has %d bytes, truncated %q, dropped %q", r.Key, len(r.Value), headers[HeaderTruncated], headers[HeaderDropped])
		}
	}
}
