package telemetry

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// unknownCommit stands in for a build outside version control.
const unknownCommit = "unknown"

// Build says what is running; it is also what `millrace version --json` prints.
type Build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// ReadBuild describes the running program from what the Go linker stamped into it. A commit with local changes on top
// ends in "-dirty". An empty version means the module's own version, "(devel)" in a working tree.
func ReadBuild(version string) Build {
	b := Build{Version: version, Commit: unknownCommit, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	var dirty bool
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty && b.Commit != unknownCommit {
		b.Commit += "-dirty"
	}
	return b
}

// NewRegistry returns a registry that already holds the Go runtime's metrics, the process's metrics and
// millrace_build_info, whose value is always 1.
func NewRegistry(b Build) *prometheus.Registry {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "millrace_build_info",
		Help:        "The program that is running, as labels; the value is always 1.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": b.Go},
	})
	info.Set(1)
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		info,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return reg
}
