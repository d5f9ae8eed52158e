package stream

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/lake"
)

// TestItemsLand lands the catalogue's history across restarts, each record once; what is no row of a catalogue becomes a dead
// letter, and a tombstone nothing.
func TestItemsLand(t *testing.T) {
	h := newHouse(t)
	var records []kafka.Record
	want := make(map[string]int64)
	add := func(item string, revision int64) {
		value, err := json.Marshal(event.CatalogueRow{Site: "default", CatalogueItem: event.CatalogueItem{ItemID: item, Available: true},
			Revision: revision, BaseRevision: revision - 1, UpdatedAt: time.Date(2026, 3, 1, 0, 0, int(revision), 0, time.UTC)})
		if err != nil {
			t.Fatal(err)
		}
		want[item] += revision
		records = append(records, kafka.Record{Topic: event.TopicItems, Partition: -1, Key: []byte("default:" + item), Value: value})
	}
	for i := range 30 {
		add(fmt.Sprint("i", i%7), int64(i/7+1))
	}
	records = append(records, kafka.Record{Topic: event.TopicItems, Partition: -1, Key: []byte("default:gone")},
		kafka.Record{Topic: event.TopicItems, Partition: -1, Key: []byte("default:bad"), Value: []byte(`{"site":"default"}`)})
	for len(records) > 0 {
		part := records[:min(11, len(records))]
		records = records[len(part):]
		if err := h.producer.Produce(t.Context(), part); err != nil {
			t.Fatal(err)
		}
		s := h.start()
		s.drain()
		s.halt()
	}
	got, rows := make(map[string]int64), 0
	err := h.lake.ScanItems(t.Context(), lake.ScanRequest{}, func(r lake.ItemRow) error {
		got[r.Item.ItemID] += r.Item.Revision
		rows++
		return nil
	})
	if err != nil || rows != 30 {
		t.Fatalf("%d rows landed, want 30 (%v)", rows, err)
	}
	for item, sum := range want {
		if got[item] != sum {
			t.Errorf("the revisions of %s add up to %d, want %d", item, got[item], sum)
		}
	}
	if letters := h.deadLetters(); len(letters) != 1 || string(letters[0].Value) != `{"site":"default"}` {
		t.Errorf("dead letters %v", letters)
	}
}
