package lake

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// What goes in comes out: every field, present, absent or zero, of every event, exposure and item.
func TestRowsComeBackWhole(t *testing.T) {
	l, s := openTestLake(t), newSampler(1)
	wantEvents := map[Position]*event.Event{}
	wantExposures := map[Position]*event.Exposure{}
	wantItems := map[Position]*event.CatalogueRow{}
	for commit := range 3 {
		in := s.landEvents(2, commit*700, 700)
		shown := s.landExposures(2, commit*150, 150)
		changed := s.landItems(2, commit*150, 150)
		in.Exposures, in.Items, in.Fences = shown.Exposures, changed.Items, slices.Concat(in.Fences, shown.Fences, changed.Fences)
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		for _, r := range in.Events {
			wantEvents[r.At] = r.Event
		}
		for _, r := range in.Exposures {
			wantExposures[r.At] = r.Exposure
		}
		for _, r := range in.Items {
			wantItems[r.At] = r.Item
		}
	}
	err := l.ScanEvents(t.Context(), ScanRequest{}, func(r EventRow) error {
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
	err = l.ScanItems(t.Context(), ScanRequest{}, func(r ItemRow) error {
		if want := wantItems[r.At]; !reflect.DeepEqual(r.Item, want) {
			t.Fatalf("item at %v\n got %+v\nwant %+v", r.At, r.Item, want)
		}
		delete(wantItems, r.At)
		return nil
	})
	if err != nil || len(wantItems) != 0 {
		t.Fatalf("error %v, %d items missing", err, len(wantItems))
	}
}

// A field that is added to the schema of events must be added to the table too: every field, filled, comes back.
func TestEveryFieldLands(t *testing.T) {
	l := openTestLake(t)
	e, x, it := new(event.Event), new(event.Exposure), new(event.CatalogueRow)
	fillValue(reflect.ValueOf(it).Elem())
	it.Fields = map[string]any{"text": "a", "list": []any{true}}
	fillValue(reflect.ValueOf(e).Elem())
	fillValue(reflect.ValueOf(x).Elem())
	e.Props = map[string]any{"text": "a", "number": 1.5, "flag": true}
	err := l.Commit(t.Context(), Landing{
		Events:    []EventRow{{Event: e, At: Position{Topic: event.TopicEvents, Epoch: 1}}},
		Exposures: []ExposureRow{{Exposure: x, At: Position{Topic: event.TopicExposures, Epoch: 1}}},
		Items:     []ItemRow{{Item: it, At: Position{Topic: event.TopicItems, Epoch: 1}}},
		Fences:    []Fence{{Topic: event.TopicEvents, Epoch: 1, Next: 1}, {Topic: event.TopicExposures, Epoch: 1, Next: 1}, {Topic: event.TopicItems, Epoch: 1, Next: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = l.ScanEvents(t.Context(), ScanRequest{}, func(r EventRow) error {
		if !reflect.DeepEqual(r.Event, e) {
			t.Errorf("\n got %+v\nwant %+v", r.Event, e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = l.ScanExposures(t.Context(), ScanRequest{}, func(r ExposureRow) error {
		if !reflect.DeepEqual(r.Exposure, x) {
			t.Errorf("\n got %+v\nwant %+v", r.Exposure, x)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = l.ScanItems(t.Context(), ScanRequest{}, func(r ItemRow) error {
		if !reflect.DeepEqual(r.Item, it) {
			t.Errorf("\n got %+v\nwant %+v", r.Item, it)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fillValue sets every field below v to something that is not its zero.
func fillValue(v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(testStart))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(2.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillValue(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillValue(v.Index(0))
		fillValue(v.Index(1))
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		fillValue(element)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), element)
	case reflect.Struct:
		for i := range v.NumField() {
			fillValue(v.Field(i))
		}
	}
}
