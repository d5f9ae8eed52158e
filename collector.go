package main

import (
	"os"
	"runtime/debug"
)

// defaultGCPercent lets as much garbage gather as four times what lives before it is collected: what lives in a process that
// answers lists is large and stays, so that collecting at Go's 100 would go through all of it several times a second.
const defaultGCPercent = 400

// tuneCollector sets how much garbage may gather in a process with the given roles. The runtime's own variables come first: GOGC
// says it instead, and GOMEMLIMIT bounds the memory whatever is said here, by collecting more often near the limit.
func (c *ServingConfig) tuneCollector(roles roleSet) {
	if os.Getenv("GOGC") == "" && roles.has(roleServing) {
		debug.SetGCPercent(c.GCPercent)
	}
}
