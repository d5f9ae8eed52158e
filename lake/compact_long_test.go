package lake

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/iceberg-go"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// What TestLongCompact promises.
const (
	longFiles       = 20_000
	longFileRows    = 50
	longBatchFiles  = 250             // brought by one commit
	longEventsEvery = 5 * time.Second // as `up` commits
	longEvents      = 25_000          // landed each longEventsEvery
	longCommits     = 100             // at least, so that a hundredth of them is one
	longPeakBytes   = 1 << 30
	longCommitP99   = time.Second
)

// longEnv makes the test binary a process that compacts the lake in this directory while it lands.
const longEnv = "MILLRACE_TEST_LAKE_LONG"

// longReport is what that process has measured.
type longReport struct {
	Peak       int64
	Commits    int
	P50, P99   time.Duration
	Compaction Compaction
	Landed     int
}

// TestLongCompact compacts a day of 20,000 small files in a process that lands 5,000 events a second meanwhile.
func TestLongCompact(t *testing.T) {
	if dir := os.Getenv(longEnv); dir != "" {
		compactAndLand(t, dir)
		return
	}
	kafkatest.Long(t)
	cfg := Config{Dir: t.TempDir()}
	l := openLake(t, cfg)
	landManyFiles(t, l)
	before := timePlan(t, l)
	var got longReport
	runAlone(t, longEnv+"="+cfg.Dir, &got)
	t.Logf("compacted %+v", got.Compaction)
	t.Logf("peak memory %d MiB; %d commits of %d events, p50 %v, p99 %v; planning took %v and takes %v",
		got.Peak>>20, got.Commits, longEvents, got.P50, got.P99, before, timePlan(t, l))
	if got.Peak > longPeakBytes || got.P99 > longCommitP99 {
		t.Errorf("peak %d bytes of %d, p99 %v of %v", got.Peak, longPeakBytes, got.P99, longCommitP99)
	}
	if got.Compaction.FilesRead < longFiles || got.Compaction.FilesAfter > 200 {
		t.Errorf("%d files were merged, %d are left", got.Compaction.FilesRead, got.Compaction.FilesAfter)
	}
	checkOffsets(t, l, []int{longFiles * longFileRows, got.Landed})
}

// runAlone runs the test in a process of its own, whose environment says so, and reads the report that this writes as its first line.
func runAlone(t *testing.T, environment string, report any) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=30m")
	cmd.Env = append(os.Environ(), environment)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	if err := json.Unmarshal([]byte(line), report); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
}

// landManyFiles lands partition 0 in files of a few rows; many files a commit, or it would take an hour.
func landManyFiles(t *testing.T, l *Lake) {
	t.Helper()
	s, spec := newSampler(61), eventsSpec(t)
	dir := filepath.Join(localDir(t, l, spec), "data", spec.day+"_day="+testStart.Format(time.DateOnly))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for file := 0; file < longFiles; {
		var paths []string
		for range longBatchFiles {
			in := s.landEvents(0, file*longFileRows, longFileRows)
			inDay(in, testStart)
			path := filepath.Join(dir, fileName(in.Fences))
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := EncodeEvents(f, in.Events); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, location(path))
			file++
		}
		current, err := l.current(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		tx := current.NewTransaction()
		if err := tx.AddFiles(t.Context(), paths, nil, true); err != nil {
			t.Fatal(err)
		}
		key, value := Fence{Topic: event.TopicEvents, Epoch: 1, Next: int64(file * longFileRows)}.property()
		if err := tx.SetProperties(iceberg.Properties{key: value}); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func timePlan(t *testing.T, l *Lake) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := l.plan(t.Context(), ScanRequest{Table: TableEvents, Site: "default"}); err != nil {
		t.Fatal(err)
	}
	return time.Since(began).Round(time.Millisecond)
}

func compactAndLand(t *testing.T, dir string) {
	l := openLakeAt(t, dir)
	var ended atomic.Bool
	done := make(chan Compaction, 1)
	go func() {
		defer ended.Store(true)
		out, err := l.Compact(t.Context(), CompactRequest{Table: TableEvents, Progress: longProgress()})
		if err != nil || len(out) != 1 {
			t.Errorf("compact: %v, %v", out, err)
			close(done)
			return
		}
		done <- out[0]
	}()
	s := newSampler(62)
	var took []time.Duration
	next, err := l.Next(t.Context(), TableEvents)
	if err != nil {
		t.Fatal(err)
	}
	report := longReport{Landed: int(next[FenceKey{event.TopicEvents, 1, 1}].Next)}
	tick := time.NewTicker(longEventsEvery)
	defer tick.Stop()
	for ; !ended.Load() || len(took) < longCommits; <-tick.C {
		in := s.landEvents(1, report.Landed, longEvents)
		inDay(in, testStart)
		began := time.Now()
		if err := l.Commit(context.WithoutCancel(t.Context()), in); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(began))
		report.Landed += longEvents
	}
	slices.Sort(took)
	report.Commits, report.P50, report.P99 = len(took), took[len(took)/2], took[len(took)*99/100]
	report.Compaction = <-done
	report.Peak = peakMemory(t)
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		t.Fatal(err)
	}
}

func longProgress() func(CompactProgress) {
	next := time.Now()
	return func(p CompactProgress) {
		if time.Now().After(next) {
			next = time.Now().Add(10 * time.Second)
			fmt.Fprintf(os.Stderr, "%d of %d files\n", p.Files, p.TotalFiles)
		}
	}
}

// peakMemory is the largest resident set of this process so far, in bytes.
func peakMemory(t *testing.T) int64 {
	t.Helper()
	status, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatalf("peak memory is read as Linux tells it: %v", err)
	}
	defer status.Close()
	for lines := bufio.NewScanner(io.LimitReader(status, 1<<20)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no peak memory in /proc/self/status")
	return 0
}

// checkOffsets wants the offsets from 0 up to rows[p] of every partition p once.
func checkOffsets(t *testing.T, l *Lake, rows []int) {
	t.Helper()
	seen := make([][]bool, len(rows))
	for p, n := range rows {
		seen[p] = make([]bool, n)
	}
	count := 0
	for batch, err := range l.Scan(t.Context(), ScanRequest{Table: TableEvents, Columns: []string{"kafka_partition", "kafka_offset"}}) {
		if err != nil {
			t.Fatal(err)
		}
		partitions, offsets := batch.Column(0).(*array.Int32), batch.Column(1).(*array.Int64)
		for i := range int(batch.NumRows()) {
			p, offset := partitions.Value(i), offsets.Value(i)
			if seen[p][offset] {
				t.Errorf("%d/%d is there twice", p, offset)
			}
			seen[p][offset] = true
			count++
		}
	}
	want := 0
	for _, n := range rows {
		want += n
	}
	if count != want {
		t.Errorf("%d rows, want %d", count, want)
	}
}
