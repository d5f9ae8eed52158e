package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/lake"
)

// TestPoisonIsBuried writes what no collector lets in among good events: each is set aside with its reason and its bytes,
// and nothing else is held up.
func TestPoisonIsBuried(t *testing.T) {
	h := newHouse(t)
	bad := map[string]string{ // value -> reason
		"{":                    reasonFormat,
		`{"event_id":1}`:       reasonFormat,
		`{"event_id":"e"}`:     reasonInvalid,
		`{"site":"No Site!"}`:  reasonInvalid,
		"\x00\xff not text":    reasonFormat,
		`{"occurred_at":"no"}`: reasonFormat,
	}
	future := view("future", "b1", "a")
	future.OccurredAt = future.ReceivedAt.Add(time.Hour)
	value, err := event.Marshal(future)
	if err != nil {
		t.Fatal(err)
	}
	bad[string(value)] = reasonInvalid
	h.produce(view("before", "b1", "a"))
	for v := range bad {
		h.producePoison(v)
	}
	h.produce(view("after", "b1", "a"))
	s := h.start()
	s.drain()
	h.checkLanded(map[string]bool{"before": true, "after": true})
	got := make(map[string]string)
	for _, r := range h.deadLetters() {
		headers := make(map[string]string)
		for _, header := range r.Headers {
			headers[header.Key] = string(header.Value)
		}
		got[string(r.Value)] = headers[HeaderReason]
		if headers[HeaderDetail] == "" || headers[HeaderTopic] != event.TopicEvents || headers[HeaderOffset] == "" || headers[HeaderEpoch] != "1" ||
			headers["own"] != "header" || string(r.Key) != "default:a:b1" {
			t.Errorf("dead letter %q with key %q has headers %v", r.Value, r.Key, headers)
		}
	}
	if !maps.Equal(got, bad) {
		t.Fatalf("dead letters %q, want %q", got, bad)
	}
	if n := metric(t, h.metrics, "millrace_dead_letters_total"); int(n) != len(bad) {
		t.Fatalf("%v dead letters counted, want %d", n, len(bad))
	}
	verify(t, s.Stream)
}

