package lake

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/internal/event"
)

// TestExport writes the rows that a scan of the same request yields, in both forms.
func TestExport(t *testing.T) {
	l, s := openTestLake(t), newSampler(95)
	if err := l.Commit(t.Context(), s.landEvents(0, 0, 100)); err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(t.Context(), s.landExposures(0, 0, 30)); err != nil {
		t.Fatal(err)
	}
	req := ScanRequest{Table: TableEvents, Site: "demo", From: testStart.Add(10 * time.Hour), To: testStart.Add(50 * time.Hour)}
	want := make(map[string]EventRow)
	err := l.ScanEvents(t.Context(), req, func(r EventRow) error {
		want[r.Event.EventID] = r
		return nil
	})
	if err != nil || len(want) == 0 || len(want) == 100 {
		t.Fatalf("%d rows, %v", len(want), err)
	}
	var text bytes.Buffer
	if n, err := l.Export(t.Context(), req, ExportJSONL, &text, nil); err != nil || n != int64(len(want)) {
		t.Fatalf("%d rows, %v", n, err)
	}
	lines := json.NewDecoder(&text)
	for range want {
		got := new(event.Event)
		if err := lines.Decode(got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want[got.EventID].Event) {
			t.Errorf("got %+v, want %+v", got, want[got.EventID].Event)
		}
	}
	if lines.More() {
		t.Error("more lines than rows")
	}
	var file bytes.Buffer
	if n, err := l.Export(t.Context(), req, ExportParquet, &file, nil); err != nil || n != int64(len(want)) {
		t.Fatalf("%d rows, %v", n, err)
	}
	rows, err := parquet.Read[eventRow](bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil || len(rows) != len(want) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows {
		got, err := row.value()
		if err != nil || !reflect.DeepEqual(got, want[got.Event.EventID]) {
			t.Errorf("got %+v, want %+v, %v", got, want[got.Event.EventID], err)
		}
	}
	text.Reset()
	if n, err := l.Export(t.Context(), ScanRequest{Table: TableExposures}, ExportJSONL, &text, nil); err != nil || n != 30 || bytes.Count(text.Bytes(), []byte("\n")) != 30 {
		t.Errorf("%d exposures, %v", n, err)
	}
	if n, err := l.Export(t.Context(), ScanRequest{Table: TableItems}, ExportJSONL, &text, nil); err != nil || n != 0 {
		t.Errorf("%d items, %v", n, err)
	}
	if _, err := l.Export(t.Context(), req, "csv", &text, nil); err == nil {
		t.Error("a format that there is not was taken")
	}
}
