package lake

import (
	"errors"
	"testing"

	"github.com/millrace/millrace/internal/erasure"
)

// The life of a lake, in offsets of each partition.
const (
	livedOlder    = 48 // landed by the older version, which lacks columns
	livedRepeats  = 96 // merged, after which nothing is sent again
	livedErased   = 144
	livedToTheEnd = 192 // landed after somebody was erased, late events of that person among them
)

// livedLake is a lake with everything in it: landed under kills by an older version and by today's, compacted by processes that
// were killed and one that was not, with somebody erased, and landed on under kills.
func livedLake(t *testing.T, cfg Config, seed uint64) (*Lake, testLog) {
	t.Helper()
	log := testLog{Seed: seed, Partitions: 2, Repeats: livedRepeats}
	land := func(records, kills int, as victim) {
		log.Records = records
		as.Lake, as.Log, as.Seed = configText(t, cfg), log, seed+uint64(records)
		landThroughKills(t, as, kills)
	}
	land(livedOlder, 3, victim{Older: true})
	land(livedRepeats, 3, victim{})
	victim{Lake: configText(t, cfg), Compact: true, Steps: 5}.run(t)
	l := openLake(t, cfg)
	for name, done := range compact(t, l) {
		if done.FilesWritten == 0 || (name == TableEvents) != (done.Duplicates > 0) {
			t.Errorf("the compaction did %+v", done)
		}
	}
	land(livedErased, 2, victim{})
	l.hook = func(step string) error {
		if step == stepRewritten {
			return errCrash
		}
		return nil
	}
	if _, err := l.Erase(t.Context(), erasedPerson(1)); !errors.Is(err, errCrash) {
		t.Fatalf("the erasure was not broken off: %v", err)
	}
	l.hook = nil
	if done, err := l.Erase(t.Context(), erasedPerson(1)); err != nil || done[0].Rows == 0 || done[1].Rows == 0 {
		t.Fatalf("erased %+v (%v)", done, err)
	}
	land(livedToTheEnd, 2, victim{Filter: true})
	return l, log
}

// livedFigures are those of what is to be in a lived lake, by the log alone.
func livedFigures(t *testing.T, log testLog) map[string]figures {
	t.Helper()
	ledger, seen := erasedPerson(1), make(map[string]bool)
	return log.figures(t, func(r EventRow) (EventRow, bool) {
		if ledger.Covers(erasure.EventRow(r.Event)) || seen[r.Event.EventID] {
			return r, false
		}
		seen[r.Event.EventID] = true
		if r.At.Offset < livedOlder {
			r = asOlder(r)
		}
		return r, true
	}, func(r ExposureRow) bool { return !ledger.Covers(erasure.ExposureRow(r.Exposure)) })
}
