package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

const (
	// scalePartitions is what three processes can share unevenly, and each has several of.
	scalePartitions = 8
	// flushLimit is the promise: a partition that is taken away is flushed within it.
	flushLimit = 5 * time.Second
)

// TestLongScaleStreams takes the stream from one process to three and back to one under load, twice. One process ends in order,
// another by kill -9; whoever has a partition next goes on where the last one stood.
func TestLongScaleStreams(t *testing.T) {
	kafkatest.Long(t)
	t.Setenv("MILLRACE_KAFKA__PARTITIONS", strconv.Itoa(scalePartitions))
	t.Setenv("MILLRACE_LOG__LEVEL", "debug")
	c := newCluster(t)
	tracker := c.role(t.TempDir(), "tracker", "--listen", "127.0.0.1:0")
	scale := &scaling{t: t, c: c}
	first := scale.start()
	writeKey := c.command("keys", "create")

	load := &load{acked: map[string]bool{}}
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for s := range crashSenders {
		senders.Go(func() { load.send(ctx, tracker, writeKey, fmt.Sprintf("s%d", s)) })
	}
	scale.awaitOwned(first)
	for round := range 2 {
		scale.underLoad(load)
		second, third := scale.start(), scale.start()
		scale.awaitOwned(first, second, third)
		scale.underLoad(load)
		stopped := time.Now()
		second.stop(t)
		scale.awaitOwned(first, third)
		t.Logf("round %d: the partitions of a stopped process were flushed and taken over after %s", round+1, time.Since(stopped).Round(time.Millisecond))
		scale.underLoad(load)
		third.kill()
		killed := time.Now()
		scale.awaitOwned(first)
		t.Logf("round %d: the partitions of a killed process were taken over after %s", round+1, time.Since(killed).Round(time.Millisecond))
	}
	scale.underLoad(load)
	stop()
	senders.Wait()

	var report struct{ Profiles, Differences int64 }
	if err := json.Unmarshal([]byte(c.command("features", "verify", "--json")), &report); err != nil || report.Differences != 0 || report.Profiles < 97 {
		t.Errorf("features verify: %+v (%v)", report, err)
	}
	first.stop(t)
	tracker.stop(t)
	checkLakeAt(t, c.lakeConfig(), load)
	t.Logf("%d acknowledged events: 0 lost, 0 doubled; %d profiles, 0 differences", load.count(), report.Profiles)
	scale.report()
}

// scaling watches processes of the stream that come and go.
type scaling struct {
	t    *testing.T
	c    *cluster
	all  []*program
	seen int // events acknowledged at the last look
}

func (s *scaling) start() *program {
	s.t.Helper()
	p := s.c.role(s.t.TempDir(), "stream")
	s.all = append(s.all, p)
	return p
}

// What a process says when it takes a partition over and when it gives it up, in time or not.
var (
	ownership = regexp.MustCompile(`msg="a partition (is taken over|is flushed and given up|was not flushed).* topic=millrace\.events partition=(\d+)(?: took=(\S+))?`)
	takenOver = "is taken over"
	givenUp   = "is flushed and given up"
)

// held are the partitions that a process has, by what it says.
func held(p *program) (n int) {
	last := make(map[string]string)
	for _, m := range ownership.FindAllStringSubmatch(p.stderr.String(), -1) {
		last[m[2]] = m[1]
	}
	for _, what := range last {
		if what == takenOver {
			n++
		}
	}
	return n
}

// awaitOwned waits until the processes have all partitions among them, each at least its share.
func (s *scaling) awaitOwned(processes ...*program) {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		sum, least := 0, scalePartitions
		for _, p := range processes {
			n := held(p)
			sum, least = sum+n, min(least, n)
		}
		if sum == scalePartitions && least >= scalePartitions/len(processes) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d processes have %d of %d partitions, one of them %d", len(processes), sum, scalePartitions, least)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// scaleBatch is how many events are acknowledged between two changes.
const scaleBatch = 4000

// underLoad waits until as many events more have been acknowledged.
func (s *scaling) underLoad(l *load) {
	s.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for l.count() < s.seen+scaleBatch {
		if time.Now().After(deadline) {
			s.t.Fatalf("only %d events were acknowledged", l.count()-s.seen)
		}
		<-time.After(20 * time.Millisecond)
	}
	s.seen = l.count()
}

// report asks that every partition that was taken away was flushed in time.
func (s *scaling) report() {
	s.t.Helper()
	flushes, late, longest := 0, 0, time.Duration(0)
	for _, p := range s.all {
		for _, m := range ownership.FindAllStringSubmatch(p.stderr.String(), -1) {
			if m[1] == takenOver {
				continue
			}
			took, err := time.ParseDuration(m[3])
			if err != nil {
				s.t.Fatal(err)
			}
			flushes, longest = flushes+1, max(longest, took)
			if m[1] != givenUp {
				late++
			}
		}
	}
	if longest > flushLimit || flushes == 0 || late > 0 {
		s.t.Errorf("%d partitions were taken away, %d of them not flushed, the slowest in %s; the limit is %s", flushes, late, longest, flushLimit)
	}
	s.t.Logf("%d partitions were taken away and flushed, the slowest in %s", flushes, longest.Round(time.Millisecond))
}
