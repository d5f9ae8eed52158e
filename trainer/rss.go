package trainer

import (
	"runtime"
	"syscall"
)

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
