package ials

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/model/synthetic"
)

const (
	longEnv   = "MILLRACE_TEST_LONG"
	rivalsEnv = "MILLRACE_RIVALS" // a Python environment with what rivals/requirements.txt lists

	// rivalIterations is how many iterations each side makes, in turn with the other.
	rivalIterations = 8
	// sameLoss is how far the losses may differ, as a part of them. Both take the same steps; they sum in other orders.
	sameLoss = 1e-3
)

// rivalShape is that of a public film data set with half of its ratings.
var rivalShape = synthetic.Shape{Rows: 138_000, Items: 27_000, Positives: 10_000_000, Seed: 1}

// TestLongIALSRival fits ten million interactions beside `implicit`, on the same processors in the same run, from the same
// factors to the same loss. `implicit` holds all factors down alike, so ours do here as well: an iteration takes as long with
// any exponent.
func TestLongIALSRival(t *testing.T) {
	if os.Getenv(longEnv) == "" {
		t.Skipf("takes a minute: `make test-long` runs it (%s is not set)", longEnv)
	}
	cfg := Default(rivalShape.Items)
	cfg.Dimensions, cfg.Frequency, cfg.Regularization, cfg.Unobserved = 64, 0, 1, 0.1
	x := synthetic.Interactions(rivalShape)
	ours, err := NewTraining(cfg, x)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := NewTraining(cfg, x)
	if err != nil {
		t.Fatal(err)
	}
	r := startRival(t, theirs)
	var mine, other []float64
	for range rivalIterations {
		runtime.GC() // what came before is not part of the fit
		began := time.Now()
		if err := ours.Iterate(t.Context()); err != nil {
			t.Fatal(err)
		}
		mine = append(mine, time.Since(began).Seconds())
		other = append(other, r.do(t, rivalRequest{Do: "iterate"}).Seconds)
	}
	r.do(t, rivalRequest{Do: "save"})
	r.takeFactors(t, theirs)
	loss, theirLoss := lossOf(t, ours), lossOf(t, theirs)
	slices.Sort(mine)
	slices.Sort(other)
	t.Logf("median of %d iterations on %d processors: %.3f s, implicit %.3f s (ours %.2f of it); loss %.6g, implicit %.6g",
		rivalIterations, runtime.GOMAXPROCS(0), mine[rivalIterations/2], other[rivalIterations/2],
		mine[rivalIterations/2]/other[rivalIterations/2], loss, theirLoss)
	if mine[rivalIterations/2] > other[rivalIterations/2] {
		t.Error("an iteration takes longer than that of implicit")
	}
	if loss > theirLoss*(1+sameLoss) || theirLoss > loss*(1+sameLoss) {
		t.Error("the losses differ: the two did not solve the same problem")
	}
}

func lossOf(t *testing.T, training *Training) float64 {
	t.Helper()
	loss, err := training.Loss(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return loss
}

// rival is the process that runs the other library.
type rival struct {
	dir    string
	scale  float64 // of its factors, times which they are ours
	ask    *json.Encoder
	answer *bufio.Reader
}

type rivalRequest struct {
	Do             string  `json:"do"`
	Dir            string  `json:"dir,omitempty"`
	Rows           int     `json:"rows,omitempty"`
	Items          int     `json:"items,omitempty"`
	Factors        int     `json:"factors,omitempty"`
	Alpha          float64 `json:"alpha,omitempty"`
	Regularization float64 `json:"regularization,omitempty"`
	Threads        int     `json:"threads,omitempty"`
}

type rivalAnswer struct {
	Seconds      float64 `json:"seconds"`
	Interactions int     `json:"interactions"`
}

// startRival gives the other library the interactions and the factors to begin with, in its own terms.
//
// It minimises c (1-s)^2 over interactions and s^2 over all other pairs. Ours, with weights of 1 and the weight u of all
// pairs, is (1-s)^2 + u s^2 = (1+u)(t-s)^2 + a constant over interactions, t being 1/(1+u). With s = t s' and all divided by
// u t^2 that is the other's with c = (1+u)/u; its factors are ours divided by the root of t, and its regularisation ours
// divided by u t.
func startRival(t *testing.T, training *Training) *rival {
	t.Helper()
	cfg, x := training.cfg, training.rows.met
	target := 1 / (1 + cfg.Unobserved)
	r := &rival{dir: t.TempDir(), scale: math.Sqrt(target)}
	writeNumbers(t, r.dir, "items", x.Items)
	writeNumbers(t, r.dir, "offsets", x.Offsets)
	writeNumbers(t, r.dir, "row-factors", scaled(training.rows.factors, 1/r.scale))
	writeNumbers(t, r.dir, "item-factors", scaled(training.items.factors, 1/r.scale))
	r.start(t)
	got := r.do(t, rivalRequest{
		Do: "load", Dir: r.dir, Rows: x.Rows(), Items: x.NumItems, Factors: cfg.Dimensions, Threads: runtime.GOMAXPROCS(0),
		Alpha: (1 + cfg.Unobserved) / cfg.Unobserved, Regularization: cfg.Regularization / (cfg.Unobserved * target),
	})
	if got.Interactions != len(x.Items) {
		t.Fatalf("implicit took %d interactions of %d", got.Interactions, len(x.Items))
	}
	return r
}

func (r *rival) start(t *testing.T) {
	t.Helper()
	python := filepath.Join(os.Getenv(rivalsEnv), "bin", "python")
	if _, err := os.Stat(python); os.Getenv(rivalsEnv) == "" || err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s names no Python environment; `make test-setup` makes one", rivalsEnv)
		}
		t.Skipf("%s names no Python environment; `make test-setup` makes one", rivalsEnv)
	}
	cmd := exec.CommandContext(t.Context(), python, "../rivals/implicit_als.py")
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
	r.ask, r.answer = json.NewEncoder(in), bufio.NewReader(out)
}

func (r *rival) do(t *testing.T, request rivalRequest) (out rivalAnswer) {
	t.Helper()
	if err := r.ask.Encode(request); err != nil {
		t.Fatalf("ask implicit: %v", err)
	}
	line, err := r.answer.ReadBytes('\n')
	if err != nil {
		t.Fatalf("implicit gave no answer to %q: %v", request.Do, err)
	}
	if err := json.Unmarshal(line, &out); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	return out
}

// takeFactors puts what the other library found in the place of a training's factors.
func (r *rival) takeFactors(t *testing.T, training *Training) {
	t.Helper()
	for name, into := range map[string][]float32{"row-factors": training.rows.factors, "item-factors": training.items.factors} {
		content, err := os.ReadFile(filepath.Join(r.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := binary.Decode(content, binary.LittleEndian, into); err != nil || n != len(content) {
			t.Fatalf("%s has %d bytes, %d were taken, error %v", name, len(content), n, err)
		}
		copy(into, scaled(into, r.scale))
	}
}

func scaled(factors []float32, by float64) []float32 {
	out := make([]float32, len(factors))
	for i, x := range factors {
		out[i] = float32(float64(x) * by)
	}
	return out
}

func writeNumbers(t *testing.T, dir, name string, numbers any) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(file)
	if err := binary.Write(out, binary.LittleEndian, numbers); err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
