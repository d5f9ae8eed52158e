package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/lake"
)

const (
	crashes          = 10
	crashRate        = 1000 // events a second
	crashBatch       = 20   // events a request
	crashSenders     = 4
	crashVisitors    = 97
	crashMaxLifetime = 2500 * time.Millisecond // of the program between two kills
)

// TestKillNine kills the program ten times at random moments under load. Afterwards every acknowledged event is in the
// lake exactly once, no event is there twice, and the features equal a rebuild from the log.
func TestKillNine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 9))
	load := &load{acked: map[string]bool{}}
	for crash := range crashes {
		p := startProgram(t, dir)
		key := p.keys(t).WriteKey
		ctx, stop := context.WithCancel(t.Context())
		var senders sync.WaitGroup
		for s := range crashSenders {
			senders.Go(func() { load.send(ctx, p, key, fmt.Sprintf("c%d-s%d", crash, s)) })
		}
		lifetime := 300*time.Millisecond + time.Duration(rng.Int64N(int64(crashMaxLifetime)))
		<-time.After(lifetime)
		p.kill()
		stop()
		senders.Wait()
		t.Logf("kill %d after %s: %d events acknowledged so far", crash+1, lifetime.Round(time.Millisecond), load.count())
	}
	if load.count() < crashes*100 {
		t.Fatalf("only %d events were acknowledged; the load did not run", load.count())
	}
	// Verifying waits until everything is applied and has landed; a stop waits some seconds for that and no longer.
	p := startProgram(t, dir)
	stdout, stderr, exit := runProgram(t, "features", "verify", "--json", "--data-dir", dir)
	var report struct{ Profiles, Differences int64 }
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || exit != exitDone {
		t.Fatalf("features verify: exit %d, %v\n%s\n%s", exit, err, stdout, stderr)
	}
	if report.Differences != 0 || report.Profiles == 0 {
		t.Fatalf("features verify: %s\n%s", stdout, stderr)
	}
	p.stop(t)
	checkLake(t, dir, load)
	t.Logf("%d acknowledged events exactly once, %d profiles verified", load.count(), report.Profiles)
}

// load posts events and remembers which were acknowledged.
type load struct {
	mu    sync.Mutex
	acked map[string]bool
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// send posts batches at its share of crashRate until ctx ends. A batch that got no answer was not acknowledged; it may
// be in the lake or not.
func (l *load) send(ctx context.Context, p *program, key, prefix string) {
	tick := time.NewTicker(time.Second * crashBatch * crashSenders / crashRate)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.post(ctx, p, key, newBatch(prefix, n, crashVisitors))
		}
	}
}

// batch is the events of one request.
type batch struct {
	ids    []string
	events []map[string]any
}

// newBatch makes the nth batch of a sender, whose events are spread over some visitors.
func newBatch(prefix string, n, visitors int) (b batch) {
	for i := range crashBatch {
		id := fmt.Sprintf("%s-b%d-%d", prefix, n, i)
		b.ids = append(b.ids, id)
		b.events = append(b.events, map[string]any{
			"event_id": id, "type": []string{event.ViewItem, event.AddToCart, event.Purchase, event.PageView}[i%4],
			"occurred_at":  time.Now().UTC().Format(time.RFC3339Nano),
			"anonymous_id": fmt.Sprintf("visitor-%d", (n*crashBatch+i)%visitors),
			"item_id":      fmt.Sprintf("item-%d", (n+i*i)%41), "item_category": fmt.Sprintf("category-%d", i%5),
		})
	}
	return b
}

// post sends a batch and reports whether all of it was acknowledged.
func (l *load) post(ctx context.Context, p *program, key string, b batch) bool {
	var verdict struct{ Accepted int }
	status, _, err := p.call(ctx, "POST", "/v1/events", key, b.events, &verdict)
	if err != nil || status != 202 || verdict.Accepted != len(b.events) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range b.ids {
		l.acked[id] = true
	}
	return true
}

// checkLake counts every event id in the lake of a stopped data directory.
func checkLake(t *testing.T, dir string, l *load) {
	t.Helper()
	checkLakeAt(t, lake.Config{Dir: (&Config{DataDir: dir}).path("lake")}, l)
}

func checkLakeAt(t *testing.T, at lake.Config, l *load) {
	t.Helper()
	store, err := lake.Open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if lost, doubled := l.compare(landedIDs(t, store)); len(lost) > 0 || len(doubled) > 0 {
		t.Fatalf("%d of %d acknowledged events lost (%s), %d doubled (%s)", len(lost), len(l.acked), some(lost), len(doubled), some(doubled))
	}
}

// landedIDs counts how often each event is in the lake.
func landedIDs(t *testing.T, store *lake.Lake) map[string]int {
	t.Helper()
	seen := map[string]int{}
	err := store.ScanEvents(t.Context(), lake.ScanRequest{Table: lake.TableEvents}, func(row lake.EventRow) error {
		seen[row.Event.EventID]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// compare finds what was acknowledged and is not in the lake, and what is there more than once.
func (l *load) compare(seen map[string]int) (lost, doubled []string) {
	for id := range l.acked {
		if seen[id] == 0 {
			lost = append(lost, id)
		}
	}
	for id, n := range seen {
		if n > 1 {
			doubled = append(doubled, id)
		}
	}
	return lost, doubled
}

func some(ids []string) string {
	return strings.Join(ids[:min(len(ids), 5)], ", ")
}
