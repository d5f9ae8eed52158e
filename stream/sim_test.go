package stream

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// The simulation runs several streams over one model of a cluster, in fake time. Everything that happens to them stands in
// a plan that the seed decides: when processes are killed, lose power, stand still, lose their partitions while they work,
// and between which two of their effects. Afterwards the lake and the online store are what a batch job over the log gives.
// docs/simulation.md says more.
//
// The seed decides the plan, the traffic, all delays and the answer. It does not decide which of two goroutines that are
// ready at the same fake moment runs first, nor what Pebble does in the background; a failure that hangs on that may need
// several runs of its seed.
var (
	simFirst = flag.Uint64("sim.first", 1, "first seed of the simulation")
	simSeeds = flag.Int("sim.seeds", 6, "how many seeds the simulation runs; from 1000 on it must meet every pair of effects")
	simStory = flag.Bool("sim.story", false, "print what happened")
)

const (
	// simPatience is how long, in fake time, processes may take to catch up when all faults are over: sessions end, lives
	// begin again, and commits wait for their turn.
	simPatience = 3 * time.Minute
	// simWhole is how many seeds are enough to ask what they met, and simMet is how many crashes and how many other faults
	// they must have met between every two effects.
	simWhole = 1000
	simMet   = 12
	// simProgress is how many seeds share a line of progress.
	simProgress = 100
	// plantedSeeds is within how many seeds every planted bug must be caught.
	plantedSeeds = 100
)

// TestSimulation runs the seeds.
func TestSimulation(t *testing.T) {
	total, began := newTally(), time.Now()
	var done, failed atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		for i := range *simSeeds {
			seed := *simFirst + uint64(i)
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				end := simulate(t, newPlan(seed), nil)
				if end.err != nil {
					failed.Add(1)
					t.Errorf("%v\n%s\n%s\nrun it again: go test ./stream -count=1 -run '^TestSimulation$' -sim.first=%d -sim.seeds=1",
						end.err, newPlan(seed), end.story, seed)
				} else if *simStory {
					t.Logf("%s\n%s", newPlan(seed), end.story)
				}
				total.add(end.tally)
				if n := done.Add(1); n%simProgress == 0 {
					fmt.Printf("%5d of %d seeds, %d failed, %s\n", n, *simSeeds, failed.Load(), time.Since(began).Round(time.Second))
				}
			})
		}
	})
	if *simSeeds >= simProgress {
		fmt.Printf("seeds %d to %d in %s, %d failed\n%s", *simFirst, *simFirst+uint64(*simSeeds)-1, time.Since(began).Round(time.Second), failed.Load(), total)
	}
	if missed := total.missed(simMet); *simSeeds >= simWhole && len(missed) > 0 {
		t.Errorf("the schedules hardly reach what they are for, want %d of each:\n%s", simMet, strings.Join(missed, "\n"))
	}
}

// TestSimulationNoticesBugs plants each bug in turn. A seed notices a bug when it fails with it and passes without it.
func TestSimulationNoticesBugs(t *testing.T) {
	for _, planted := range plantedBugs() {
		name := planted[0]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := *simFirst; seed < *simFirst+plantedSeeds; seed++ {
				p := newPlan(seed)
				p.realLake = false // bugs are those of the model
				noticed := simulate(t, p, &simBug{name})
				if noticed.err == nil {
					continue
				}
				if clean := simulate(t, p, nil); clean.err != nil {
					t.Errorf("seed %d fails without a bug: %v\n%s\n%s", seed, clean.err, p, clean.story)
					return
				}
				what := strings.SplitN(noticed.err.Error(), "\n", 3)
				fmt.Printf("caught by seed %3d: %s (%s)\n", seed, name, what[min(1, len(what)-1)])
				return
			}
			t.Errorf("not caught by seeds %d to %d", *simFirst, *simFirst+plantedSeeds-1)
		})
	}
}

// TestDocumentListsTheBugs holds the table of the document against the bugs that are planted.
func TestDocumentListsTheBugs(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "docs", "simulation.md"))
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, planted := range plantedBugs() {
		fmt.Fprintf(&table, "| %s | %s |\n", planted[0], planted[1])
	}
	if !strings.Contains(string(document), "\n"+table.String()+"\n") {
		t.Errorf("docs/simulation.md does not hold this table, or more than it:\n%s", table.String())
	}
}

