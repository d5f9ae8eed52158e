package lake

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/objstore/s3test"
)

// lander lands rows of one partition and day, one file a commit.
type lander struct {
	lake *Lake
	sampler
	next int // offset
}

const landerRows = 20

func (d *lander) land(ctx context.Context, commits int) error {
	for range commits {
		in := d.landEvents(0, d.next, landerRows)
		inDay(in, testStart)
		if err := d.lake.Commit(ctx, in); err != nil {
			return err
		}
		d.next += landerRows
	}
	return nil
}

// check counts every row that was landed.
func (d *lander) check(t *testing.T, l *Lake) {
	t.Helper()
	seen := make(map[Position]int)
	if err := l.ScanEvents(t.Context(), ScanRequest{}, func(r EventRow) error { seen[r.At]++; return nil }); err != nil {
		t.Fatal(err)
	}
	for offset := range int64(d.next) {
		if n := seen[Position{event.TopicEvents, 1, 0, offset}]; n != 1 {
			t.Errorf("offset %d is in the table %d times", offset, n)
		}
	}
	if len(seen) != d.next {
		t.Errorf("%d positions, want %d", len(seen), d.next)
	}
}

// A compaction that fails or dies at each of its steps, while a writer lands, loses and doubles nothing, and the next one
// goes on with what is left.
func TestCompactCrashing(t *testing.T) { onEachStore(t, testCompactCrashing) }

func testCompactCrashing(t *testing.T, fresh func() Config) {
	cfg := fresh()
	writer := &lander{lake: openLake(t, cfg), sampler: newSampler(46)}
	for _, step := range []string{stepInputRead, stepMerged, stepChangeStaged, stepChanged} {
		for _, fault := range []error{errFault, errCrash} {
			if err := writer.land(t.Context(), classFiles); err != nil {
				t.Fatal(err)
			}
			l := openLake(t, cfg)
			alive, die := context.WithCancelCause(t.Context())
			met := false
			l.hook = func(at string) error {
				if at != step || met {
					return nil
				}
				met = true
				if errors.Is(fault, errCrash) {
					die(errCrash) // the process cannot even look what has happened
				}
				return fault
			}
			var group errgroup.Group
			group.Go(func() error { return writer.land(t.Context(), classFiles/4) })
			_, err := l.Compact(alive, CompactRequest{})
			die(nil)
			if landErr := group.Wait(); landErr != nil {
				t.Fatal(landErr)
			}
			through := step == stepChanged && errors.Is(fault, errFault) // the table itself tells that this went through
			if !met || (err == nil) != through {
				t.Errorf("%s, %v: met %t, error %v", step, fault, met, err)
			}
		}
	}
	writer.check(t, writer.lake)
	compact(t, writer.lake)
	if files := infoOf(t, writer.lake)[TableEvents].Files; files >= 2*classFiles {
		t.Errorf("%d files are left", files)
	}
	writer.check(t, writer.lake)
}

// compactorEnv makes the test binary a process that compacts the lake that this configures, in JSON.
const compactorEnv = "MILLRACE_TEST_LAKE_COMPACTOR"

// TestKilledCompactions kills real processes at ten points of a compaction, with SIGKILL, while a writer lands.
func TestKilledCompactions(t *testing.T) {
	if text := os.Getenv(compactorEnv); text != "" {
		compactUntilKilled(t, configFrom(t, text))
		return
	}
	t.Run("local", func(t *testing.T) { testKilledCompactions(t, Config{Dir: t.TempDir()}) })
	t.Run("s3", func(t *testing.T) {
		store := s3test.Start(t)
		s3 := store.Config("lake")
		store.Faults.Set(49, s3Faults)
		testKilledCompactions(t, Config{Dir: t.TempDir(), S3: &s3, Catalog: filepath.Join(t.TempDir(), "catalog.db")})
	})
}

func testKilledCompactions(t *testing.T, cfg Config) {
	l := openLake(t, cfg)
	writer := &lander{lake: l, sampler: newSampler(48)}
	kills := 0
	for range 10 {
		if err := writer.land(t.Context(), classFiles); err != nil {
			t.Fatal(err)
		}
		steps := 1 + writer.IntN(classFiles+4)
		var group errgroup.Group
		group.Go(func() error { return writer.land(t.Context(), classFiles/4) })
		killed, err := runCompactor(t, cfg, steps)
		if err := errors.Join(err, group.Wait()); err != nil {
			t.Fatal(err)
		}
		if killed {
			kills++
		}
	}
	if kills < 5 {
		t.Errorf("%d processes were killed", kills)
	}
	writer.check(t, l)
	compact(t, l)
	if files := infoOf(t, l)[TableEvents].Files; files >= 2*classFiles {
		t.Errorf("%d files are left", files)
	}
	writer.check(t, l)
	t.Logf("%d processes were killed", kills)
	// What the killed ones have left behind is swept, and nothing else.
	if _, _, err := l.sweep(t.Context(), eventsSpec(t), time.Now().Add(2*orphanAge)); err != nil {
		t.Fatal(err)
	}
	checkDirectory(t, l, eventsSpec(t))
}

// runCompactor runs a process that compacts and kills it after so many steps; killed is false when it ended before.
func runCompactor(t *testing.T, cfg Config, steps int) (killed bool, err error) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledCompactions$")
	cmd.Env = append(os.Environ(), compactorEnv+"="+configText(t, cfg))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() != "step" {
			continue
		}
		if steps--; steps == 0 {
			if err := cmd.Process.Kill(); err != nil {
				return false, err
			}
		}
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		return false, err
	}
	var exit *exec.ExitError
	err = cmd.Wait()
	if errors.As(err, &exit) && !exit.Exited() {
		return true, nil
	}
	return false, err
}

func compactUntilKilled(t *testing.T, cfg Config) {
	l := openLake(t, cfg)
	l.hook = func(string) error {
		fmt.Println("step")
		return nil
	}
	compact(t, l)
}
