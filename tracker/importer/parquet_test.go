package importer_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/history"
	"github.com/millrace/millrace/tracker/importer"
)

type parquetItem struct {
	ItemID   string   `parquet:"item_id"`
	Quantity *float64 `parquet:"quantity,optional"`
}

type parquetEvent struct {
	Type          string        `parquet:"type"`
	UserID        *string       `parquet:"user_id,optional"`
	AnonymousID   *string       `parquet:"anonymous_id,optional"`
	OccurredAt    time.Time     `parquet:"occurred_at,timestamp(microsecond)"`
	Items         []parquetItem `parquet:"items,optional,list"`
	TransactionID *string       `parquet:"transaction_id,optional"`
}

// TestEventsParquet imports the same events, with lists of items, from Parquet and from JSON lines: what the stream gets is
// the same, and to the ledger it is one file.
func TestEventsParquet(t *testing.T) {
	u, x, order, two := "u", "x", "t9", 2.0
	path := filepath.Join(t.TempDir(), "events.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := parquet.NewGenericWriter[parquetEvent](f)
	_, err = w.Write([]parquetEvent{
		{"purchase", &u, nil, at("2020-05-31T00:20:13Z"), []parquetItem{{"a", &two}, {"b", nil}}, &order},
		{"page_view", nil, &x, at("2020-06-01T00:00:00.25Z"), nil, nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	lines := file(t, "events.jsonl", `{"type":"purchase","user_id":"u","occurred_at":"2020-05-31T00:20:13Z","items":[{"item_id":"a","quantity":2},{"item_id":"b"}],"transaction_id":"t9"}
{"type":"page_view","anonymous_id":"x","occurred_at":"2020-06-01T00:00:00.25Z"}
`)
	fromParquet, fromLines, known := &log{}, &log{}, ledger(t)
	sum, err := newImporter(t, importer.Config{}, importer.Deps{Producer: fromParquet, Ledger: known}).Events(t.Context(), path)
	if err != nil || sum.Added != 2 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if _, err := newImporter(t, importer.Config{}, importer.Deps{Producer: fromLines, Ledger: ledger(t)}).Events(t.Context(), lines); err != nil {
		t.Fatal(err)
	}
	got, want := fromParquet.events(t), fromLines.events(t)
	same := func(a, b event.Event) bool {
		return a.EventID == b.EventID && a.Type == b.Type && a.OccurredAt.Equal(b.OccurredAt) && a.UserID == b.UserID &&
			a.AnonymousID == b.AnonymousID && a.TransactionID == b.TransactionID && slices.EqualFunc(a.Items, b.Items, sameItem)
	}
	if !slices.EqualFunc(got, want, same) || len(got[0].Items) != 2 {
		t.Errorf("from Parquet %+v, from JSON lines %+v", got, want)
	}
	again := &log{}
	if _, err := newImporter(t, importer.Config{Format: history.JSONL}, importer.Deps{Producer: again, Ledger: known}).Events(t.Context(), lines); err != nil || len(again.records) != 0 {
		t.Errorf("the same rows as JSON lines sent %d records again (%v)", len(again.records), err)
	}
}

func sameItem(a, b event.Item) bool {
	return a.ItemID == b.ItemID && (a.Quantity == nil) == (b.Quantity == nil) && (a.Quantity == nil || *a.Quantity == *b.Quantity)
}
