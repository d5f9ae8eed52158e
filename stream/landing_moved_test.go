package stream

import (
	"testing"
	"time"

	"github.com/millrace/millrace/lake"
)

// TestRollbackWithoutNews rolls the tables back under a stream that gets no record any more: what was given up lands again all the
// same, once.
func TestRollbackWithoutNews(t *testing.T) {
	h, tr := newHouse(t), newTraffic(61)
	s := h.stream()
	s.landing.lookEvery = 10 * time.Millisecond
	r := h.run(s)
	h.produce(tr.next(40)...)
	r.drain()
	versions, err := h.lake.Versions(t.Context(), lake.TableEvents)
	if err != nil || len(versions) == 0 {
		t.Fatalf("versions %v, %v", versions, err)
	}
	h.produce(tr.next(80)...)
	r.drain()
	done, err := h.lake.Rollback(t.Context(), lake.TableEvents, versions[0].SnapshotID)
	if err != nil || len(done.Moved) == 0 {
		t.Fatalf("rollback %+v, %v", done, err)
	}
	for deadline := time.Now().Add(30 * time.Second); len(h.landed()) < len(tr.ids) && time.Now().Before(deadline); {
		if err := pause(t.Context(), 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	r.halt()
	h.checkLanded(tr.ids)
	found, err := h.lake.Verify(t.Context(), lake.VerifyRequest{Table: lake.TableEvents})
	if err != nil || !found[0].Sound() {
		t.Errorf("the lake is %+v, %v", found, err)
	}
}
