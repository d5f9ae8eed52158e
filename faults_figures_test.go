package main

import (
	"encoding/json"
	"time"
)

// finish ends the load, compares everything that was acknowledged with lake and features, and prints the figures.
func (f *faults) finish() {
	f.t.Helper()
	f.probe.stop()
	f.load.stop()
	f.awaitRecovered("end")
	began := time.Now()
	var report struct{ Profiles, Differences int64 }
	if err := json.Unmarshal([]byte(f.command("features", "verify", "--json")), &report); err != nil {
		f.t.Fatal(err)
	}
	verified := time.Since(began)
	for _, role := range append(f.streams, f.tracker, f.serving) {
		role.stop(f.t)
	}
	seen := landedIDs(f.t, f.lake)
	lost, doubled := f.load.compare(seen)
	sent, seconds := f.load.offered+f.probe.clicked, f.load.took.Seconds()
	f.t.Logf("offered %d events in %.0f s (%.0f/s), requests late by %s", sent, seconds, float64(sent)/seconds, f.load.late.since(time.Time{}))
	f.t.Logf("acknowledged %d, in the lake %d, lost %d (%s), doubled %d (%s)", f.load.count(), len(seen), len(lost), some(lost), len(doubled), some(doubled))
	f.t.Logf("%d profiles verified in %.0f s, %d differences", report.Profiles, verified.Seconds(), report.Differences)
	f.t.Logf("due -> acknowledged %s; acknowledged -> published %s", f.load.acks.since(time.Time{}), f.probe.shown.since(time.Time{}))
	if len(lost)+len(doubled) > 0 || report.Differences > 0 {
		f.t.Error("the cluster is not exact")
	}
	// Each event is sent until it is acknowledged, so nothing else may be missing or left over.
	if f.load.count() != sent || len(seen) != sent || report.Profiles < faultsVisitors+int64(f.probe.clicked) {
		f.t.Error("the figures do not agree with what was sent")
	}
}
