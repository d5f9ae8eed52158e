package lake

import (
	"reflect"
	"testing"

	"github.com/millrace/millrace/internal/event"
)

// What goes in comes out: every field, present, absent or zero, of every event and exposure.
func TestRowsComeBackWhole(t *testing.T) {
	l, s := openTestLake(t), newSampler(1)
	wantEvents := map[Position]*event.Event{}
	wantExposures := map[Position]*event.Exposure{}
	for commit := range 3 {
		in := s.landEvents(2, commit*2000, 2000)
		shown := s.landExposures(2, commit*300, 300)
		in.Exposures, in.Fences = shown.Exposures, append(in.Fences, shown.Fences...)
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		for _, r := range in.Events {
			wantEvents[r.At] = r.Event
		}
		for _, r := range in.Exposures {
			wantExposures[r.At] = r.Exposure
		}
	}
	next := int64(0)
	err := l.ScanEvents(t.Context(), ScanRequest{}, func(r EventRow) error {
		if r.At.Offset != next {
			t.Fatalf("offset %d came where %d was due", r.At.Offset, next)
		}
		next++
		if want := wantEvents[r.At]; !reflect.DeepEqual(r.Event, want) {
			t.Fatalf("event at %v\n got %+v\nwant %+v", r.At, r.Event, want)
		}
		delete(wantEvents, r.At)
		return nil
	})
	if err != nil || len(wantEvents) != 0 {
		t.Fatalf("error %v, %d events missing", err, len(wantEvents))
	}
	err = l.ScanExposures(t.Context(), ScanRequest{}, func(r ExposureRow) error {
		if want := wantExposures[r.At]; !reflect.DeepEqual(r.Exposure, want) {
			t.Fatalf("exposure at %v\n got %+v\nwant %+v", r.At, r.Exposure, want)
		}
		delete(wantExposures, r.At)
		return nil
	})
	if err != nil || len(wantExposures) != 0 {
		t.Fatalf("error %v, %d exposures missing", err, len(wantExposures))
	}
}
