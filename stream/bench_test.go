package stream

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// shopRecords makes records as a click history has them: sessions of about five views over a catalogue of 5,000 items, in
// the order of time, so that many sessions run at once.
func shopRecords(tb testing.TB, n int) []kafka.Record {
	tb.Helper()
	records := make([]kafka.Record, n)
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for i := range records {
		at = at.Add(300 * time.Millisecond)
		session := i/500*100 + (i*7919)%100
		price := float64(i%9000) / 100
		e := event.Event{EventID: event.NewID(at), Site: "default", Type: event.ViewItem, OccurredAt: at, ReceivedAt: at,
			AnonymousID: fmt.Sprintf("b%07d", session), Items: []event.Item{{ItemID: fmt.Sprintf("item%d", (i*i)%5000),
				ItemCategory: fmt.Sprintf("c%d", i%40), Price: &price}}}
		value, err := event.Marshal(&e)
		if err != nil {
			tb.Fatal(err)
		}
		records[i] = kafka.Record{Topic: event.TopicEvents, Offset: int64(i), Time: at, Key: []byte(e.Key()), Value: value}
	}
	return records
}

// BenchmarkApply is one event's share of a batch: decode, de-duplicate, apply, commit, write to the online store.
func BenchmarkApply(b *testing.B) {
	cache := state.NewCache(64 << 20)
	defer cache.Close()
	db, err := state.Open(b.TempDir(), state.Options{Cache: cache})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	online, err := onlinestore.OpenEmbedded(onlinestore.EmbeddedConfig{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer online.Close()
	a, err := newApplier(db, 0, allRows)
	if err != nil {
		b.Fatal(err)
	}
	records := shopRecords(b, 50_000)
	b.ReportAllocs()
	i := 0
	flush := func() {
		rows, err := a.commit(1)
		if err != nil {
			b.Fatal(err)
		}
		if err := online.Put(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		r := &records[i%len(records)]
		e, poison := decodeEvent(a.reader, r)
		if poison != nil {
			b.Fatal(poison.detail)
		}
		if i >= len(records) { // the history is over: the same events under new ids
			e.EventID = event.NewID(e.OccurredAt)
		}
		if duplicate, err := a.apply(e, state.Position{Epoch: 1, Offset: int64(i)}); err != nil || duplicate {
			b.Fatal(duplicate, err)
		}
		if i++; i%batchRecords == 0 {
			flush()
		}
	}
	flush()
}

func BenchmarkDecode(b *testing.B) {
	records, reader := shopRecords(b, 1000), event.NewReader()
	b.SetBytes(int64(len(records[0].Value)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, poison := decodeEvent(reader, &records[i%1000]); poison != nil {
			b.Fatal(poison.detail)
		}
		i++
	}
}
