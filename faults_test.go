package main

import (
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/lake"
)

const (
	// faultsDuration is how long events come in at least, however quickly the faults are over.
	faultsDuration = 3 * time.Minute
	// steadyFor is how long nothing happens first, to see what the cluster is like without faults.
	steadyFor = 20 * time.Second
	// frozenFor is far above the session timeout of 6 s: others have the partitions of a frozen process when it wakes.
	frozenFor = 40 * time.Second
)

// faults is a cluster under load that things happen to.
type faults struct {
	*cluster
	brokers          *kafkatest.Cluster
	client           *kafka.Client
	lake             *lake.Lake
	tracker, serving *program
	streams          []*program // that should be at work
	away             *program   // that was killed or frozen
	frozenAt         time.Time
	secretKey        string
	load             *steadyLoad
	probe            *probe
}

// fault is something that happens to the cluster. It is over when the cluster has made up for it.
type fault struct {
	name   string
	strike func()
}

// TestLongClusterFaults kills, freezes, adds and removes stream processes and brokers while events come in without a break. In
// the end every acknowledged event is in the lake exactly once, every feature is exact, and the figures are printed.
func TestLongClusterFaults(t *testing.T) {
	kafkatest.Long(t)
	f := newFaults(t)
	for _, step := range []fault{
		{"nothing", func() { <-time.After(steadyFor) }},
		{"kill -9 of stream 0, started again at once", func() { f.streams[0].kill(); f.restart(0) }},
		{"kill -9 of stream 1", func() { f.killStream(1) }},
		{"that stream started again", f.restartKilled},
		{"kill -9 of broker 0", func() { f.brokers.Kill(0) }},
		{"broker 0 started again", func() { f.restartBroker(0) }},
		{"kill -9 of broker 1", func() { f.brokers.Kill(1) }},
		{"broker 1 started again", func() { f.restartBroker(1) }},
		{"kill -9 of broker 2", func() { f.brokers.Kill(2) }},
		{"broker 2 started again", func() { f.restartBroker(2) }},
		{"stream 0 frozen", f.freeze},
		{"still frozen", func() { <-time.After(time.Until(f.frozenAt.Add(frozenFor))) }},
		{"the zombie wakes", f.wake},
		{"two processes -> one", func() { f.remove(1) }},
		{"one process -> three", func() { f.add(); f.add() }},
		{"three processes -> one", func() { f.remove(2); f.remove(1) }},
		{"one process -> two", f.add},
		{"four partitions -> six", func() { f.grow(6) }},
		{"six partitions -> eight while stream 1 is killed", func() { f.killStream(1); f.grow(8); f.restartKilled() }},
		{"data directory of stream 1 lost", f.loseDirectory},
	} {
		f.endure(step)
	}
	<-time.After(faultsDuration - time.Since(f.load.began))
	f.finish()
}

func newFaults(t *testing.T) *faults {
	brokers := kafkatest.RealCluster(t, 3)
	f := &faults{cluster: newClusterOn(t, brokers.Addrs()), brokers: brokers, client: kafkatest.Dial(t, brokers.Addrs())}
	f.tracker = f.role(t.TempDir(), "tracker", "--listen", "127.0.0.1:0")
	f.add()
	f.add()
	f.serving = f.role(t.TempDir(), "serving", "--listen", "127.0.0.1:0") // ready when the streams have said that the store is whole
	writeKey := f.command("keys", "create")
	f.secretKey = f.command("keys", "create", "--secret")
	var err error
	if f.lake, err = lake.Open(t.Context(), f.lakeConfig()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.lake.Close(); err != nil {
			t.Error(err)
		}
	})
	f.load = startLoad(t, f.tracker, writeKey)
	f.probe = startProbe(t, f, writeKey)
	f.awaitRecovered("start")
	return f
}

// endure lets a fault happen, waits until the cluster has made up for it and prints what it cost.
func (f *faults) endure(step fault) {
	f.t.Helper()
	began := time.Now()
	step.strike()
	struck := time.Since(began)
	f.awaitRecovered(step.name)
	f.t.Logf("%-45s took %5.1f s, lag recovered after %5.1f s; due -> acknowledged %s; acknowledged -> published %s", step.name,
		struck.Seconds(), time.Since(began).Seconds(), f.load.acks.since(began), f.probe.shown.since(began))
}

// expectAlive fails when a process has ended that nobody killed.
func (f *faults) expectAlive() {
	f.t.Helper()
	for _, p := range append(slices.Clone(f.streams), f.tracker, f.serving) {
		select {
		case err := <-p.done:
			p.done <- err
			f.t.Fatalf("%s has ended: %v", p.cmd.Args[1], err)
		default:
		}
	}
}

func (f *faults) add() { f.streams = append(f.streams, f.role(f.t.TempDir(), "stream")) }

// remove stops a process as an operator does.
func (f *faults) remove(i int) {
	f.streams[i].stop(f.t)
	f.streams = slices.Delete(f.streams, i, i+1)
}

// restart starts a process that was killed, on its data directory.
func (f *faults) restart(i int) { f.streams[i] = f.role(f.streams[i].dir, "stream") }

// killStream leaves all partitions to the others.
func (f *faults) killStream(i int) {
	f.streams[i].kill()
	f.away = f.streams[i]
	f.streams = slices.Delete(f.streams, i, i+1)
}

func (f *faults) restartKilled() { f.streams = append(f.streams, f.role(f.away.dir, "stream")) }

func (f *faults) restartBroker(i int) {
	f.brokers.Start(i)
	f.brokers.AwaitInSync()
}

// freeze makes a zombie of a process: others have its partitions when it goes on with what it was about to do.
func (f *faults) freeze() {
	f.away, f.frozenAt = f.streams[0], time.Now()
	f.streams = slices.Delete(f.streams, 0, 1)
	f.signal(f.away, syscall.SIGSTOP)
}

func (f *faults) wake() {
	f.signal(f.away, syscall.SIGCONT)
	f.streams = append(f.streams, f.away)
}

func (f *faults) signal(p *program, s syscall.Signal) {
	f.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		f.t.Fatal(err)
	}
}

// grow gives the topic of events more partitions; it returns when the states follow.
func (f *faults) grow(partitions int) {
	f.command("topics", "grow", event.TopicEvents, "--partitions", strconv.Itoa(partitions))
}

// loseDirectory ends a process and throws away what it had on disk: its next states come from the bucket.
func (f *faults) loseDirectory() {
	f.streams[1].kill()
	if err := os.RemoveAll(f.streams[1].dir); err != nil {
		f.t.Fatal(err)
	}
	f.restart(1)
	f.awaitRecovered("a process without directory")
	expectText(f.t, f.streams[1].stderr.String(), "state restored from the bucket")
}
