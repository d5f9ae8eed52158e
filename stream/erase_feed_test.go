package stream

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// TestFeedRemains tells what an erasure has to look for again from what only Kafka's compaction is waited for.
func TestFeedRemains(t *testing.T) {
	h := newHouse(t)
	key := erasure.NewKey()
	ledger := erasure.NewLedger(key, 1, []erasure.Entry{{Site: "default", Kind: erasure.KindUser, Hash: key.Hash(erasure.KindUser, "default", "anna"),
		Until: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), Erasure: "e"}})
	seen := func(user, at string) kafka.Record {
		id := "default:u:" + user + ":0"
		value, err := json.Marshal(map[string]any{"profile": map[string]any{"profile_id": id, "user_id": user, "first_seen_at": at}})
		if err != nil {
			t.Fatal(err)
		}
		return kafka.Record{Topic: event.TopicFeatures, Partition: 0, Key: []byte(id), Value: value}
	}
	profile := func(user string) kafka.Record { return seen(user, "2026-03-01T00:00:00Z") }
	s := h.stream()
	defer s.Close()
	for _, c := range []struct {
		name         string
		add          kafka.Record
		live, buried int64
	}{
		{"somebody else", profile("bert"), 0, 0},
		{"a value", profile("anna"), 1, 0},
		{"a second one", profile("anna"), 2, 0},
		{"a tombstone of somebody else", tombstone(grave{0, "default:u:bert:0"}), 2, 0},
		{"a tombstone", tombstone(grave{0, "default:u:anna:0"}), 0, 2},
		{"a value behind it", profile("anna"), 1, 2},
		{"a tombstone again", tombstone(grave{0, "default:u:anna:0"}), 0, 3},
		{"a value behind that", profile("anna"), 1, 3},
		{"somebody who came back", seen("anna", "2026-05-01T00:00:00Z"), 0, 4},
	} {
		if err := h.producer.Produce(t.Context(), []kafka.Record{c.add}); err != nil {
			t.Fatal(err)
		}
		held := Holdings{}
		if err := s.surveyFeed(t.Context(), ledger, held); err != nil {
			t.Fatal(err)
		}
		if held[event.TopicFeatures] != c.live || held[StoreUncompacted] != c.buried {
			t.Errorf("%s: %v, want %d and %d", c.name, held, c.live, c.buried)
		}
	}
	r := &erasureRound{s: s, ledger: ledger}
	stirred := func(want int64) {
		t.Helper()
		before := h.written(event.TopicFeatures)
		if err := r.stir(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := h.written(event.TopicFeatures) - before; n != want {
			t.Errorf("%d tombstones were written, want %d", n, want)
		}
	}
	stirred(0) // one would delete the row of whoever came back
	if err := h.producer.Produce(t.Context(), []kafka.Record{tombstone(grave{0, "default:u:anna:0"})}); err != nil {
		t.Fatal(err)
	}
	stirred(1)
}

// TestBuryStrays buries what stands where its key does not belong any more, and leaves to the sweep what stands where it does.
func TestBuryStrays(t *testing.T) {
	h := newHouse(t)
	key := erasure.NewKey()
	ledger := erasure.NewLedger(key, 1, []erasure.Entry{{Site: "default", Kind: erasure.KindUser, Hash: key.Hash(erasure.KindUser, "default", "anna"),
		Until: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), Erasure: "e"}})
	home := kafka.PartitionFor([]byte("default:u:anna"), testPartitions)
	away := (home + 1) % testPartitions
	value := []byte(`{"profile":{"profile_id":"default:u:anna:0","user_id":"anna","first_seen_at":"2026-03-01T00:00:00Z"}}`)
	for _, partition := range []int32{home, away} {
		record := kafka.Record{Topic: event.TopicFeatures, Partition: partition, Key: []byte("default:u:anna:0"), Value: value}
		if err := h.producer.Produce(t.Context(), []kafka.Record{record}); err != nil {
			t.Fatal(err)
		}
	}
	s := h.stream()
	defer s.Close()
	r := &erasureRound{s: s, ledger: ledger}
	for range 2 { // the second time there is nothing to do
		if err := r.buryStrays(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	found, err := s.feedRemains(t.Context(), ledger)
	if err != nil {
		t.Fatal(err)
	}
	atHome, atAway := found[grave{home, "default:u:anna:0"}], found[grave{away, "default:u:anna:0"}]
	if *atHome != (remains{live: 1}) || *atAway != (remains{buried: 1, dead: true}) || h.written(event.TopicFeatures) != 3 {
		t.Errorf("at home %+v, away %+v, %d records", *atHome, *atAway, h.written(event.TopicFeatures))
	}
}

// written adds up the ends of a topic's partitions.
func (h *house) written(topic string) (sum int64) {
	h.t.Helper()
	ranges, err := h.client.Offsets(h.t.Context(), topic)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range ranges {
		sum += r.End
	}
	return sum
}