// TestPlansAreTheSeeds asks that a seed always gives the same plan, and that seeds differ.
func TestPlansAreTheSeeds(t *testing.T) {
	for seed := range uint64(200) {
		if a, b := newPlan(seed).String(), newPlan(seed).String(); a != b {
			t.Fatalf("one seed, two plans:\n%s\n%s", a, b)
		}
		if newPlan(seed).String() == newPlan(seed+1).String() {
			t.Fatalf("seeds %d and %d have one plan", seed, seed+1)
		}
	}
}

// outcome is how a plan ended: what happened, and what is wrong with the end.
type outcome struct {
	story string
	tally *tally
	err   error
}

// simulate runs a plan.
func simulate(t *testing.T, p plan, bug *simBug) outcome {
	t.Helper()
	end := outcome{tally: newTally()}
	dir := simDir(t)
	lakes, closeLakes, err := openLakes(t.Context(), p, bug, filepath.Join(dir, "lake"))
	if err != nil {
		end.err = err
		return end
	}
	synctest.Test(t, func(t *testing.T) {
		w, err := newSimWorld(p, bug, dir, lakes)
		if err == nil {
			err = w.run(t.Context())
		}
		end = outcome{w.story.String(), w.tally, errors.Join(err, w.broken)}
	})
	end.err = errors.Join(end.err, closeLakes(), os.RemoveAll(dir))
	return end
}

// openLakes opens one lake for the onlooker and for each process. A planted bug is one of the model.
func openLakes(ctx context.Context, p plan, bug *simBug, dir string) (lakes []simLake, closeAll func() error, err error) {
	var opened []*realLake
	closeAll = func() (err error) {
		for _, l := range opened {
			err = errors.Join(err, l.close())
		}
		return err
	}
	model := newModelLake(bug)
	for range 1 + p.processes {
		if !p.realLake {
			lakes = append(lakes, model)
			continue
		}
		l, err := openRealLake(ctx, dir)
		if err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
		opened, lakes = append(opened, l), append(lakes, l)
	}
	return lakes, closeAll, nil
}

// simDir is in memory where there is such a place: the simulation syncs often.
func simDir(t *testing.T) string {
	t.Helper()
	const memory = "/dev/shm"
	parent := memory
	if _, err := os.Stat(memory); err != nil {
		parent = ""
	}
	dir, err := os.MkdirTemp(parent, "millrace-sim-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) // again, where a failure has come before
	return dir
}

// run plays the plan, waits until the processes have caught up, and compares. Then it stops them and compares again.
func (w *simWorld) run(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	processes, running := errgroup.WithContext(running)
	for _, p := range w.processes {
		processes.Go(func() error { return p.run(running) })
	}
	traffic := make(chan error, 1)
	go func() { traffic <- w.traffic() }()
	err := w.play(traffic)
	answer, answerErr := newBatchAnswer(w.log, w.tally)
	if err = errors.Join(err, answerErr); err == nil {
		err = w.settle(running, answer)
	}
	stop()
	if stopErr := processes.Wait(); stopErr != nil || err != nil {
		return errors.Join(stopErr, err)
	}
	w.tally.count("online rows that came too late", w.online.older)
	return w.compare(ctx, answer)
}

// settle returns when the world is as the answer says.
func (w *simWorld) settle(ctx context.Context, answer *batchAnswer) error {
	for deadline := time.Now().Add(simPatience); ; wait(time.Second) {
		done, err := w.caughtUp(ctx)
		if err != nil {
			return err
		}
		if done {
			err = w.compare(ctx, answer)
		} else {
			err = errors.New("the lake has not reached the end of the log")
		}
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
	}
}

func (w *simWorld) compare(ctx context.Context, answer *batchAnswer) error {
	d, err := answer.differences(ctx, w)
	if err != nil || len(d) == 0 {
		return err
	}
	return fmt.Errorf("not the batch answer:\n%s", strings.Join(d, "\n"))
}
