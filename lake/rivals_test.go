package lake

import (
	"bufio"
	"encoding/json"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// What TestLongRivals measures, as the median of rounds in which all take their turn.
const (
	rivalRounds    = 5
	rivalRows      = 4 * maxRowGroupRows
	rivalScanFiles = 4 // of rivalRows
)

// Millrace as it runs, and on one processor as the others. The others write with one thread.
const (
	ours    = "millrace"
	oursOne = "millrace, one processor"
)

// rivalLimits say how much of a rival's rate one of ours must reach at least.
type rivalLimits map[string]map[string]float64

// pyarrow is no limit for one processor: compression is half of the work, and its compressor is twice as fast as one in Go.
var landingLimits = rivalLimits{ours: {"duckdb": 0.8, "pyarrow": 0.8}, oursOne: {"duckdb": 0.8}}

var scanLimits = rivalLimits{ours: {"duckdb": 0.5}, oursOne: {"duckdb": 0.5}}

// TestLongRivals measures landing and scan beside other engines on the same rows in the same run. A landing writes the whole
// schema, makes it durable and commits it; the others write only the fifteen columns that the rows fill, from tables in
// memory, into a durable file.
func TestLongRivals(t *testing.T) {
	kafkatest.Long(t)
	r := startRivals(t)
	t.Run("landing", r.landing)
	t.Run("scan", r.scan)
}

func (r *rivals) landing(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		missing(t, "the limits of landing are those of two processors, and one is to be had")
	}
	in := mainLanding(0, rivalRows)
	land := func() (rate float64, files []string) {
		l := openTestLake(t)
		runtime.GC() // the other side's garbage is not ours
		began := time.Now()
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		return rivalRows / time.Since(began).Seconds(), dataFiles(t, l)
	}
	_, files := land() // everybody's warm-up, and what the others load
	if got := r.do(t, "load", rivalRequest{Files: files}); got.Rows != rivalRows {
		t.Fatalf("%d rows were loaded", got.Rows)
	}
	want := r.do(t, "sums", rivalRequest{Files: files}).Sums
	rates, size := rateTable{}, map[string]int64{ours: fileBytes(t, files)}
	for round := range rivalRounds {
		rate, _ := land()
		rates.add(ours, rate)
		onOneProcessor(func() { rate, _ = land() })
		rates.add(oursOne, rate)
		for _, engine := range []string{"duckdb", "pyarrow"} {
			path := filepath.Join(t.TempDir(), engine+".parquet")
			got := r.do(t, "land", rivalRequest{Engine: engine, Path: path})
			if got.Rows != rivalRows {
				t.Fatalf("%s wrote %d rows", engine, got.Rows)
			}
			rates.add(engine, rivalRows/got.Seconds)
			size[engine] = got.Bytes
			if round == 0 {
				if sums := r.do(t, "sums", rivalRequest{Files: []string{path}}).Sums; !reflect.DeepEqual(sums, want) {
					t.Fatalf("%s wrote rows with the sums %v, millrace with %v", engine, sums, want)
				}
			}
		}
	}
	for _, who := range slices.Sorted(maps.Keys(size)) {
		t.Logf("%-8s %.1f bytes a row", who, float64(size[who])/rivalRows)
	}
	rates.check(t, landingLimits)
}

func (r *rivals) scan(t *testing.T) {
	l := openTestLake(t)
	for i := range rivalScanFiles {
		if err := l.Commit(t.Context(), mainLanding(i*rivalRows, rivalRows)); err != nil {
			t.Fatal(err)
		}
	}
	const rows = rivalScanFiles * rivalRows
	for _, columns := range []string{"flat", "nested"} {
		request := rivalRequest{Columns: columns, Files: dataFiles(t, l)}
		t.Run(columns, func(t *testing.T) {
			if got, want := scanSums(t, l, columns), r.do(t, "scan_sums", request).Sums; !reflect.DeepEqual(got, want) {
				t.Fatalf("millrace reads rows with the sums %v, duckdb with %v", got, want)
			}
			rates := rateTable{}
			for range rivalRounds {
				rates.add(ours, rows/scanFour(t, l, columns, nil))
				onOneProcessor(func() { rates.add(oursOne, rows/scanFour(t, l, columns, nil)) })
				got := r.do(t, "scan", request)
				if got.Rows != rows {
					t.Fatalf("duckdb read %d rows", got.Rows)
				}
				rates.add("duckdb", rows/got.Seconds)
			}
			rates.check(t, scanLimits)
		})
	}
}

