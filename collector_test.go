package main

import (
	"runtime/debug"
	"testing"
)

// A process that answers lists lets so much garbage gather as is configured; other roles, and whoever sets GOGC, keep theirs.
func TestCollectorFollowsConfigurationUnlessTheEnvironmentSays(t *testing.T) {
	for _, c := range []struct {
		gogc  string
		roles roleSet
		want  int
	}{
		{"", roleServing, 250},
		{"", allRoles, 250},
		{"", roleTracker, 70},
		{"70", roleServing, 70},
	} {
		t.Setenv("GOGC", c.gogc)
		before := debug.SetGCPercent(70)
		(&ServingConfig{GCPercent: 250}).tuneCollector(c.roles)
		if got := debug.SetGCPercent(before); got != c.want {
			t.Errorf("GOGC %q, roles %b: %d percent, want %d", c.gogc, c.roles, got, c.want)
		}
	}
}
