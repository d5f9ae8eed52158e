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
	"reflect"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/objstore/s3test"
)

// testLog is a log whose records are always the same, whoever reads them how often: what stands at an offset of a partition
// follows from these and the seed.
type testLog struct {
	Seed       uint64
	Partitions int32
	Records    int // of each partition of each topic
	// Repeats is below which offset some events are sent again: with another offset, and on the same day, but never on the last.
	Repeats int
}

func (g testLog) sampler(kind, partition, offset int) sampler {
	return sampler{rand.New(rand.NewPCG(g.Seed, uint64(kind)<<48|uint64(partition)<<32|uint64(offset)))}
}

// event is a record of events; some are those of erasedPerson.
func (g testLog) event(partition int32, offset int) EventRow {
	at := Position{Topic: event.TopicEvents, Epoch: 1, Partition: partition, Offset: int64(offset)}
	s := g.sampler(0, int(partition), offset)
	if offset > 0 && offset < g.Repeats && s.IntN(6) == 0 {
		if first := g.event(partition, s.IntN(offset)); first.Event.ReceivedAt.Before(testStart.Add(48 * time.Hour)) {
			return EventRow{Event: first.Event, At: at}
		}
	}
	row := EventRow{Event: s.event(int(partition)*1_000_000 + offset), At: at}
	withAnna(s, Landing{Events: []EventRow{row}})
	return row
}

// exposure is a record of exposures.
func (g testLog) exposure(partition int32, offset int) ExposureRow {
	s := g.sampler(1, int(partition), offset)
	row := ExposureRow{
		Exposure: s.exposure(int(partition)*1_000_000 + offset),
		At:       Position{Topic: event.TopicExposures, Epoch: 1, Partition: partition, Offset: int64(offset)},
	}
	withAnna(s, Landing{Exposures: []ExposureRow{row}})
	return row
}

// item is a record of the catalogue's history.
func (g testLog) item(partition int32, offset int) ItemRow {
	return ItemRow{
		Item: g.sampler(2, int(partition), offset).item(int(partition)*1_000_000 + offset),
		At:   Position{Topic: event.TopicItems, Epoch: 1, Partition: partition, Offset: int64(offset)},
	}
}

// land lands the log from where the lake stands, some records of each partition at a time.
func (g testLog) land(ctx context.Context, l *Lake, random sampler) error {
	for {
		in, err := g.next(ctx, l, random)
		if err != nil || len(in.Fences) == 0 {
			return err
		}
		if err := l.Commit(ctx, in); err != nil {
			return err
		}
	}
}

// next is the next landing, without a fence when everything has landed.
func (g testLog) next(ctx context.Context, l *Lake, random sampler) (in Landing, err error) {
	for _, spec := range tables() {
		next, err := l.Next(ctx, spec.name)
		if err != nil {
			return in, err
		}
		for p := range g.Partitions {
			from := int(next[FenceKey{spec.topic, 1, p}].Next)
			to := min(g.Records, from+1+random.IntN(12))
			if from == to {
				continue
			}
			in.Fences = append(in.Fences, Fence{Topic: spec.topic, Epoch: 1, Partition: p, From: int64(from), Next: int64(to)})
			for offset := from; offset < to; offset++ {
				switch spec.name {
				case TableEvents:
					in.Events = append(in.Events, g.event(p, offset))
				case TableExposures:
					in.Exposures = append(in.Exposures, g.exposure(p, offset))
				default:
					in.Items = append(in.Items, g.item(p, offset))
				}
			}
		}
	}
	return in, nil
}

