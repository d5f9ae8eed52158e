package trainer

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// maxTrainingBytes is the product's promise for some 700,000 events.
const maxTrainingBytes = 2 << 30

// Real histories through the lake and a training process: within the promised memory, and far better than popularity.
func TestRealHistories(t *testing.T) {
	data := os.Getenv("MILLRACE_TEST_DATA")
	if data == "" {
		t.Skip("MILLRACE_TEST_DATA names no folder with real data")
	}
	for _, c := range []struct {
		folder, item, session, clock string
		minHR, minMRR                float64
	}{
		{"serenade-clicks", "item_id", "session_id", "timestamp", 0.5, 0.25},
		{"retailrocket-sessions", "item_id", "session_id", "", 0.5, 0.25},
	} {
		t.Run(c.folder, func(t *testing.T) {
			b := newBench(t, 0)
			events := readEvents(t, filepath.Join(data, c.folder, "events.csv.gz"), c.session, c.item, c.clock)
			l := openLake(t, b.lakeDir())
			const commit = 100_000
			for from := 0; from < len(events); from += commit {
				land(t, l, int64(from), events[from:min(from+commit, len(events))]...)
			}
			result, err := Spawn(t.Context(), self(t), b.request())
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d rows in %.1f s, %d MiB: %s", result.Rows, result.Seconds, result.PeakRSSBytes>>20, result.Reason)
			for name, metrics := range result.Models {
				t.Logf("%s: HR@20 %.4f, MRR@20 %.4f", name, metrics["HR@20"].Value, metrics["MRR@20"].Value)
			}
			if result.Rows != int64(len(events)) || !result.Promoted {
				t.Fatalf("of %d events: %+v", len(events), result)
			}
			if result.PeakRSSBytes > maxTrainingBytes {
				t.Errorf("took %d bytes", result.PeakRSSBytes)
			}
			if m := result.Metrics; m["HR@20"].Value < c.minHR || m["MRR@20"].Value < c.minMRR {
				t.Errorf("reached %+v", m)
			}
		})
	}
}

// readEvents reads a file as `import` would record it; without a time column the order is the clock.
func readEvents(t *testing.T, path, session, item, clock string) []*event.Event {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatalf("no such data: %v", err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows := csv.NewReader(plain)
	header, err := rows.Read()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range header {
		column[name] = i
	}
	var out []*event.Event
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		e := &event.Event{
			EventID: fmt.Sprint(len(out)), Site: testSite, Type: event.ViewItem, AnonymousID: row[column[session]], SessionID: row[column[session]],
			Items: []event.Item{{ItemID: row[column[item]]}}, OccurredAt: testStart.Add(time.Duration(len(out)) * time.Second), Clock: event.ClockLogical,
		}
		if clock != "" {
			seconds, err := strconv.ParseInt(row[column[clock]], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			e.OccurredAt, e.Clock = time.Unix(seconds, 0).UTC(), ""
		}
		e.ReceivedAt = testStart // one day of arrival, as an import has
		out = append(out, e)
	}
}
