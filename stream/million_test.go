package stream

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/lake"
)

// What a process must manage: a million visitors with full lists in the partitions that `up` has.
const (
	millionProfiles = 1_000_000
	// millionWarm events by visitors chosen at random fill every cache of the process: rows in memory, blocks, waiting rows.
	millionWarm = 200_000
	// millionUnread is ten seconds of 2,000 events/s, acknowledged just before the process is killed.
	millionUnread = 20_000

	millionMaxRSSBytes = 1536 << 20
	millionMaxRestart  = 10 * time.Second
)

// TestLongMillionProfiles measures memory and restart over a million profiles, each with 50 interactions, 20 categories and
// the ids of its events. The states are written by the product's own code and not by 50 million events. A process of its
// own, which has all that `up` runs except tracker, serving and trainer, then publishes them all to an empty online store,
// applies events until its caches are full, is killed with a burst unread, and comes back.
func TestLongMillionProfiles(t *testing.T) {
	kafkatest.Long(t)
	dir := t.TempDir()
	began := time.Now()
	sample := fillMillion(t, dir)
	t.Logf("filled in %s: states %d MiB", time.Since(began).Round(time.Second), dirMiB(t, filepath.Join(dir, "state")))

	p := startMillion(t, dir)
	p.await(t, "caught-up")
	t.Logf("all rows published again in %s: online store %d MiB, peak %d MiB", time.Since(p.began).Round(time.Second),
		dirMiB(t, filepath.Join(dir, "online")), p.peakBytes(t)>>20)
	p.ask(t, "drain", "drained") // and swept
	load, ids := rand.New(rand.NewPCG(7, 7)), make(map[string]bool, millionWarm+millionUnread)
	began = time.Now()
	p.produce(t, load, ids, sample, millionWarm)
	p.ask(t, "drain", "drained")
	t.Logf("%d events applied and landed in %s, peak %d MiB", millionWarm, time.Since(began).Round(time.Second), p.peakBytes(t)>>20)
	p.produce(t, load, ids, sample, millionUnread)
	peak := p.peakBytes(t)
	p.kill(t)

	p = startMillion(t, dir)
	applied := p.await(t, "caught-up")
	restart := time.Since(p.began)
	p.ask(t, "drain", "drained")
	peakAgain := p.peakBytes(t)
	p.kill(t)
	checkMillionLanded(t, dir, ids)
	sample.check(t, dir)
	t.Logf("killed with up to %d events unread: caught up in %s (limit %s), %s of them not applied before", millionUnread,
		restart.Round(10*time.Millisecond), millionMaxRestart, applied)
	t.Logf("peak resident memory %d MiB, %d MiB after the restart (limit %d MiB)", peak>>20, peakAgain>>20, millionMaxRSSBytes>>20)
	if max(peak, peakAgain) > millionMaxRSSBytes {
		t.Error("the process took too much memory")
	}
	if restart > millionMaxRestart {
		t.Error("the restart took too long")
	}
}

// millionProcess is a running child, see TestMillionProcess.
type millionProcess struct {
	began    time.Time
	cmd      *exec.Cmd
	lines    *bufio.Scanner
	orders   *bufio.Writer
	client   *kafka.Client
	producer *kafka.Producer
	stop     func()
}

func startMillion(t *testing.T, dir string) *millionProcess {
	t.Helper()
	p := &millionProcess{cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMillionProcess$"), began: time.Now()}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), millionEnv+"="+dir), os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines, p.orders = bufio.NewScanner(out), bufio.NewWriter(in)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // most are dead by then
	p.client = kafkatest.Dial(t, []string{p.await(t, "broker")})
	p.producer = kafka.NewProducer(p.client, kafka.ProducerConfig{})
	p.stop = kafkatest.Run(t, p.producer.Run)
	return p
}

// await reads lines of the child up to one that begins with a word, and returns the rest of it.
func (p *millionProcess) await(t *testing.T, word string) string {
	t.Helper()
	for p.lines.Scan() {
		if rest, ok := strings.CutPrefix(p.lines.Text(), word+" "); ok {
			return rest
		}
	}
	t.Fatalf("the process ended before it said %q: %v", word, p.cmd.Wait())
	return ""
}

func (p *millionProcess) ask(t *testing.T, order, answer string) string {
	t.Helper()
	if _, err := fmt.Fprintln(p.orders, order); err != nil {
		t.Fatal(err)
	}
	if err := p.orders.Flush(); err != nil {
		t.Fatal(err)
	}
	return p.await(t, answer)
}

func (p *millionProcess) kill(t *testing.T) {
	t.Helper()
	p.stop()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // killed, as it should be
	t.Logf("the process used %s of processor time", p.cmd.ProcessState.UserTime()+p.cmd.ProcessState.SystemTime())
}

// produce writes views by visitors chosen at random, so that hardly any batch finds its profiles in a cache.
func (p *millionProcess) produce(t *testing.T, r *rand.Rand, ids map[string]bool, sample millionSample, n int) {
	t.Helper()
	const atOnce = 2000
	for range n / atOnce {
		records := make([]kafka.Record, atOnce)
		for i := range records {
			at := millionLoadBegins.Add(time.Duration(len(ids)) * 500 * time.Microsecond)
			e := millionVisit(r, millionVisitor(r.IntN(millionProfiles)), r.IntN(millionCategories), at)
			value, err := event.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			records[i] = kafka.Record{Topic: event.TopicEvents, Partition: -1, Time: at, Key: []byte(e.Key()), Value: value}
			ids[e.EventID] = true
			sample.produced(e)
		}
		if err := p.producer.Produce(t.Context(), records); err != nil {
			t.Fatal(err)
		}
	}
}

// peakBytes is the most memory that the child has had resident.
func (p *millionProcess) peakBytes(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("memory is measured on Linux: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("the kernel reports no peak of memory")
	return 0
}

// checkMillionLanded asks that exactly the given events are in the lake, each once.
func checkMillionLanded(t *testing.T, dir string, ids map[string]bool) {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: filepath.Join(dir, "lake")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := &house{t: t, lake: l}
	h.checkLanded(ids)
}

func dirMiB(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreMissing(err)
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return ignoreMissing(err) // a running database removes what it has compacted
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum >> 20
}

// drainWithin bounds how long the child may take for anything; only the first publication comes near.
const drainWithin = 15 * time.Minute

func drainMillion(ctx context.Context, s *Stream) error {
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	return s.Drained(ctx)
}
