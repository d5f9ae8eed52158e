package ease

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/rowsum"
	"github.com/millrace/millrace/internal/model/synthetic"
)

const (
	longEnv   = "MILLRACE_TEST_LONG"
	rivalsEnv = "MILLRACE_RIVALS" // a Python environment with what rivals/requirements.txt lists

	// rivalFactor is how many times as long as NumPy's the inverse may take.
	rivalFactor = 5
	// rivalBytes is what the process may have at most, the interactions and the finished model included.
	rivalBytes = 4 << 30
	// rivalSample is how many rows apart those are whose weights are compared.
	rivalSample = 97
)

var rivalShape = synthetic.Shape{Rows: 60_000, Items: 12_000, Positives: 3_000_000, Seed: 1}

// TestLongEASERival inverts the matrix of 12,000 items beside NumPy, on the same processors in the same run, and compares the
// weights that follow.
func TestLongEASERival(t *testing.T) {
	if os.Getenv(longEnv) == "" {
		t.Skipf("takes two minutes: `make test-long` runs it (%s is not set)", longEnv)
	}
	x := synthetic.Interactions(rivalShape)
	cfg := Default()
	cfg.L2, cfg.L2Degree, cfg.VisitorExponent, cfg.DiagonalExponent, cfg.Neighbours = 500, 0, 0, 1, 0
	var shares []time.Time // of the inversion
	began := time.Now()
	m, err := Fit(t.Context(), cfg, x, func(float64) { shares = append(shares, time.Now()) })
	if err != nil {
		t.Fatal(err)
	}
	fitted := time.Since(began).Seconds()
	mine := shares[len(shares)-2].Sub(shares[0]).Seconds() // the last one tells that the fit is over
	peak := peakBytes(t)
	dir := t.TempDir()
	theirs, bytes := runNumPy(t, dir, cfg, x)
	n := float64(x.NumItems)
	t.Logf("inverse of %g items on %d processors (%s): %.1f s, NumPy %.1f s (ours %.2f of it); %.0f GFLOP/s of n³; whole fit %.1f s; "+
		"%.2f GiB at most, NumPy %.2f", n, runtime.GOMAXPROCS(0), linalg.Kernel(), mine, theirs, mine/theirs, n*n*n/mine/1e9, fitted,
		float64(peak)/(1<<30), float64(bytes)/(1<<30))
	compareRows(t, m, readWeights(t, dir))
	if mine > rivalFactor*theirs {
		t.Errorf("the inverse takes more than %d times as long as that of NumPy", rivalFactor)
	}
	if peak > rivalBytes {
		t.Errorf("the process had %d bytes, the bound is %d", peak, int64(rivalBytes))
	}
}

func runNumPy(t *testing.T, dir string, cfg Config, x *model.Interactions) (seconds float64, bytes int64) {
	t.Helper()
	python := filepath.Join(os.Getenv(rivalsEnv), "bin", "python")
	if _, err := os.Stat(python); os.Getenv(rivalsEnv) == "" || err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s names no Python environment; `make test-setup` makes one", rivalsEnv)
		}
		t.Skipf("%s names no Python environment; `make test-setup` makes one", rivalsEnv)
	}
	writeNumbers(t, filepath.Join(dir, "items"), x.Items)
	writeNumbers(t, filepath.Join(dir, "offsets"), x.Offsets)
	cmd := exec.CommandContext(t.Context(), python, "../rivals/numpy_ease.py", dir, strconv.Itoa(x.Rows()),
		strconv.Itoa(x.NumItems), strconv.FormatFloat(cfg.L2, 'g', -1, 64), strconv.Itoa(rivalSample))
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "OPENBLAS_NUM_THREADS="+strconv.Itoa(runtime.GOMAXPROCS(0)))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("NumPy: %v", err)
	}
	var answer struct {
		Seconds float64 `json:"seconds"`
		Bytes   int64   `json:"bytes"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return answer.Seconds, answer.Bytes
}

func writeNumbers(t *testing.T, file string, numbers any) {
	t.Helper()
	content, err := binary.Append(nil, binary.LittleEndian, numbers)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// readWeights reads the rows that NumPy left.
func readWeights(t *testing.T, dir string) []float64 {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "weights"))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float64, len(content)/8)
	if _, err := binary.Decode(content, binary.LittleEndian, want); err != nil {
		t.Fatal(err)
	}
	return want
}

func compareRows(t *testing.T, m *Model, want []float64) {
	t.Helper()
	n := m.NumItems()
	if len(want) != n*((n+rivalSample-1)/rivalSample) {
		t.Fatalf("NumPy left %d weights", len(want))
	}
	largest, off := 0.0, 0.0
	got := make([]float64, n)
	for i := 0; i < n; i += rivalSample {
		clear(got)
		addRow(got, &m.Matrix, int32(i))
		for j, w := range want[i/rivalSample*n:][:n] {
			largest, off = max(largest, math.Abs(w)), max(off, math.Abs(w-got[j]))
		}
	}
	if largest == 0 || off > 1e-6*largest {
		t.Errorf("weights are up to %g off those of NumPy, which are up to %g", off, largest)
	}
}

func addRow(to []float64, m *rowsum.Matrix, item int32) {
	lo, hi := m.Row(item)
	for at := lo; at < hi; at++ {
		to[m.Items[at]] = float64(m.Weights[at])
	}
}

// peakBytes is the largest resident set that this process has had.
func peakBytes(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("the peak of memory is read where Linux tells it: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kibibytes, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kibibytes << 10
		}
	}
	t.Fatal("/proc/self/status tells no peak")
	return 0
}
