package main

import (
	"context"
	"log/slog"
	"runtime/debug"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/serving"
)

// Garbage gathers as configured, but little while a process loads, and no more than the bound where much lives; half of what lives may
// always gather, or collecting would be all that a large process does.
func TestGarbageIsBounded(t *testing.T) {
	for _, c := range []struct {
		configured int
		ready      bool
		live       uint64
		want       int
	}{
		{400, false, 0, loadingGCPercent},
		{20, false, 1 << 30, 20},
		{400, true, 0, 400},
		{400, true, 200 << 20, 400},
		{400, true, 1 << 29, 199},
		{400, true, 1 << 30, 99},
		{400, true, 40 << 30, loadingGCPercent},
		{20, true, 40 << 30, 20},
	} {
		if got := (&ServingConfig{GCPercent: c.configured}).gcPercent(c.ready, c.live); got != c.want {
			t.Errorf("%d percent configured, ready %v, %d bytes live: %d percent, want %d", c.configured, c.ready, c.live, got, c.want)
		}
	}
}

// A process that answers lists tends its collector from its start to its end; other roles, and whoever sets GOGC, keep theirs.
func TestTheCollectorIsTended(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(70)
	defer debug.SetGCPercent(before)
	synctest.Test(t, func(t *testing.T) {
		s := &system{storage: &storage{cfg: &Config{Serving: ServingConfig{GCPercent: 30}}, log: slog.New(slog.DiscardHandler)}, serving: &serving.Serving{}}
		if s.serving = nil; s.tunesCollector() {
			t.Error("a process without lists tunes its collector")
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.tendCollector(ctx) }()
		synctest.Wait()
		if got := debug.SetGCPercent(30); got != 30 {
			t.Errorf("%d percent, want 30", got)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Setenv("GOGC", "70")
	if (&system{serving: &serving.Serving{}}).tunesCollector() {
		t.Error("GOGC is not heard")
	}
}
