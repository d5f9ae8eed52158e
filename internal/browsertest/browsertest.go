// Package browsertest finds the real browser that suites drive: Chromium, Node and the driver playwright-core.
package browsertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Environment variables that name the tools; `make test` sets them.
const (
	ModulesEnv  = "MILLRACE_NODE_MODULES" // a node_modules folder that holds playwright-core
	ChromiumEnv = "MILLRACE_CHROMIUM"     // path of Chromium; Debian's by default
)

const defaultChromium = "/usr/bin/chromium"

// Command returns a node command, with the tools in its environment. Where one is missing the test is skipped with one
// clear line; with CI=true all of them are set up, and a missing one is a failure.
func Command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	missing := func(what string) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the browser suite needs %s", what)
		}
		t.Skipf("the browser suite needs %s; `make test` sets it up", what)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing("node in PATH")
	}
	chromium := os.Getenv(ChromiumEnv)
	if chromium == "" {
		chromium = defaultChromium
	}
	if _, err := os.Stat(chromium); err != nil {
		missing("Chromium at " + chromium + " (" + ChromiumEnv + " names another place)")
	}
	modules := os.Getenv(ModulesEnv)
	if _, err := os.Stat(filepath.Join(modules, "playwright-core")); modules == "" || err != nil {
		missing("playwright-core in the folder that " + ModulesEnv + " names")
	}
	cmd := exec.CommandContext(t.Context(), node, args...)
	cmd.Env = append(os.Environ(), ModulesEnv+"="+modules, ChromiumEnv+"="+chromium)
	return cmd
}
