package lake

import (
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/event"
)

// shopEvents are rows as a shop sends them: about fifteen columns filled, one item an event.
func shopEvents(n int) []EventRow {
	s := newSampler(77)
	rows := make([]EventRow, n)
	for i := range rows {
		at := testStart.Add(time.Duration(i) * 20 * time.Millisecond)
		price := float64(s.IntN(10_000)) / 100
		rows[i] = EventRow{
			At: Position{Topic: event.TopicEvents, Epoch: 1, Partition: 0, Offset: int64(i)},
			Event: &event.Event{
				EventID: uuid.Must(uuid.NewV7()).String(), Site: event.DefaultSite, Type: event.ViewItem, OccurredAt: at, ReceivedAt: testStart,
				AnonymousID: fmt.Sprintf("visitor-%d", s.IntN(20_000)), SessionID: fmt.Sprintf("session-%d", i/8),
				Items:  []event.Item{{ItemID: fmt.Sprintf("item-%d", s.IntN(5_000)), ItemCategory: fmt.Sprintf("category-%d", s.IntN(50)), Price: &price}},
				Device: "mobile", UserAgentFamily: "Chrome", NetworkPrefix: "203.0.113.0/24",
			},
		}
	}
	return rows
}

func reportRows(b *testing.B, rows int) {
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkEncodeEvents(b *testing.B) {
	rows := shopEvents(100_000)
	b.ResetTimer()
	for range b.N {
		if err := EncodeEvents(io.Discard, rows); err != nil {
			b.Fatal(err)
		}
	}
	reportRows(b, len(rows))
}

func BenchmarkCommit100k(b *testing.B) {
	l := openTestLake(b)
	rows := shopEvents(100_000)
	b.ResetTimer()
	for i := range b.N {
		from := int64(i * len(rows))
		for j := range rows {
			rows[j].At.Offset = from + int64(j)
		}
		fence := Fence{Topic: event.TopicEvents, Epoch: 1, From: from, Next: from + int64(len(rows))}
		if err := l.Commit(b.Context(), Landing{Events: rows, Fences: []Fence{fence}}); err != nil {
			b.Fatal(err)
		}
	}
	reportRows(b, len(rows))
}

// benchLake holds 200,000 rows in two files.
func benchLake(b *testing.B) *Lake {
	l := openTestLake(b)
	rows := shopEvents(200_000)
	for part := range 2 {
		half := rows[part*100_000 : (part+1)*100_000]
		fence := Fence{Topic: event.TopicEvents, Epoch: 1, From: int64(part * 100_000), Next: int64((part + 1) * 100_000)}
		if err := l.Commit(b.Context(), Landing{Events: half, Fences: []Fence{fence}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	return l
}

func BenchmarkScan(b *testing.B) {
	for name, columns := range map[string][]string{
		"1column": {"occurred_at"}, "4columns": {"anonymous_id", "type", "occurred_at", "items.item_id"}, "flat": nil,
	} {
		b.Run(name, func(b *testing.B) {
			l := benchLake(b)
			for range b.N {
				rows := 0
				for record, err := range l.Scan(b.Context(), ScanRequest{Table: TableEvents, Columns: columns}) {
					if err != nil {
						b.Fatal(err)
					}
					rows += int(record.NumRows())
				}
				if rows != 200_000 {
					b.Fatal(rows)
				}
			}
			reportRows(b, 200_000)
		})
	}
}

func BenchmarkScanEvents(b *testing.B) {
	l := benchLake(b)
	for range b.N {
		if n := countEvents(b, l, ScanRequest{}); n != 200_000 {
			b.Fatal(n)
		}
	}
	reportRows(b, 200_000)
}

// BenchmarkCommitForEver commits a row and 16 fences at a time, as `up` does every five seconds, with maintenance every
// ten minutes of that cadence: latency and metadata must not grow. Run it with -benchtime 2000x or more.
func BenchmarkCommitForEver(b *testing.B) {
	const (
		cadence    = 5 * time.Second
		maintained = int(10 * time.Minute / cadence)
	)
	l, rows := openTestLake(b), shopEvents(1)
	took := make([]time.Duration, b.N)
	metadataBytes, maintenance := int64(0), time.Duration(0)
	b.ResetTimer()
	for i := range b.N {
		var in Landing
		for p := range int32(16) {
			in.Fences = append(in.Fences, Fence{Topic: event.TopicEvents, Epoch: 1, Partition: p, From: int64(i), Next: int64(i + 1), Hash: uint64(i)})
		}
		rows[0].At.Offset = int64(i)
		in.Events = rows
		start := time.Now()
		if err := l.Commit(b.Context(), in); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(start)
		if i%maintained == maintained-1 {
			start := time.Now()
			if err := l.Maintain(b.Context(), start); err != nil {
				b.Fatal(err)
			}
			maintenance = max(maintenance, time.Since(start))
		}
		if i%100 == 0 {
			metadataBytes = max(metadataBytes, metadataSize(b, l))
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
	b.ReportMetric(float64(metadataBytes), "metadata-bytes")
	b.ReportMetric(float64(maintenance.Milliseconds()), "maintain-ms")
}

func metadataSize(b *testing.B, l *Lake) int64 {
	infos, err := l.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	path, err := localPath(infos[0].MetadataLocation)
	if err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}
