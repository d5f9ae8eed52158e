package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/lake"
)

// movedInterval is how often landing looks whether the lake stands where its partitions left it. A partition with news learns from
// its next commit that the table was rolled back; one without would never land again what was given up.
const movedInterval = 15 * time.Second

// lookMoved sends partitions back that the lake has moved under. Only the landing's own turn calls it, so no commit is under way.
func (l *landing) lookMoved(ctx context.Context) error {
	if time.Since(l.looked) < l.lookEvery {
		return nil
	}
	l.looked = time.Now()
	stood := make(map[lake.FenceKey]share)
	shares := make(map[lake.FenceKey]*share)
	tables := make(map[string]bool)
	l.mu.Lock()
	for key, s := range l.parts {
		if !s.rewind {
			stood[key], shares[key], tables[tableOf(key.Topic)] = *s, s, true
		}
	}
	l.mu.Unlock()
	fences := make(map[lake.FenceKey]lake.Fence)
	for table := range tables {
		landed, err := l.lake.Next(ctx, table)
		if err != nil {
			return fmt.Errorf("look whether the lake has moved: %w", err)
		}
		for key, f := range landed {
			fences[key] = f
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, s := range shares {
		if f, known := fences[key]; !known || f.Next == stood[key].from || l.parts[key] != s || s.rewind {
			continue
		}
		l.log.Warn("lake has moved, reading again from its fence", "topic", key.Topic, "partition", key.Partition, "left", s.from, "fence", fences[key].Next)
		l.sendBack(s)
		l.broadcast()
	}
	return nil
}
