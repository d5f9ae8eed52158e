package trainer

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// ErrLimit is what every refusal to go beyond a limit wraps.
var ErrLimit = errors.New("training would go beyond its limits")

// Limits are what a training may use. They are checked before it reads, from the number of events, and kept while it runs
// (supervise.go, child.go). The zero value is no limit.
type Limits struct {
	// MemoryBytes is the most that the training process may hold at any time.
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
	// Deadline is how long it may take.
	Deadline time.Duration `json:"deadline_ns,omitempty"`
	// SecondsPerEvent is the pace of the last training of the site, 0 where there was none.
	SecondsPerEvent float64 `json:"seconds_per_event,omitempty"`
}

// What a training holds at its peak, as measured from 100,000 to 10 million events; the models of a large catalogue are in the
// base.
const (
	memoryPerEvent = 200
	memoryBase     = 256 << 20
)

// overtime is how far beyond the deadline the last pace must lead before a training is not even begun: the pace of a noisy machine is
// a guess.
const overtime = 1.5

// wholeShare is the part of the memory that EASE's matrix of all items may take.
const wholeShare = 0.25

// wholeItems is how many items EASE can take as a whole: their matrix has 4 bytes for each pair.
func (l Limits) wholeItems() int {
	if l.MemoryBytes == 0 {
		return math.MaxInt
	}
	return int(math.Sqrt(wholeShare * float64(l.MemoryBytes) / 4))
}

// admit refuses a training of so many events that cannot stay within the limits.
func (l Limits) admit(events int64) error {
	need := memoryBase + memoryPerEvent*events
	free := availableMemory()
	switch {
	case l.MemoryBytes > 0 && need > l.MemoryBytes:
		return fmt.Errorf("%w: the window holds %s events, which need about %s of memory, and trainer.memory_bytes allows %s; "+
			"allow more, or shorten trainer.window", ErrLimit, grouped(events), mebibytes(need), mebibytes(l.MemoryBytes))
	case l.MemoryBytes > 0 && free > 0 && need > free:
		return fmt.Errorf("%w: the window holds %s events, which need about %s of memory, and only %s are available; "+
			"free memory, or shorten trainer.window", ErrLimit, grouped(events), mebibytes(need), mebibytes(free))
	}
	if expected := l.expected(events); l.Deadline > 0 && expected.Seconds() > overtime*l.Deadline.Seconds() {
		return fmt.Errorf("%w: %s events would take about %s at the pace of the last training, and trainer.deadline allows %s; "+
			"allow more, or shorten trainer.window", ErrLimit, grouped(events), brief(expected.Round(time.Second)), brief(l.Deadline))
	}
	return nil
}

// expected is how long a training of so many events takes; 0 where nothing is known.
func (l Limits) expected(events int64) time.Duration {
	return time.Duration(l.SecondsPerEvent * float64(events) * float64(time.Second))
}

func mebibytes(n int64) string { return grouped(n>>20) + " MiB" }

// availableMemory is what the system could hand out now, in bytes; 0 where it does not tell.
func availableMemory() int64 { return procKibibytes("/proc/meminfo", "MemAvailable:") }

// ownPeakRSS returns the largest resident set of this process in bytes; 0 where the system does not tell. The system's
// accounting of a child (rusage) is no substitute on Linux: there a child starts with the peak of the parent that forked
// it, so that training would seem to need what `up` does.
func ownPeakRSS() int64 { return procKibibytes("/proc/self/status", "VmHWM:") }

// rss returns the resident set of a process in bytes; 0 where the system does not tell.
func rss(pid int) int64 { return procKibibytes(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:") }

// procKibibytes reads a line of the form "Name:   123 kB", in bytes.
func procKibibytes(path, name string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			kibibytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kibibytes << 10
		}
	}
	return 0
}
