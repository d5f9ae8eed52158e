package lake

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// scanColumns are all the leaves of the events table that Scan can give.
var scanColumns = strings.Fields(`event_id site type occurred_at received_at client_occurred_at anonymous_id user_id session_id tab_id seq
	page_view_id search_term value currency rating transaction_id page.url page.referrer page.title rec.rec_id rec.placement rec.index rec.token
	engagement.visible_ms engagement.focused_ms engagement.scroll_pct consent.personalization consent.analytics user_agent_family device is_bot
	network_prefix clock source kafka_topic kafka_epoch kafka_partition kafka_offset items.item_id items.index items.quantity items.price
	items.item_name items.item_category items.item_category2 items.item_category3 items.item_brand items.item_variant`)

// oracle is an event as JSON, whose names are those of the table.
type oracle struct {
	row  EventRow
	tree map[string]any
}

func newOracle(t *testing.T, r EventRow) oracle {
	t.Helper()
	text, err := json.Marshal(r.Event)
	if err != nil {
		t.Fatal(err)
	}
	o := oracle{row: r}
	if err := json.Unmarshal(text, &o.tree); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o oracle) cell(path string) any {
	switch path {
	case "kafka_topic":
		return o.row.At.Topic
	case "kafka_epoch":
		return float64(o.row.At.Epoch)
	case "kafka_partition":
		return float64(o.row.At.Partition)
	case "kafka_offset":
		return float64(o.row.At.Offset)
	case "is_bot":
		return o.row.Event.IsBot // JSON leaves a false flag out
	}
	group, name, nested := strings.Cut(path, ".")
	if !nested {
		return o.tree[path]
	}
	switch at := o.tree[group].(type) {
	case map[string]any:
		if v, ok := at[name]; ok || group != "engagement" {
			return v
		}
		return 0.0 // JSON leaves a zero out
	case []any:
		cells := make([]any, len(at))
		for i := range at {
			cells[i] = at[i].(map[string]any)[name]
		}
		return cells
	}
	return nil
}

// arrowCell renders a cell as encoding/json would decode it.
func arrowCell(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.String:
		return a.Value(i)
	case *array.Boolean:
		return a.Value(i)
	case *array.Int32:
		return float64(a.Value(i))
	case *array.Int64:
		return float64(a.Value(i))
	case *array.Float64:
		return a.Value(i)
	case *array.Timestamp:
		return time.UnixMicro(int64(a.Value(i))).UTC().Format(time.RFC3339Nano)
	case *array.List:
		start, end := a.ValueOffsets(i)
		cells := []any{}
		for j := start; j < end; j++ {
			cells = append(cells, arrowCell(a.ListValues(), int(j)))
		}
		return cells
	default:
		return fmt.Sprintf("unexpected %T", a)
	}
}

func TestScanAgainstRows(t *testing.T) {
	checked := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer checked.AssertSize(t, 0)
	l, err := Open(t.Context(), Config{Dir: t.TempDir(), Allocator: checked})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := newSampler(11)
	rows := map[Position]oracle{}
	for _, n := range []int{1, 500, scanBatchRows + 17} { // a batch boundary inside a file
		in := s.landEvents(3, len(rows), n)
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		for _, r := range in.Events {
			rows[r.At] = newOracle(t, r)
		}
	}
	day := testStart.Add(24 * time.Hour)
	for name, tc := range map[string]struct {
		req     ScanRequest
		matches func(EventRow) bool
	}{
		"all":  {ScanRequest{Columns: scanColumns}, func(EventRow) bool { return true }},
		"site": {ScanRequest{Columns: scanColumns, Site: "demo"}, func(r EventRow) bool { return r.Event.Site == "demo" }},
		"from": {ScanRequest{Columns: scanColumns, From: day}, func(r EventRow) bool { return !r.Event.OccurredAt.Before(day) }},
		"site and times": {
			ScanRequest{Columns: scanColumns, Site: "default", From: testStart.Add(time.Hour), To: day},
			func(r EventRow) bool {
				return r.Event.Site == "default" && !r.Event.OccurredAt.Before(testStart.Add(time.Hour)) && r.Event.OccurredAt.Before(day)
			},
		},
		"no such site": {ScanRequest{Columns: scanColumns, Site: "nowhere"}, func(EventRow) bool { return false }},
	} {
		t.Run(name, func(t *testing.T) {
			tc.req.Table = TableEvents
			want := map[Position]oracle{}
			for at, o := range rows {
				if tc.matches(o.row) {
					want[at] = o
				}
			}
			for record, err := range l.Scan(t.Context(), tc.req) {
				if err != nil {
					t.Fatal(err)
				}
				checkRecord(t, record, want)
			}
			if len(want) != 0 {
				t.Errorf("%d rows missing", len(want))
			}
		})
	}
}

