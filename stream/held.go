package stream

import (
	"os"
	"strconv"

	"github.com/millrace/millrace/internal/event"
)

// Held tells for which partitions there is state in a state directory, as a group wants to know it: they come back here
// if they can, instead of being made again elsewhere. A directory that cannot be read holds nothing; opening a state in
// it says why.
func Held(stateDir string) map[string][]int32 {
	entries, err := os.ReadDir(stateDir)
	if err != nil {
		return nil
	}
	var held []int32
	for _, e := range entries {
		// States that are being made have longer names and are not held yet.
		if n, err := strconv.ParseInt(e.Name(), 10, 32); err == nil && e.IsDir() {
			held = append(held, int32(n))
		}
	}
	return map[string][]int32{event.TopicEvents: held}
}