func TestRefusedVisitorLandsWithoutIDs(t *testing.T) {
	h := newHouse(t)
	refused := false
	e := view("e1", "b1", "a")
	e.UserID, e.SessionID, e.Consent = "u1", "s1", &event.Consent{Personalization: &refused}
	h.produce(e)
	s := h.start()
	s.drain()
	err := h.lake.ScanEvents(t.Context(), lake.ScanRequest{Table: lake.TableEvents}, func(r lake.EventRow) error {
		if r.Event.AnonymousID != "" || r.Event.UserID != "" || r.Event.SessionID != "" {
			return fmt.Errorf("landed with ids: %+v", r.Event)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if report := verify(t, s.Stream); report.Profiles != 0 || report.Rows != 2 {
		t.Fatalf("report %+v, want a share of the item and of the site, and no profile", report)
	}
}

func TestExposuresLand(t *testing.T) {
	h := newHouse(t)
	var records []kafka.Record
	for i := range 50 {
		x := event.Exposure{RecID: fmt.Sprintf("r%d", i), Site: "default", Placement: "home", ServedAt: time.UnixMilli(1_772_000_000_000).UTC(),
			Items: []event.ExposureItem{{ItemID: "a", Score: 0.5}}}
		value, err := event.MarshalExposure(&x)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, kafka.Record{Topic: event.TopicExposures, Partition: -1, Key: []byte("default:" + x.RecID), Value: value})
	}
	records = append(records, kafka.Record{Topic: event.TopicExposures, Partition: -1, Key: []byte("k"), Value: []byte("{")})
	for range 2 {
		if err := h.producer.Produce(t.Context(), records[:25]); err != nil {
			t.Fatal(err)
		}
		s := h.start()
		s.drain()
		s.halt()
		records = records[25:]
	}
	if err := h.producer.Produce(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	s := h.start()
	s.drain()
	seen := make(map[string]int)
	err := h.lake.ScanExposures(t.Context(), lake.ScanRequest{Table: lake.TableExposures}, func(r lake.ExposureRow) error {
		seen[r.Exposure.RecID]++
		return nil
	})
	if err != nil || len(seen) != 50 {
		t.Fatalf("%d exposures landed, want 50 (%v)", len(seen), err)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("exposure %s landed %d times", id, n)
		}
	}
	if letters := h.deadLetters(); len(letters) != 1 || string(letters[0].Value) != "{" {
		t.Fatalf("dead letters %v", letters)
	}
}

// TestChangeFeed reads the feed back: the last record of every key is the row of the online store.
func TestChangeFeed(t *testing.T) {
	h, tr := newHouse(t), newTraffic(21)
	s := h.start()
	s.drain() // what a first state is made of is no change
	h.produce(tr.next(200)...)
	s.drain()
	s.halt()
	last := make(map[string]Change)
	partitions := make(map[string]int32)
	for _, r := range h.readTopic(event.TopicFeatures) {
		var c Change
		if err := json.Unmarshal(r.Value, &c); err != nil {
			t.Fatal(err)
		}
		if time.Since(r.Time) > time.Hour {
			t.Fatalf("change %s has the time %s: retention would remove it at once", r.Key, r.Time)
		}
		if (c.Profile == nil) == (c.Item == nil) {
			t.Fatalf("change %s is neither a profile nor an item: %s", r.Key, r.Value)
		}
		if p, ok := partitions[string(r.Key)]; ok && p != r.Partition {
			t.Fatalf("key %s is in partitions %d and %d", r.Key, p, r.Partition)
		}
		last[string(r.Key)], partitions[string(r.Key)] = c, r.Partition
	}
	alone := h.stream()
	defer alone.Close()
	report := verify(t, alone)
	profiles := int64(0)
	for key, c := range last {
		if c.Profile == nil {
			continue
		}
		profiles++
		if want := kafka.PartitionFor([]byte(key[:len(key)-2]), testPartitions); partitions[key] != want {
			t.Errorf("profile %s is in partition %d, its events in %d", key, partitions[key], want)
		}
		if c.Profile.ProfileID != key || c.Profile.Events == 0 || c.FeatureVersion == 0 {
			t.Errorf("change of %s: %+v", key, c)
		}
	}
	if profiles != report.Profiles {
		t.Fatalf("%d profiles in the feed, %d in the state", profiles, report.Profiles)
	}
}

// TestWithARealGroup runs under the consumer group instead of fixed partitions.
func TestWithARealGroup(t *testing.T) {
	h, tr := newHouse(t), newTraffic(22)
	h.assigner = kafka.NewGroup(h.client, kafka.GroupConfig{Group: Group, Topics: Topics()})
	s := h.start()
	s.drain() // only what comes to a state that stands is fresh
	h.produce(tr.next(100)...)
	s.drain()
	h.checkLanded(tr.ids)
	s.halt()
	lag, err := h.client.LagRecords(t.Context(), Group, event.TopicEvents)
	if err != nil {
		t.Fatal(err)
	}
	for partition, n := range lag {
		if n != 0 {
			t.Errorf("partition %d lags by %d records after the drain", partition, n)
		}
	}
	if n := metric(t, h.metrics, "millrace_event_to_feature_seconds"); int(n) < len(tr.ids) {
		t.Errorf("freshness of %v records observed, want at least %d", n, len(tr.ids))
	}
}

// brokenLake refuses every commit.
type brokenLake struct{ Lake }

func (brokenLake) Commit(context.Context, lake.Landing) error { return errors.New("disk is full") }

// TestBrokenLakeBoundsMemory lets the lake refuse everything: landing takes so much and no more, the rest waits in Kafka,
// and the age of the oldest row shows it.
func TestBrokenLakeBoundsMemory(t *testing.T) {
	h := newHouse(t)
	h.drainTimeout = time.Millisecond
	h.useLake = brokenLake{h.lake}
	s := h.stream()
	defer s.Close()
	key := lake.FenceKey{Topic: event.TopicEvents, Epoch: 1}
	s.landing.begin(key, 0, 0)
	ctx, cancel := context.WithCancel(t.Context())
	blocked := make(chan error)
	go func() {
		for next := int64(1); ; next++ {
			h := handover{next: next * 1000, bytes: 1 << 20, events: []lake.EventRow{{Event: view("e", "b", "i"), At: lake.Position{Offset: next * 1000}}}}
			if err := s.landing.add(ctx, key, h); err != nil {
				blocked <- err
				return
			}
		}
	}()
	full := func() bool {
		s.landing.mu.Lock()
		defer s.landing.mu.Unlock()
		return s.landing.bytes >= landingFull*s.landing.maxBytes
	}
	for !full() {
		select {
		case err := <-blocked:
			t.Fatalf("landing ended early: %v", err)
		default:
		}
	}
	if s.landing.age() <= 0 {
		t.Error("nothing seems to wait")
	}
	cancel()
	if err := <-blocked; !errors.Is(err, context.Canceled) {
		t.Fatalf("a partition that waits for room ended with %v", err)
	}
	if s.landing.bytes > landingFull*s.landing.maxBytes+1<<20 {
		t.Fatalf("%d bytes wait, the bound is %d", s.landing.bytes, landingFull*s.landing.maxBytes)
	}
}