// checkRecord compares every cell with the row at the same position and strikes the row off.
func checkRecord(t *testing.T, record arrow.Record, want map[Position]oracle) {
	t.Helper()
	columns := make(map[string]arrow.Array, len(scanColumns))
	for i, f := range record.Schema().Fields() {
		columns[f.Name] = record.Column(i)
	}
	column := func(name string) arrow.Array { return columns[name] }
	for i := range int(record.NumRows()) {
		at := Position{
			Topic: column("kafka_topic").(*array.String).Value(i), Epoch: column("kafka_epoch").(*array.Int64).Value(i),
			Partition: column("kafka_partition").(*array.Int32).Value(i), Offset: column("kafka_offset").(*array.Int64).Value(i),
		}
		expected, ok := want[at]
		if !ok {
			t.Fatalf("row %v is unwanted or came twice", at)
		}
		delete(want, at)
		for _, path := range scanColumns {
			if got, want := arrowCell(column(path), i), expected.cell(path); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s of %v is %#v, want %#v", path, at, got, want)
			}
		}
	}
}

func TestScanStopsAndReports(t *testing.T) {
	l, s := openTestLake(t), newSampler(12)
	for record, err := range l.Scan(t.Context(), ScanRequest{Table: TableEvents}) {
		t.Fatalf("an empty table gave %v, %v", record, err)
	}
	for from := range 3 {
		if err := l.Commit(t.Context(), s.landEvents(0, from*10, 10)); err != nil {
			t.Fatal(err)
		}
	}
	batches := 0
	for _, err := range l.Scan(t.Context(), ScanRequest{Table: TableEvents}) {
		if err != nil {
			t.Fatal(err)
		}
		batches++
		break
	}
	if batches != 1 {
		t.Errorf("%d batches after a break", batches)
	}
	for _, path := range []string{"nothing", "items", "props", "page", "items.nothing", "event_id.x"} {
		for _, err := range l.Scan(t.Context(), ScanRequest{Table: TableEvents, Columns: []string{path}}) {
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("column %s: error %v", path, err)
			}
		}
	}
	for _, err := range l.Scan(t.Context(), ScanRequest{Table: TableEvents, SnapshotID: 42}) {
		if err == nil {
			t.Error("an unknown snapshot was scanned")
		}
	}
	if _, err := l.plan(t.Context(), ScanRequest{Table: "orders"}); err == nil {
		t.Error("an unknown table was planned")
	}
}

// The manifests must hold the bounds by which Iceberg leaves files out.
func TestPlanPrunes(t *testing.T) {
	l, s := openTestLake(t), newSampler(13)
	for i := range 5 {
		in := s.landEvents(0, i*10, 10)
		for _, r := range in.Events {
			r.Event.Site = fmt.Sprintf("site-%d", i)
			r.Event.OccurredAt = testStart.Add(time.Duration(i) * time.Hour)
			r.Event.ReceivedAt = testStart
		}
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		req   ScanRequest
		files int
	}{
		"all":          {ScanRequest{}, 5},
		"site":         {ScanRequest{Site: "site-3"}, 1},
		"from":         {ScanRequest{From: testStart.Add(2 * time.Hour)}, 3},
		"to":           {ScanRequest{To: testStart.Add(2 * time.Hour)}, 2},
		"from, to":     {ScanRequest{From: testStart.Add(time.Hour), To: testStart.Add(2 * time.Hour)}, 1},
		"contradicted": {ScanRequest{Site: "site-0", From: testStart.Add(time.Minute)}, 0},
	} {
		tc.req.Table = TableEvents
		p, err := l.plan(t.Context(), tc.req)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.files) != tc.files {
			t.Errorf("%s: %d files, want %d", name, len(p.files), tc.files)
		}
	}
}

// An older snapshot shows the rows of its time.
func TestScanOlderSnapshot(t *testing.T) {
	l, s := openTestLake(t), newSampler(14)
	if err := l.Commit(t.Context(), s.landEvents(0, 0, 10)); err != nil {
		t.Fatal(err)
	}
	infos, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(t.Context(), s.landEvents(0, 10, 10)); err != nil {
		t.Fatal(err)
	}
	if n := countEvents(t, l, ScanRequest{SnapshotID: infos[0].SnapshotID}); n != 10 {
		t.Errorf("%d rows in the older snapshot, want 10", n)
	}
	if n := countEvents(t, l, ScanRequest{}); n != 20 {
		t.Errorf("%d rows now, want 20", n)
	}
}

// A list that was served is found by its id and time, on its own site, and only there.
func TestFindExposure(t *testing.T) {
	l := openTestLake(t)
	in := newSampler(9).landExposures(0, 0, 50)
	if err := l.Commit(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	for _, row := range in.Exposures[:5] {
		want := row.Exposure
		got, err := l.FindExposure(t.Context(), want.Site, want.RecID, want.ServedAt)
		if err != nil || got == nil || got.RecID != want.RecID || len(got.Items) != len(want.Items) || string(got.Inputs) != string(want.Inputs) {
			t.Errorf("found %+v, %v, want %+v", got, err, want)
		}
		for _, other := range []struct {
			site, id string
			at       time.Time
		}{{"demo", want.RecID, want.ServedAt}, {want.Site, "another", want.ServedAt}, {want.Site, want.RecID, want.ServedAt.Add(time.Hour)}} {
			if got, err := l.FindExposure(t.Context(), other.site, other.id, other.at); err != nil || got != nil {
				t.Errorf("%+v: found %+v, %v", other, got, err)
			}
		}
	}
}
