package eval

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// A search that is stopped and begun again ends as one that was never stopped, and measures nothing twice; also when the
// process died in the middle of a line.
func TestASearchGoesOnWhereItStopped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tuning.jsonl")
	var fits atomic.Int64
	search := func(stopAfter int64) (dials, error) {
		j, err := OpenJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		}()
		space := dialSpace(30)
		fit := space.fit
		space.fit = func(ctx context.Context, d dials) (model.Scorer, error) {
			if fits.Add(1) == stopAfter {
				return nil, errors.New("killed")
			}
			return fit(ctx, d)
		}
		got, _, err := tune(context.Background(), space, zeros(3), tuneOptions{trials: 200, workers: 1, depth: 20, seed: 3, journal: j, scope: "s"})
		return got, err
	}
	if _, err := search(120); err == nil {
		t.Fatal("the search was not stopped")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)-9], 0o600); err != nil {
		t.Fatal(err)
	}
	fits.Store(0)
	want, _, err := tune(context.Background(), dialSpace(30), zeros(3), tuneOptions{trials: 200, workers: 1, depth: 20, seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := search(-1); err != nil || got != want {
		t.Errorf("found %+v, %v, want %+v", got, err, want)
	}
	first := fits.Swap(0)
	if first < 50 || first > 100 { // of 200, 119 of which were done, the last of them in vain
		t.Errorf("%d settings were fitted after the stop", first)
	}
	if _, err := search(-1); err != nil || fits.Load() != 0 {
		t.Errorf("the third search fitted %d settings, %v", fits.Load(), err)
	}
}

func TestTimeEndsASearch(t *testing.T) {
	space := dialSpace(30)
	fit := space.fit
	space.fit = func(ctx context.Context, d dials) (model.Scorer, error) {
		time.Sleep(100 * time.Microsecond)
		return fit(ctx, d)
	}
	_, report, err := tune(context.Background(), space, zeros(3), tuneOptions{until: time.Now().Add(20 * time.Millisecond), workers: 2, depth: 20})
	if err != nil || report.Trials < 2*bracketTrials || report.Trials > 27_000/2 {
		t.Errorf("%+v, %v", report, err)
	}
}

// Small samples weed out, and only few settings are ever measured on the largest.
func TestFewSettingsSeeTheWholePart(t *testing.T) {
	valid := zeros(10_000)
	samples := samplesOf(valid, rand.New(rand.NewPCG(1, 1)))
	if len(samples) != 4 || samples[0].Len() != smallestSample || samples[3].Len() != valid.Len() {
		t.Fatalf("%d samples, the last of %d", len(samples), samples[len(samples)-1].Len())
	}
	var asked atomic.Int64
	space := dialSpace(30)
	space.fit = func(_ context.Context, d dials) (model.Scorer, error) { return counting{dialScorer{d}, &asked}, nil }
	const trials = 108
	_, report, err := tune(context.Background(), space, valid, tuneOptions{trials: trials, workers: 1, depth: 20, seed: 1})
	if err != nil || report.Trials != trials || report.Examples != valid.Len() {
		t.Fatalf("%+v, %v", report, err)
	}
	// At the smallest sample all, a third on three times as much: each rung costs about the same.
	if n := asked.Load(); n < trials*smallestSample || n > 7*trials*smallestSample {
		t.Errorf("%d questions for %d settings", n, trials)
	}
}

// counting counts the questions.
type counting struct {
	dialScorer
	asked *atomic.Int64
}

func (c counting) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	c.asked.Add(1)
	return c.dialScorer.Score(dst, q, k)
}
