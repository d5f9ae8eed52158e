package stream

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestEventsBecomeFeaturesAndLand(t *testing.T) {
	h, tr := newHouse(t), newTraffic(1)
	s := h.start()
	for range 3 {
		h.produce(tr.next(200)...)
	}
	s.drain()
	h.checkLanded(tr.ids)
	report := verify(t, s.Stream)
	if report.Profiles < 20 || report.Rows < 100 {
		t.Fatalf("report %+v: too little was compared for the traffic", report)
	}
	s.halt()
	alone := h.stream()
	defer alone.Close()
	if again := verify(t, alone); again.Profiles != report.Profiles || again.Rows != report.Rows {
		t.Fatalf("report of a stopped stream %+v, of the running one %+v", again, report)
	}
}
