package stream

import (
	"testing"

	"github.com/millrace/millrace/internal/kafka"
)

// A budget with room for one answer alone stops nobody, also not while a partition drops what it holds and reads again from
// where the lake has moved.
func TestTinyFetchBudgetStopsNobody(t *testing.T) {
	h, tr := newHouse(t), newTraffic(9)
	h.produce(tr.next(300)...)
	thief := &thievingLake{Lake: h.lake, steal: true}
	h.useLake = thief
	s := h.stream()
	s.fetches = kafka.NewBudget(1)
	r := h.run(s)
	r.drain()
	if thief.steal {
		t.Fatal("nothing was stolen: the test proves nothing")
	}
	for range 3 {
		h.produce(tr.next(200)...)
	}
	r.drain()
	h.checkLanded(tr.ids)
	verify(t, r.Stream)
	r.halt()
}
