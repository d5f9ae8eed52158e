package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// defaultGCPercent lets as much garbage gather as four times what lives before it is collected: what lives in a process that
	// answers lists is large and stays, so that collecting at Go's 100 would go through all of it several times a second.
	defaultGCPercent = 400
	// loadingGCPercent is the same while a process loads what it is to serve, which makes far more garbage than lives then and for
	// which nobody waits.
	loadingGCPercent = 50
	// maxGarbageBytes bounds the garbage of a process that has much alive: a million items must not take five times their memory.
	maxGarbageBytes = 1 << 30
	// collectorPoll is how often is looked whether that has changed.
	collectorPoll = 500 * time.Millisecond
	// liveMetric is what lived at the last collection.
	liveMetric = "/gc/heap/live:bytes"
)

// gcPercent says how much garbage may gather in a process that answers lists, of what lives in it.
func (c *ServingConfig) gcPercent(ready bool, live uint64) int {
	if !ready {
		return min(c.GCPercent, loadingGCPercent)
	}
	return min(c.GCPercent, max(loadingGCPercent, int(maxGarbageBytes/(live/100+1))))
}

// tunesCollector reports whether this process says how much garbage may gather. The runtime's own variables come first: GOGC says it
// instead, and GOMEMLIMIT bounds the memory whatever is said here, by collecting more often near the limit.
func (s *system) tunesCollector() bool { return s.serving != nil && os.Getenv("GOGC") == "" }

// tendCollector sets how much garbage may gather, and again when what lives has changed, until ctx ends.
func (s *system) tendCollector(ctx context.Context) error {
	tick := time.NewTicker(collectorPoll)
	defer tick.Stop()
	live := []metrics.Sample{{Name: liveMetric}}
	for set := 0; ; {
		metrics.Read(live)
		const worth = 10 // a change of less than a tenth is not worth stopping everybody for
		if want := s.cfg.Serving.gcPercent(s.ready() == nil, live[0].Value.Uint64()); max(want-set, set-want)*worth > set {
			debug.SetGCPercent(want)
			set = want
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
