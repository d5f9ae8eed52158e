package lake

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/iceberg-go"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// What TestLongScanMemory promises.
const (
	hugeRows      = 100_000_000
	hugePeakBytes = 500 << 20
	hugeFileRows  = 1_000_000
	hugeContents  = 5 // different files, each of which the table has several times: the disk shall not need to hold 100 M rows
)

// hugeEnv makes the test binary a process that scans the lake in this directory.
const hugeEnv = "MILLRACE_TEST_LAKE_HUGE"

// hugeReport is what that process has seen.
type hugeReport struct {
	Peak       int64
	Rows       int64
	OffsetsSum int64
	TextBytes  int64
	Took       time.Duration
}

// TestLongScanMemory scans a table of 100 M rows whole, in a process of its own.
func TestLongScanMemory(t *testing.T) {
	if dir := os.Getenv(hugeEnv); dir != "" {
		scanHuge(t, dir)
		return
	}
	kafkatest.Long(t)
	cfg := Config{Dir: t.TempDir()}
	want := makeHuge(t, openLake(t, cfg))
	var got hugeReport
	runAlone(t, hugeEnv+"="+cfg.Dir, &got)
	t.Logf("%d rows in %v, %.0f rows/s; peak memory %d MiB of %d", got.Rows, got.Took, float64(got.Rows)/got.Took.Seconds(), got.Peak>>20, hugePeakBytes>>20)
	if got.Peak >= hugePeakBytes {
		t.Errorf("peak %d bytes of %d", got.Peak, hugePeakBytes)
	}
	if got.Rows != want.Rows || got.OffsetsSum != want.OffsetsSum || got.TextBytes != want.TextBytes {
		t.Errorf("the scan saw %+v, want %+v", got, want)
	}
}

// makeHuge lands a few files in full, and adds them to the table again and again under other names.
func makeHuge(t *testing.T, l *Lake) (want hugeReport) {
	t.Helper()
	spec := eventsSpec(t)
	dir := filepath.Join(localDir(t, l, spec), "data", spec.day+"_day="+testStart.Format(time.DateOnly))
	var originals []string
	for i := range hugeContents {
		in := mainLanding(i*hugeFileRows, hugeFileRows)
		inDay(in, testStart)
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		for _, r := range in.Events {
			want.OffsetsSum += r.At.Offset
			want.TextBytes += int64(len(r.Event.AnonymousID) + len(r.Event.Type))
		}
		t.Logf("%d of %d files are landed", i+1, hugeContents)
	}
	originals = dataFiles(t, l)
	const times = hugeRows / hugeFileRows / hugeContents
	var links []string
	for copies := 1; copies < times; copies++ {
		for i, file := range originals {
			link := filepath.Join(dir, fmt.Sprintf("copy-%d-%d.parquet", copies, i))
			if err := os.Link(file, link); err != nil {
				t.Fatal(err)
			}
			links = append(links, location(link))
		}
	}
	current, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	tx := current.NewTransaction()
	if err := tx.AddFiles(t.Context(), links, nil, true); err != nil {
		t.Fatal(err)
	}
	key, value := Fence{Topic: event.TopicEvents, Epoch: 1, Next: hugeRows}.property()
	if err := tx.SetProperties(iceberg.Properties{key: value}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return hugeReport{Rows: hugeRows, OffsetsSum: want.OffsetsSum * times, TextBytes: want.TextBytes * times}
}

func scanHuge(t *testing.T, dir string) {
	l := openLakeAt(t, dir)
	var report hugeReport
	began := time.Now()
	for batch, err := range l.Scan(t.Context(), ScanRequest{Table: TableEvents, Columns: []string{"anonymous_id", "type", "occurred_at", "kafka_offset"}}) {
		if err != nil {
			t.Fatal(err)
		}
		report.Rows += batch.NumRows()
		for _, offset := range batch.Column(3).(*array.Int64).Int64Values() {
			report.OffsetsSum += offset
		}
		for _, texts := range []int{0, 1} {
			report.TextBytes += int64(len(batch.Column(texts).(*array.String).ValueBytes()))
		}
	}
	report.Took, report.Peak = time.Since(began), peakMemory(t)
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		t.Fatal(err)
	}
}