// scanFour reads the four columns that rivals.py names the same, and tells how many seconds it took.
func scanFour(t *testing.T, l *Lake, columns string, visit func(arrow.Record)) float64 {
	t.Helper()
	last := map[string]string{"flat": "value", "nested": "items.item_id"}[columns]
	rows := int64(0)
	runtime.GC()
	began := time.Now()
	for batch, err := range l.Scan(t.Context(), ScanRequest{Table: TableEvents, Columns: []string{"anonymous_id", "type", "occurred_at", last}}) {
		if err != nil {
			t.Fatal(err)
		}
		rows += batch.NumRows()
		if visit != nil {
			visit(batch)
		}
	}
	took := time.Since(began).Seconds()
	if rows != rivalScanFiles*rivalRows {
		t.Fatalf("%d rows", rows)
	}
	return took
}

// scanSums are those of rivals.py.
func scanSums(t *testing.T, l *Lake, columns string) []string {
	t.Helper()
	var sums [3]int64
	scanFour(t, l, columns, func(batch arrow.Record) {
		for i := range 2 {
			sums[0] += int64(len(batch.Column(i).(*array.String).ValueBytes()))
		}
		for _, at := range batch.Column(2).(*array.Timestamp).TimestampValues() {
			sums[1] += int64(at)
		}
		switch last := batch.Column(3).(type) {
		case *array.List:
			sums[2] += 100 * int64(len(last.ListValues().(*array.String).ValueBytes()))
		case *array.Float64:
			total := 0.0
			for i := range last.Len() {
				if last.IsValid(i) {
					total += last.Value(i)
				}
			}
			sums[2] += int64(math.Round(100 * total))
		}
	})
	var out []string
	for _, sum := range sums {
		out = append(out, strconv.FormatUint(uint64(sum), 10))
	}
	return out
}

func onOneProcessor(f func()) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	f()
}

func fileBytes(t *testing.T, files []string) (n int64) {
	t.Helper()
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

// rateTable has the rates of all rounds, in rows/s, by who ran.
type rateTable map[string][]float64

func (r rateTable) add(who string, rate float64) { r[who] = append(r[who], rate) }

func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// ratio is the median of the rounds' ratios: a machine that is slower for a while is so for both.
func (r rateTable) ratio(who, rival string) float64 {
	var ratios []float64
	for round, rate := range r[who] {
		ratios = append(ratios, rate/r[rival][round])
	}
	return median(ratios)
}

// check prints every figure beside its limit and wants ours to reach it.
func (r rateTable) check(t *testing.T, limits rivalLimits) {
	t.Helper()
	for _, who := range slices.Sorted(maps.Keys(r)) {
		t.Logf("%-24s %10.0f rows/s", who, median(r[who]))
	}
	for _, who := range []string{ours, oursOne} {
		for _, rival := range slices.Sorted(maps.Keys(r)) {
			if rival == ours || rival == oursOne {
				continue
			}
			ratio := r.ratio(who, rival)
			limit, limited := limits[who][rival]
			if !limited {
				t.Logf("%-24s is %.2f of %s (no limit)", who, ratio, rival)
				continue
			}
			t.Logf("%-24s is %.2f of %s (at least %.1f)", who, ratio, rival, limit)
			if ratio < limit {
				t.Errorf("%s is %.2f of %s, below %.1f", who, ratio, rival, limit)
			}
		}
	}
}

// rivals is the process of the other engines.
type rivals struct {
	ask    *json.Encoder
	answer *bufio.Reader
}

// rivalRequest is what rivals.py is asked.
type rivalRequest struct {
	Do      string   `json:"do"`
	Engine  string   `json:"engine,omitempty"`
	Columns string   `json:"columns,omitempty"`
	Path    string   `json:"path,omitempty"`
	Files   []string `json:"files,omitempty"`
}

type rivalAnswer struct {
	Seconds float64
	Rows    int64
	Bytes   int64
	Sums    []string
}

func startRivals(t *testing.T) *rivals {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), readersPython(t), "readers/rivals.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // t's context has killed it, if it did not end by itself
	})
	return &rivals{json.NewEncoder(in), bufio.NewReader(out)}
}

func (r *rivals) do(t *testing.T, what string, request rivalRequest) (out rivalAnswer) {
	t.Helper()
	request.Do = what
	if err := r.ask.Encode(request); err != nil {
		t.Fatalf("ask the other engines: %v", err)
	}
	line, err := r.answer.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the other engines gave no answer to %q: %v", what, err)
	}
	if err := json.Unmarshal(line, &out); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	return out
}
