package trainer

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// ownPeakRSS returns the largest resident set of this process in bytes; 0 where the system does not tell. The system's
// accounting of a child (rusage) is no substitute on Linux: there a child starts with the peak of the parent that forked
// it, so that training would seem to need what `up` does.
func ownPeakRSS() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kibibytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kibibytes << 10
		}
	}
	return 0
}

// peakRSS reads the largest resident set of a process that has ended, in bytes, where the process could not tell itself.
func peakRSS(usage any) int64 {
	u, ok := usage.(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return u.Maxrss // bytes there, kibibytes elsewhere
	}
	return u.Maxrss << 10
}
