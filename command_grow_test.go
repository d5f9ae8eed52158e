package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// TestTopicsGrow grows the topic of events while a shop sends and the program is killed in the middle of it: the grow goes
// on by itself, meanwhile events are kept on disk, and in the end every acknowledged event is in the lake once, one
// sent again is known, and the features are exact.
func TestTopicsGrow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProgram(t, dir)
	sendOne(t, p, "before")
	load := &load{acked: map[string]bool{"before": true, "after": true, "meanwhile": true}}
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	senders.Go(func() { load.send(ctx, p, p.keys(t).WriteKey, "one") })
	grow := programCommand(t.Context(), "topics", "grow", event.TopicEvents, "--partitions", "24", "--data-dir", dir)
	if err := grow.Start(); err != nil {
		t.Fatal(err)
	}
	growing := func() bool {
		resp, err := http.Get(p.url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		state, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("/readyz: %d %s %v", resp.StatusCode, state, err)
		}
		return strings.Contains(string(state), "the topic of events is being grown")
	}
	for deadline := time.Now().Add(startLimit); !growing(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the collector does not say that the topic grows")
		}
	}
	sendOne(t, p, "meanwhile")
	p.kill()
	_ = grow.Wait() // its process is gone; the grow is not
	stop()
	senders.Wait()

	p = startProgram(t, dir)
	stdout, stderr, exit := runProgram(t, "topics", "grow", event.TopicEvents, "--partitions", "24", "--json", "--data-dir", dir)
	var grown struct {
		Topic      string
		Epoch      int64
		Partitions int32
	}
	if err := json.Unmarshal([]byte(stdout), &grown); err != nil || exit != exitDone || grown.Epoch != 2 || grown.Partitions != 24 {
		t.Fatalf("grow again: exit %d, grown to %+v (%v)\n%s", exit, grown, err, stderr)
	}
	ctx, stop = context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	load.send(ctx, p, p.keys(t).WriteKey, "two")
	for _, id := range []string{"before", "after"} {
		sendOne(t, p, id)
	}
	stdout, stderr, exit = runProgram(t, "features", "verify", "--json", "--data-dir", dir)
	var report struct{ Profiles, Differences int64 }
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || exit != exitDone || report.Differences != 0 || report.Profiles == 0 {
		t.Fatalf("features verify: exit %d, %s, %s", exit, stdout, stderr)
	}
	if _, stderr, exit := runProgram(t, "topics", "grow", event.TopicItems, "--partitions", "24", "--data-dir", dir); exit != exitFailed || !strings.Contains(stderr, "cannot be grown") {
		t.Errorf("the catalogue's topic: exit %d, %s", exit, stderr)
	}
	p.stop(t)
	checkLake(t, dir, load)
	startProgram(t, dir).stop(t) // on the grown topics
	t.Logf("%d acknowledged events exactly once over two epochs, %d profiles verified", load.count(), report.Profiles)
}
