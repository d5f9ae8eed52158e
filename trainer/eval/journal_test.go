package eval

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

// Also of a model whose fits take so long that not even the first bracket is done in time.
func TestTimeEndsASearch(t *testing.T) {
	for _, fitTakes := range []time.Duration{time.Second, time.Minute, time.Hour} {
		t.Run(fitTakes.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				space := dialSpace(30)
				fit := space.fit
				space.fit = func(ctx context.Context, d dials) (model.Scorer, error) {
					<-time.After(fitTakes)
					return fit(ctx, d)
				}
				const given, workers = 10 * time.Minute, 2
				began := time.Now()
				_, report, err := tune(context.Background(), space, zeros(3), tuneOptions{until: began.Add(given), workers: workers, depth: 20})
				if err != nil {
					t.Fatal(err)
				}
				took, fits := time.Since(began), int(given/fitTakes)*workers
				if report.Trials < fits*9/10 || report.Trials > fits+2*workers || took > given+2*fitTakes {
					t.Errorf("%d settings in %s, want about %d in %s", report.Trials, took, fits, given)
				}
			})
		})
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

// A search of other data must not take the values of this one.
func TestDigestTellsDataApart(t *testing.T) {
	part := func(change func(*Part)) *Part {
		s := &model.Sessions{}
		s.Add(model.Session{Items: []int32{0, 1}, Times: []int64{1, 2}, Weights: []float32{1, 1}, User: 0, Segment: "mobile"})
		p := NewPart(s, 2, []Item{{ItemID: "a"}, {ItemID: "b"}})
		p.Orders = []int32{NoOrder, 0}
		change(p)
		return p
	}
	same := digestOf(part(func(*Part) {}), zeros(3))
	if again := digestOf(part(func(*Part) {}), zeros(3)); again != same {
		t.Errorf("the same data has the digests %s and %s", same, again)
	}
	for name, change := range map[string]func(*Part){
		"items":    func(p *Part) { p.Sessions.Items[0] = 1 },
		"times":    func(p *Part) { p.Sessions.Times[1] = 3 },
		"weights":  func(p *Part) { p.Sessions.Weights[1] = 3 },
		"visitor":  func(p *Part) { p.Sessions.Users[0] = 1 },
		"segment":  func(p *Part) { p.Sessions.Segments[0] = "desktop" },
		"order":    func(p *Part) { p.Orders[1] = 1 },
		"title":    func(p *Part) { p.Items[1].Title = "B" },
		"category": func(p *Part) { p.Items[1].Categories = []string{"c"} },
	} {
		if digestOf(part(change), zeros(3)) == same {
			t.Errorf("another %s has the same digest", name)
		}
	}
	wanted := &model.Sessions{}
	for range 3 {
		wanted.Append([]int32{0, 1, 0}, []int64{1, 2, 3})
	}
	for name, valid := range map[string]*Test{"more cases": zeros(4), "other answers": NextItem(wanted)} {
		if digestOf(part(func(*Part) {}), valid) == same {
			t.Errorf("%s have the same digest", name)
		}
	}
}
