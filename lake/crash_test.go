package lake

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/objstore"
)

// The log of these tests: partitions 0 to crashPartitions-1, each with offsets 0 to crashRecords-1.
const (
	crashPartitions = 3
	crashRecords    = 100
)

var (
	errFault = errors.New("injected fault")
	errCrash = errors.New("injected crash")
)

// errDrained says that a writer found every record landed.
var errDrained = errors.New("drained")

// landSome lands a random stretch of some partitions from where the table stands, as a writer does that believes it owns
// them all.
func landSome(ctx context.Context, l *Lake, s sampler) error {
	next, err := l.Next(ctx, TableEvents)
	if err != nil {
		return err
	}
	var in Landing
	left := 0
	for p := range int32(crashPartitions) {
		from := int(next[FenceKey{event.TopicEvents, 1, p}].Next)
		left += crashRecords - from
		if n := min(crashRecords-from, s.IntN(12)); n > 0 {
			part := s.landEvents(p, from, n)
			for _, r := range part.Events {
				r.Event.ReceivedAt = testStart
			}
			in.Events, in.Fences = append(in.Events, part.Events...), append(in.Fences, part.Fences...)
		}
	}
	if left == 0 {
		return errDrained
	}
	if len(in.Fences) == 0 {
		return nil
	}
	return l.Commit(ctx, in)
}

// checkExactlyOnce counts every record of the log in the table.
func checkExactlyOnce(t *testing.T, l *Lake) {
	t.Helper()
	seen := make(map[Position]int)
	if err := l.ScanEvents(t.Context(), ScanRequest{}, func(r EventRow) error { seen[r.At]++; return nil }); err != nil {
		t.Fatal(err)
	}
	duplicated, lost := 0, 0
	for p := range int32(crashPartitions) {
		for offset := range int64(crashRecords) {
			switch n := seen[Position{event.TopicEvents, 1, p, offset}]; {
			case n == 0:
				lost++
			case n > 1:
				duplicated++
			}
		}
	}
	if duplicated != 0 || lost != 0 || len(seen) != crashPartitions*crashRecords {
		t.Errorf("%d duplicated, %d lost, %d positions of %d", duplicated, lost, len(seen), crashPartitions*crashRecords)
	}
}

// writerCount is what befell one writer.
type writerCount struct{ commits, moved, faults, crashes int }

// crashingWriter opens the lake and lands until a fault kills it, again and again, until nothing is left to land.
func crashingWriter(ctx context.Context, cfg Config, s sampler, count *writerCount) error {
	for {
		l, err := Open(ctx, cfg)
		if err != nil {
			return err
		}
		alive, die := context.WithCancelCause(ctx)
		l.hook = func(step string) error {
			switch s.IntN(16) {
			case 0: // the step fails and the writer lives on
				return fmt.Errorf("%s: %w", step, errFault)
			case 1: // the writer dies here: it cannot even look what has happened
				die(errCrash)
				return context.Cause(alive)
			}
			return nil
		}
		for err == nil {
			err = landSome(alive, l, s)
			var moved *FenceMovedError
			switch {
			case errors.As(err, &moved):
				count.moved++
				err = nil
			case errors.Is(err, errFault):
				count.faults++
				err = nil
			case err == nil:
				count.commits++
			}
		}
		die(nil)
		if closeErr := l.Close(); closeErr != nil {
			return closeErr
		}
		switch {
		case errors.Is(err, errDrained):
			return nil
		case errors.Is(err, errCrash):
			count.crashes++
		default:
			return err
		}
	}
}

// Three writers that all believe they own every partition, on one catalog, failing at every step of a commit: nothing is
// lost and nothing lands twice.
func TestConcurrentCrashingWriters(t *testing.T) { // counts goroutines
	onOneStoreAfterTheOther(t, testConcurrentCrashingWriters)
}

func testConcurrentCrashingWriters(t *testing.T, fresh func() Config) {
	cfg := fresh()
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	group, ctx := errgroup.WithContext(t.Context())
	var counts [3]writerCount
	for w := range counts {
		group.Go(func() error { return crashingWriter(ctx, cfg, newSampler(uint64(100+w)), &counts[w]) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("per writer: %+v", counts)
	l, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	checkExactlyOnce(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// The test binary becomes a writer on the lake that this configures, in JSON.
const writerEnv = "MILLRACE_TEST_LAKE_WRITER"

// TestKilledWriters starts real processes and kills them with SIGKILL while they commit.
func TestKilledWriters(t *testing.T) {
	if text := os.Getenv(writerEnv); text != "" {
		writeUntilKilled(t, configFrom(t, text))
		return
	}
	onEachStore(t, testKilledWriters)
}

func testKilledWriters(t *testing.T, fresh func() Config) {
	cfg := fresh()
	l := openLake(t, cfg)
	random := rand.New(rand.NewPCG(5, 5))
	kills := 0
	for drained := false; !drained; {
		var children errgroup.Group
		var ended [2]bool
		for i := range ended {
			commits := 1 + random.IntN(10)
			children.Go(func() (err error) {
				ended[i], err = runWriter(t, cfg, commits)
				return err
			})
		}
		if err := children.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, end := range ended {
			if end {
				drained = true
			} else {
				kills++
			}
		}
	}
	t.Logf("%d processes were killed", kills)
	if kills == 0 {
		t.Error("no process was killed")
	}
	checkExactlyOnce(t, l)
}

// runWriter runs a writer process and kills it after so many commits, at whatever it is doing then; ended reports that it
// had landed everything before.
func runWriter(t *testing.T, cfg Config, commits int) (ended bool, err error) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledWriters$", "-test.v")
	cmd.Env = append(os.Environ(), writerEnv+"="+configText(t, cfg))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch lines.Text() {
		case "landed":
			commits--
		case "drained":
			ended = true
		}
		if commits == 0 && !ended {
			if err := cmd.Process.Kill(); err != nil {
				return false, err
			}
			break
		}
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		return false, err
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && !exit.Exited() {
		err = nil // killed, as wanted
	}
	return ended, err
}

// configText hands a configuration to another process.
func configText(t *testing.T, cfg Config) string {
	t.Helper()
	text, err := json.Marshal(handedConfig{cfg.Dir, cfg.S3, cfg.Catalog, cfg.REST})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func configFrom(t *testing.T, text string) Config {
	t.Helper()
	var cfg handedConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	return Config{Dir: cfg.Dir, S3: cfg.S3, Catalog: cfg.Catalog, REST: cfg.REST}
}

type handedConfig struct {
	Dir     string
	S3      *objstore.S3Config
	Catalog string
	REST    RESTCatalog
}

func writeUntilKilled(t *testing.T, cfg Config) {
	l := openLake(t, cfg)
	s := newSampler(uint64(os.Getpid()))
	for {
		err := landSome(t.Context(), l, s)
		var moved *FenceMovedError
		switch {
		case errors.Is(err, errDrained):
			fmt.Println("drained")
			return
		case err != nil && !errors.As(err, &moved):
			t.Fatal(err)
		}
		fmt.Println("landed")
	}
}
