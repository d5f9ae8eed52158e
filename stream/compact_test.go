package stream

import (
	"testing"

	"github.com/millrace/millrace/lake"
)

// TestCompactedHistory makes the features of a compacted lake, whose rows come in another order than those of the log: by
// verification, by a rebuild beside the stream, and for a state that was lost.
func TestCompactedHistory(t *testing.T) {
	h, tr := newHouse(t), newTraffic(13)
	s := h.start()
	for range 40 { // a commit each, and as many files
		h.produce(tr.next(20)...)
		s.drain()
	}
	h.exactly(s)
	done, err := h.lake.Compact(t.Context(), lake.CompactRequest{Table: lake.TableEvents})
	if err != nil || done[0].FilesRead < 16 || done[0].Duplicates != 0 {
		t.Fatalf("compaction did %+v, error %v", done, err)
	}
	h.exactly(s)
	generation := h.requestRebuild()
	h.produce(tr.next(60)...)
	s.rebuilt(generation)
	h.exactly(s)
	h.checkLanded(tr.ids)
	s.halt()
	h.stateName = "lost"
	s = h.start()
	s.drain()
	h.exactly(s)
	h.checkLanded(tr.ids)
}
