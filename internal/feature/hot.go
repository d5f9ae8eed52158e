package feature

import (
	"math/bits"

	"github.com/millrace/millrace/internal/event"
)

// HotEventsPerSecond is the pace above which a profile is hot: no person acts that fast, and what does must not hold up the
// others of its partition.
const HotEventsPerSecond = 50

// Pace is how fast events of a profile come, by occurred_at in the order of their partition: the number in the newest
// second and in the one before it. An event further back begins anew, so that history told backwards is no haste.
type Pace struct {
	Second int64 // Unix seconds
	Count  int64
	Before int64 // events in the second before
}

// admits counts an event and reports whether features count it too. A hot profile's features see one event in 2^k, chosen
// by the hash of its id, where 2^k is the smallest power of two that brings the pace to HotEventsPerSecond. So a rebuild
// skips the same ones. Imported history is always counted: its times may be days.
func (p *Pace) admits(e *event.Event, at int64, hash uint64) bool {
	if e.Source == event.SourceImport {
		return true
	}
	switch second := at / 1000; second {
	case p.Second:
		p.Count++
	case p.Second - 1:
		p.Before++
	case p.Second + 1:
		*p = Pace{Second: second, Count: 1, Before: p.Count}
	default:
		*p = Pace{Second: second, Count: 1}
	}
	pace := max(p.Count, p.Before)
	if pace <= HotEventsPerSecond {
		return true
	}
	k := bits.Len64(uint64(pace-1) / HotEventsPerSecond)
	return hash&(1<<k-1) == 0
}
