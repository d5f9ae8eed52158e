package importer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/tracker/importer"
)

// dataEnv names the directory of real interaction data; the files may not be redistributed, so they are not here.
const dataEnv = "MILLRACE_TEST_DATA"

func realData(tb testing.TB, name string) string {
	tb.Helper()
	dir := os.Getenv(dataEnv)
	if dir == "" {
		tb.Skipf("%s is not set: it names the directory that holds %s", dataEnv, name)
	}
	return filepath.Join(dir, filepath.FromSlash(name))
}

func brokerProducer(tb testing.TB) (*kafka.Client, *kafka.Producer) {
	client := kafkatest.Client(tb, kafkatest.Broker(tb))
	kafkatest.Topic(tb, client, event.TopicEvents, broker.Partitions)
	return client, kafkatest.Producer(tb, client, kafka.ProducerConfig{})
}

// readAll counts what a topic holds, and checks that each visitor's rows are in one partition in the file's order.
func readAll(t *testing.T, client *kafka.Client) (rows int, ids map[string]bool) {
	t.Helper()
	ids = make(map[string]bool)
	at := make(map[string]int32)
	last := make(map[string]event.Event)
	offsets, err := client.Offsets(t.Context(), event.TopicEvents)
	if err != nil {
		t.Fatal(err)
	}
	for partition, bounds := range offsets {
		for offset := bounds.Start; offset < bounds.End; {
			got, err := client.Fetch(t.Context(), kafka.FetchRequest{Topic: event.TopicEvents, Partition: partition, Offset: offset})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range got.Records {
				var e event.Event
				if err := event.Unmarshal(r.Value, &e); err != nil {
					t.Fatal(err)
				}
				if age := time.Since(r.Time); age > time.Hour {
					t.Fatalf("a record that was just sent is %v old", age)
				}
				if p, seen := at[e.Key()]; seen && p != partition {
					t.Fatalf("key %s in partitions %d and %d", e.Key(), p, partition)
				}
				if !ids[e.EventID] && e.OccurredAt.Before(last[e.Key()].OccurredAt) {
					t.Fatalf("key %s: %v after %v", e.Key(), e.OccurredAt, last[e.Key()].OccurredAt)
				}
				at[e.Key()], last[e.Key()] = partition, e
				ids[e.EventID] = true
				rows++
			}
			offset = got.Next
		}
	}
	return rows, ids
}

func TestRealSerenadeThroughBroker(t *testing.T) {
	path := realData(t, "serenade-clicks/events.csv.gz")
	client, producer := brokerProducer(t)
	cfg := importer.Config{
		Type: event.ViewItem,
		Map:  mapping(t, "anonymous_id=session_id,session_id=session_id,item_id=item_id,occurred_at=timestamp"),
	}
	im := newImporter(t, cfg, importer.Deps{Producer: producer, Ledger: ledger(t)})
	sum, err := im.Events(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	const rows = 116_285
	if sum.Added != rows || sum.Rejected != 0 || sum.LogicalClock || sum.First.Format("2006-01-02") != "2020-05-31" || sum.Last.Format("2006-01-02") != "2020-06-30" {
		t.Errorf("summary %+v", sum)
	}
	if again, err := im.Events(t.Context(), path); err != nil || again.Added != 0 || !again.AlreadyImported {
		t.Errorf("second run %+v, %v", again, err)
	}
	// A second process that lost the ledger sends the same ids again.
	if lost, err := newImporter(t, cfg, importer.Deps{Producer: producer, Ledger: ledger(t)}).Events(t.Context(), path); err != nil || lost.Added != rows {
		t.Errorf("run without ledger %+v, %v", lost, err)
	}
	if got, ids := readAll(t, client); got != 2*rows || len(ids) != rows {
		t.Errorf("topic holds %d records of %d ids, want %d of %d", got, len(ids), 2*rows, rows)
	}
}

// BenchmarkEvents is an import through the embedded broker, fsync included; a row is 40 bytes of CSV.
func BenchmarkEvents(b *testing.B) {
	const rows = 20_000
	store := ledger(b)
	_, producer := brokerProducer(b)
	dir := b.TempDir()
	var text strings.Builder
	for n := 0; b.Loop(); n++ {
		text.Reset()
		text.WriteString("user_id,item_id,timestamp\n")
		for i := range rows {
			fmt.Fprintf(&text, "user-%d-%d,item-%d,%d\n", n, i%1000, i, 1590884413+i)
		}
		path := filepath.Join(dir, "rows.csv")
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			b.Fatal(err)
		}
		im, err := importer.New(importer.Config{Type: event.ViewItem, RejectDir: dir}, importer.Deps{Producer: producer, Ledger: store})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := im.Events(b.Context(), path); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