// figures are those of what the log makes of the tables of today, where event and exposure say which rows there are, and what is in them.
func (g testLog) figures(t *testing.T, event func(EventRow) (EventRow, bool), exposure func(ExposureRow) bool) map[string]figures {
	t.Helper()
	var events []eventRow
	var exposures []exposureRow
	var items []catalogueRow
	var errs []error
	for p := range g.Partitions {
		for offset := range g.Records {
			if r, kept := event(g.event(p, offset)); kept {
				events = append(events, eventRow{})
				errs = append(errs, events[len(events)-1].fill(r))
			}
			if r := g.exposure(p, offset); exposure(r) {
				exposures = append(exposures, exposureRow{})
				errs = append(errs, exposures[len(exposures)-1].fill(r))
			}
			items = append(items, catalogueRow{})
			errs = append(errs, items[len(items)-1].fill(g.item(p, offset)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return map[string]figures{TableEvents: figuresOf(events), TableExposures: figuresOf(exposures), TableItems: figuresOf(items)}
}

// victimEnv makes the test binary a process that is to be killed, at work that this says in JSON.
const victimEnv = "MILLRACE_TEST_LAKE_VICTIM"

// victim is such a process.
type victim struct {
	Lake    string // as configText
	Log     testLog
	Seed    uint64
	Older   bool // it is the older version
	Filter  bool // it knows whom the tests erase
	Compact bool // instead of landing
	// Steps is after how many steps of its commits it is killed, at whatever it is doing then; 0 is never.
	Steps int
}

// stepsAhead is how many steps further a victim goes before it waits: it is still killed in the midst of something, but not too
// late, however busy the machine is.
const stepsAhead = 3

func workUntilKilled(t *testing.T, text string) {
	var v victim
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	cfg := configFrom(t, v.Lake)
	if v.Filter {
		ledger := erasedPerson(1)
		cfg.Erased = func(context.Context) (*erasure.Ledger, error) { return ledger, nil }
	}
	start := openLake
	if v.Older {
		start = openOlder
	}
	l := start(t, cfg)
	steps := 0
	l.hook = func(string) error {
		if steps++; steps == v.Steps {
			fmt.Println(victimReady)
		}
		if v.Steps > 0 && steps == v.Steps+stepsAhead {
			awaitKill()
		}
		return nil
	}
	if v.Compact {
		compact(t, l)
	} else if err := v.Log.land(t.Context(), l, newSampler(v.Seed)); err != nil {
		t.Fatal(err)
	}
	if v.Steps > 0 {
		fmt.Println(victimReady)
		awaitKill()
	}
}

// victimReady is what a process says when it wants to be killed.
const victimReady = "now"

// awaitKill waits until the process is killed, or nobody is there any more to do it.
func awaitKill() { _, _ = io.Copy(io.Discard, os.Stdin) }

// run runs the process until it is killed, or ends.
func (v victim) run(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTenCrashes$")
	cmd.Env = append(os.Environ(), victimEnv+"="+string(text))
	hold, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	said := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == victimReady {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		said += lines.Text() + "\n"
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if killed := errors.As(err, &exit) && !exit.Exited(); killed != (v.Steps > 0) || err != nil && !killed {
		t.Fatalf("a process that was to be killed after %d steps ended with %v\n%s", v.Steps, err, said)
	}
}

// landThroughKills lands a log by processes that are killed with SIGKILL, each at a random step of its first commits, and by a
// last one that is not.
func landThroughKills(t *testing.T, v victim, kills int) {
	t.Helper()
	random := newSampler(v.Seed)
	for range kills {
		v.Seed, v.Steps = random.Uint64(), 1+random.IntN(9)
		v.run(t)
	}
	v.Steps = 0
	v.run(t)
}

// TestTenCrashes: of two lakes of the same records one is landed in order by a process that lives, the other by processes of
// which ten are killed, and both have the same rows, which are those of the log.
func TestTenCrashes(t *testing.T) {
	if text := os.Getenv(victimEnv); text != "" {
		workUntilKilled(t, text)
		return
	}
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprint("local/", seed), func(t *testing.T) { testTenCrashes(t, Config{Dir: t.TempDir()}, Config{Dir: t.TempDir()}, seed) })
	}
	t.Run("s3", func(t *testing.T) {
		store := s3test.Start(t)
		store.Faults.Set(3, s3Faults)
		place := func(prefix string) Config {
			cfg := store.Config(prefix)
			return Config{Dir: t.TempDir(), S3: &cfg, Catalog: t.TempDir() + "/catalog.db"}
		}
		testTenCrashes(t, place("ordered"), place("crashed"), 3)
	})
}

func testTenCrashes(t *testing.T, inOrder, crashed Config, seed uint64) {
	t.Parallel()
	log := testLog{Seed: seed, Partitions: 3, Records: 140, Repeats: 140}
	ordered := openLake(t, inOrder)
	if err := log.land(t.Context(), ordered, newSampler(seed)); err != nil {
		t.Fatal(err)
	}
	landThroughKills(t, victim{Lake: configText(t, crashed), Log: log, Seed: seed}, 10)
	want := log.figures(t, func(r EventRow) (EventRow, bool) { return r, true }, func(ExposureRow) bool { return true })
	if got := lakeFigures(t, ordered); !reflect.DeepEqual(got, want) {
		t.Errorf("landed in order the lake has\n%+v, the log\n%+v", got, want)
	}
	if got := lakeFigures(t, openLake(t, crashed)); !reflect.DeepEqual(got, want) {
		t.Errorf("landed through crashes the lake has\n%+v, the log\n%+v", got, want)
	}
}
