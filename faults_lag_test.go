package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/lake"
)

const (
	// caughtUp is how many records may be on their way to the lake when it counts as caught up: what comes in within some
	// of its commits.
	caughtUp = 3 * faultsRate
	// recoverLimit bounds how long the cluster may take to make up for a fault. Alone it takes seconds.
	recoverLimit = 3 * time.Minute
	// lagLook is the pause between two looks at log and lake.
	lagLook = 200 * time.Millisecond
)

// ownedPartition is what the metrics of a stream process say of each partition that it reads.
var ownedPartition = regexp.MustCompile(`(?m)^millrace_consumer_lag_records\{.*topic="` + regexp.QuoteMeta(event.TopicEvents) + `"`)

// awaitRecovered returns when everything has landed that stands in the log now, no more is on its way than ever, and every
// process has partitions again.
func (f *faults) awaitRecovered(what string) {
	f.t.Helper()
	goal := f.logEnds()
	ctx, cancel := context.WithTimeout(f.t.Context(), recoverLimit)
	defer cancel()
	look := time.NewTicker(lagLook)
	defer look.Stop()
	for {
		landed, missing, behind := f.landed(), int64(0), int64(0)
		for partition, end := range f.logEnds() {
			missing += max(0, goal[partition]-landed[partition])
			behind += end - landed[partition]
		}
		idle := f.idle(ctx)
		if missing == 0 && behind <= caughtUp && idle == "" {
			return
		}
		f.expectAlive()
		select {
		case <-look.C:
		case <-ctx.Done():
			f.t.Fatalf("%s: not recovered after %s: %d records of before have not landed, %d in all%s", what, recoverLimit, missing, behind, idle)
		}
	}
}

// logEnds are the ends of the partitions. While a partition has no leader it waits for one.
func (f *faults) logEnds() map[int32]int64 {
	f.t.Helper()
	for limit := time.Now().Add(recoverLimit); ; {
		ranges, err := f.client.Offsets(f.t.Context(), event.TopicEvents)
		if err == nil {
			ends := make(map[int32]int64, len(ranges))
			for partition, r := range ranges {
				ends[partition] = r.End
			}
			return ends
		}
		if !kafka.Transient(err) || time.Now().After(limit) {
			f.t.Fatal(err)
		}
	}
}

// landed is how far the lake has come in each partition, in its newest epoch: what is fenced in an earlier one is closed.
func (f *faults) landed() map[int32]int64 {
	f.t.Helper()
	fences, err := f.lake.Next(f.t.Context(), lake.TableEvents)
	if err != nil {
		f.t.Fatal(err)
	}
	next, newest := make(map[int32]int64), make(map[int32]int64)
	for key, fence := range fences {
		if key.Topic == event.TopicEvents && key.Epoch >= newest[key.Partition] {
			next[key.Partition], newest[key.Partition] = fence.Next, key.Epoch
		}
	}
	return next
}

// idle names the stream processes that have no partition: the next fault would strike one that does nothing.
func (f *faults) idle(ctx context.Context) (names string) {
	f.t.Helper()
	for i, s := range f.streams {
		info, ok, err := runningProcess(s.dir)
		if err != nil || !ok {
			f.t.Fatalf("stream %d does not say where it is: %v", i, err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+info.Admin+"/metrics", http.NoBody)
		if err != nil {
			f.t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil && ownedPartition.Match(text) {
				continue
			}
		}
		names += fmt.Sprintf(", stream %d has no partition", i)
	}
	return names
}
