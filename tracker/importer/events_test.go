package importer_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/history"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/tracker/importer"
)

func TestEventsColumns(t *testing.T) {
	path := file(t, "shop.csv", "who,what,when,sku,name,dept,cost,n,country,weight\n"+
		"7,buy,2020-05-31T00:00:13Z,00042,\"Pot, large\",kitchen,19.5,2,NL,\n"+
		"7,view_item,1590884414,43,,,,,,9\n")
	out, store := &log{}, ledger(t)
	im := newImporter(t, importer.Config{
		Site:  "shop",
		Map:   mapping(t, "user_id=who,type=what,occurred_at=when,item_id=sku,item_name=name,category=dept,price=cost,quantity=n,props.country=country"),
		Types: map[string]string{"buy": event.Purchase},
	}, importer.Deps{Producer: out, Ledger: store})
	sum, err := im.Events(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	got := out.events(t)
	if len(got) != 2 {
		t.Fatalf("%d events", len(got))
	}
	price, quantity := 19.5, 2.0
	want := event.Event{
		EventID: got[0].EventID, ReceivedAt: got[0].ReceivedAt,
		Site: "shop", Type: event.Purchase, OccurredAt: at("2020-05-31T00:00:13Z"), UserID: "7",
		Items:  []event.Item{{ItemID: "00042", ItemName: "Pot, large", ItemCategory: "kitchen", Price: &price, Quantity: &quantity}},
		Props:  map[string]any{"country": "NL"},
		Source: event.SourceImport,
	}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("event\n got %+v\nwant %+v", got[0], want)
	}
	if e := got[1]; e.Type != event.ViewItem || !e.OccurredAt.Equal(at("2020-05-31T00:20:14Z")) || e.Items[0].ItemID != "43" || e.Props != nil || e.Items[0].Price != nil {
		t.Errorf("second event %+v", e)
	}
	if sum.Added != 2 || sum.LogicalClock || !sum.First.Equal(at("2020-05-31T00:00:13Z")) || !sum.Last.Equal(at("2020-05-31T00:20:14Z")) ||
		!slices.Equal(sum.UnusedColumns, []string{"weight"}) {
		t.Errorf("summary %+v", sum)
	}
	if text := sum.String(); !strings.Contains(text, "from 2020-05-31T00:00:13Z to 2020-05-31T00:20:14Z") || !strings.Contains(text, "2 rows added to site shop") {
		t.Errorf("summary reads %q", text)
	}
}

// The rows of a JSON file with a list of items are events as the API takes them.
func TestEventsAPIForm(t *testing.T) {
	path := file(t, "events.jsonl", `{"type":"purchase","user_id":"u","occurred_at":1590884413,"items":[{"item_id":"a","quantity":2},{"item_id":"b"}],"transaction_id":"t9"}
{"type":"page_view","anonymous_id":"x","occurred_at":"2020-06-01T00:00:00Z","page":{"url":"https://shop.example/"}}
{"type":"view_item","user_id":"u","occurred_at":1590884413,"items":"none"}
`)
	out := &log{}
	sum, err := newImporter(t, importer.Config{}, importer.Deps{Producer: out, Ledger: ledger(t)}).Events(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	got := out.events(t)
	if len(got) != 2 || sum.Rejected != 1 {
		t.Fatalf("%d events, %d rejected", len(got), sum.Rejected)
	}
	if e := got[0]; e.Type != event.Purchase || len(e.Items) != 2 || e.TransactionID != "t9" || !e.OccurredAt.Equal(at("2020-05-31T00:20:13Z")) {
		t.Errorf("event %+v", e)
	}
	if e := got[1]; e.Page == nil || e.Page.URL != "https://shop.example/" || !e.OccurredAt.Equal(at("2020-06-01T00:00:00Z")) {
		t.Errorf("event %+v", e)
	}
	if text, err := os.ReadFile(sum.RejectFile); err != nil || !strings.Contains(string(text), "wrong_type at /items") {
		t.Errorf("reject file %q, %v", text, err)
	}
}

// Whatever the moment of death, the runs together send the same set of ids, and the last summary speaks of all rows.
func TestEventsResume(t *testing.T) {
	const rows, batch = 100, 9
	path := file(t, "clicks.csv", clicks(rows)+"u1,,1590884413\n")
	whole := &log{}
	if _, err := newImporter(t, importer.Config{Type: event.ViewItem, BatchRows: batch}, importer.Deps{Producer: whole, Ledger: ledger(t)}).Events(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	want := ids(whole.events(t))
	if len(want) != rows {
		t.Fatalf("%d different ids of %d rows", len(want), rows)
	}
	killed := errors.New("killed")
	for call := 1; call <= rows/batch+1; call++ {
		for _, stored := range []bool{false, true} {
			t.Run(fmt.Sprintf("call %d stored %t", call, stored), func(t *testing.T) {
				out, store := &log{failAt: call, failAfter: stored, failWith: killed}, ledger(t)
				im := newImporter(t, importer.Config{Type: event.ViewItem, BatchRows: batch}, importer.Deps{Producer: out, Ledger: store})
				if _, err := im.Events(t.Context(), path); !errors.Is(err, killed) {
					t.Fatalf("first run: %v", err)
				}
				sum, err := im.Events(t.Context(), path)
				if err != nil {
					t.Fatal(err)
				}
				events := out.events(t)
				if got := ids(events); !slices.Equal(got, want) {
					t.Errorf("%d ids, want the %d of an uninterrupted run", len(got), len(want))
				}
				if twice := len(events) - rows; stored && twice > batch || !stored && twice != 0 {
					t.Errorf("%d records sent twice", twice)
				}
				for _, e := range events {
					if !e.ReceivedAt.Equal(sum.StartedAt) {
						t.Fatalf("received at %v, the import began at %v", e.ReceivedAt, sum.StartedAt)
					}
				}
				if sum.Added+sum.Resumed != rows || sum.Resumed != int64((call-1)*batch) || sum.Rejected != 1 || sum.Rows != rows+1 {
					t.Errorf("summary %+v", sum)
				}
				if again, err := im.Events(t.Context(), path); err != nil || !again.AlreadyImported || again.Added != 0 {
					t.Errorf("third run %+v, %v", again, err)
				}
			})
		}
	}
}

// An import that goes on long after it began sends fresh records, which retention does not take at once, with events of
// the time it began.
func TestEventsResumeMuchLater(t *testing.T) {
	path := file(t, "clicks.csv", clicks(20))
	out, store := &log{failAt: 2, failWith: errors.New("killed")}, ledger(t)
	now := time.Now()
	cfg := importer.Config{Type: event.ViewItem, BatchRows: 10}
	im := newImporter(t, cfg, importer.Deps{Producer: out, Ledger: store, Now: func() time.Time { return now }})
	if _, err := im.Events(t.Context(), path); err == nil {
		t.Fatal("the first run was not interrupted")
	}
	now = now.AddDate(0, 1, 0)
	sum, err := im.Events(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range out.events(t) {
		if !e.ReceivedAt.Equal(sum.StartedAt) {
			t.Errorf("event %d was received at %v, the import began at %v", i, e.ReceivedAt, sum.StartedAt)
		}
		if late := i >= 10; late && !out.records[i].Time.Equal(now) {
			t.Errorf("record %d has the time %v, it was sent at %v", i, out.records[i].Time, now)
		}
	}
}

// The import waits for the stream before the log could overflow and before it calls a file done, and the ledger does not
// run ahead of that.
func TestEventsDrain(t *testing.T) {
	const rows = 100
	path := file(t, "clicks.csv", clicks(rows))
	cfg := importer.Config{Type: event.ViewItem, BatchRows: 10, DrainRows: 30}
	refused := errors.New("the stream stopped")
	for _, c := range []struct {
		failAt int // the drain that fails, counted from 1; 0 never
		want   []int
	}{
		{0, []int{30, 60, 90, 100}},
		{2, []int{30, 60, 90, 110}},      // the ten rows before it are sent again
		{4, []int{30, 60, 90, 100, 100}}, // all rows were acknowledged: only the wait is left to do
	} {
		t.Run(fmt.Sprintf("drain %d fails", c.failAt), func(t *testing.T) {
			out, store := &log{}, ledger(t)
			var at []int
			var text bytes.Buffer
			im := newImporter(t, cfg, importer.Deps{Producer: out, Ledger: store, Out: &text, Drain: func(context.Context) error {
				at = append(at, len(out.records))
				if len(at) == c.failAt {
					return refused
				}
				return nil
			}})
			sum, err := im.Events(t.Context(), path)
			if c.failAt > 0 {
				if !errors.Is(err, refused) || sum.AlreadyImported {
					t.Fatalf("summary %+v, %v", sum, err)
				}
				sum, err = im.Events(t.Context(), path)
			}
			if err != nil || sum.AlreadyImported || sum.Added+sum.Resumed != rows {
				t.Fatalf("summary %+v, %v", sum, err)
			}
			if !slices.Equal(at, c.want) {
				t.Errorf("drained at %v records, want %v", at, c.want)
			}
			if n := len(ids(out.events(t))); n != rows {
				t.Errorf("%d different ids", n)
			}
			if n := strings.Count(text.String(), "waiting until every row has landed"); n != len(c.want) {
				t.Errorf("%d waits are shown in\n%s", n, text.String())
			}
			again, err := im.Events(t.Context(), path)
			if err != nil || !again.AlreadyImported || len(at) != len(c.want) {
				t.Errorf("once more: %+v, %v, drained at %v", again, err, at)
			}
		})
	}
}

// The ledger may get lost: the ids still are the same ones, so that the stream drops them.
func TestEventsWithoutLedger(t *testing.T) {
	first, second := &log{}, &log{}
	text := clicks(50)
	if _, err := newImporter(t, views, importer.Deps{Producer: first, Ledger: ledger(t)}).Events(t.Context(), file(t, "clicks.csv", text)); err != nil {
		t.Fatal(err)
	}
	if _, err := newImporter(t, views, importer.Deps{Producer: second, Ledger: ledger(t)}).Events(t.Context(), zipped(t, "other.csv.gz", strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		t.Fatal(err)
	}
	if a, b := ids(first.events(t)), ids(second.events(t)); len(a) != 50 || !slices.Equal(a, b) {
		t.Errorf("%d and %d ids, want the same 50", len(a), len(b))
	}
}

func TestEventsIdentity(t *testing.T) {
	run := func(site, name, text string) []string {
		out := &log{}
		cfg := views
		cfg.Site = site
		if _, err := newImporter(t, cfg, importer.Deps{Producer: out, Ledger: ledger(t)}).Events(t.Context(), file(t, name, text)); err != nil {
			t.Fatal(err)
		}
		return ids(out.events(t))
	}
	base := run("a", "x.csv", "user_id,item_id,note\nu,1,\n")
	if other := run("a", "x.jsonl", `{"item_id":"1","user_id":"u"}`+"\n"); !slices.Equal(base, other) {
		t.Error("the same row in JSON has another id")
	}
	if other := run("b", "x.csv", "user_id,item_id,note\nu,1,\n"); slices.Equal(base, other) {
		t.Error("two sites share an id")
	}
	if other := run("a", "x.csv", "user_id,item_id,note\nu,1,x\n"); slices.Equal(base, other) {
		t.Error("a column that is not mapped does not count in the identity")
	}
	if twice := run("a", "x.csv", "user_id,item_id,note\nu,1,\nu,1,\nu,1,\n"); len(twice) != 3 || !slices.Contains(twice, base[0]) {
		t.Errorf("three equal rows have ids %v, want three, one of them %s", twice, base[0])
	}
}

// A third of the rows is bad; the others arrive, and each bad one is named with its line and reason.
func TestEventsBadRows(t *testing.T) {
	var text strings.Builder
	text.WriteString("user_id,item_id,timestamp\n")
	const rows = 90
	for i := range rows {
		switch i % 9 {
		case 0:
			text.WriteString("u,i,soon\n") // line 2, 11, ...
		case 4:
			text.WriteString("u,i\n")
		case 8:
			text.WriteString(",i,1590884413\n")
		default:
			fmt.Fprintf(&text, "u,%d,1590884413\n", i)
		}
	}
	out := &log{}
	im := newImporter(t, importer.Config{Type: event.ViewItem, BatchRows: 7}, importer.Deps{Producer: out, Ledger: ledger(t)})
	sum, err := im.Events(t.Context(), zipped(t, "dirty.csv.gz", text.String()))
	if err != nil {
		t.Fatal(err)
	}
	if sum.Added != 60 || sum.Rejected != 30 || len(out.events(t)) != 60 {
		t.Fatalf("summary %+v", sum)
	}
	f, err := os.Open(sum.RejectFile)
	if err != nil {
		t.Fatal(err)
	}
	rejected, err := csv.NewReader(f).ReadAll()
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"line", "reason", "row"},
		{"2", `time "soon" is neither RFC 3339 (2020-05-31T00:00:00Z) nor a number since 1970`, `{"item_id":"i","timestamp":"soon","user_id":"u"}`},
		{"6", "2 fields where the header has 3", ""},
		{"10", "missing_visitor: an event needs an anonymous_id or a user_id", `{"item_id":"i","timestamp":"1590884413","user_id":""}`},
	}
	if len(rejected) != 31 || !reflect.DeepEqual(rejected[:4], want) {
		t.Errorf("%d lines of rejects, they begin\n%q\nwant\n%q", len(rejected), rejected[:4], want)
	}
}

func TestEventsLogicalClock(t *testing.T) {
	path := file(t, "order.csv", "session_id,item_id,position\ns1,a,0\ns1,b,1\ns2,c,0\n")
	out, store := &log{failAt: 2, failWith: errors.New("killed")}, ledger(t)
	im := newImporter(t, importer.Config{Type: event.ViewItem, BatchRows: 1, Map: mapping(t, "anonymous_id=session_id,session_id=session_id")},
		importer.Deps{Producer: out, Ledger: store})
	if _, err := im.Events(t.Context(), path); err == nil {
		t.Fatal("the first run was not interrupted")
	}
	sum, err := im.Events(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if !sum.LogicalClock || !strings.Contains(sum.String(), "logical clock") {
		t.Errorf("summary %v", sum)
	}
	for i, e := range out.events(t) {
		want := sum.StartedAt.Add(time.Duration(i-2) * time.Second)
		if e.Clock != event.ClockLogical || !e.OccurredAt.Equal(want) || e.AnonymousID != e.SessionID {
			t.Errorf("event %d: clock %q at %v, want %v", i, e.Clock, e.OccurredAt, want)
		}
	}
}

func TestEventsRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  importer.Config
		file string
		text string
		want string
	}{
		"missing column": {
			cfg: importer.Config{Type: event.ViewItem, Map: mapping(t, "item_id=product")}, file: "x.csv", text: "user_id,sku,timestamp\nu,1,2\n",
			want: `the file has no column "product", which is mapped to item_id; it has: user_id, sku, timestamp. Name one of them with --map item_id=COLUMN`,
		},
		"no visitor": {
			cfg: views, file: "x.csv", text: "session_id,item_id\ns,1\n",
			want: "no column says who the visitor is; it has: session_id, item_id. Name one with --map user_id=COLUMN",
		},
		"no type": {
			file: "x.csv", text: "user_id,item_id\nu,1\n",
			want: "no column says what happened; it has: user_id, item_id. Name one with --map type=COLUMN, or give every row one type with --type view_item",
		},
		"nothing importable": {
			cfg: importer.Config{Map: mapping(t, "type=kind")}, file: "x.csv", text: "user_id,item_id,kind\nu,1,PAGE VIEW\nu,2,PAGE VIEW\n",
			want: `no row can be imported; the first reason: line 2: "PAGE VIEW" is not an event type: translate it with --types "PAGE VIEW=view_item"`,
		},
		"no format": {cfg: views, file: "x.dat", text: "user_id\n", want: "say csv, jsonl or parquet"},
		"empty":     {cfg: views, file: "x.csv", text: "", want: "the file is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			out := &log{}
			_, err := newImporter(t, c.cfg, importer.Deps{Producer: out, Ledger: ledger(t)}).Events(t.Context(), file(t, c.file, c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v\nwant %s", err, c.want)
			}
			if len(out.records) != 0 {
				t.Errorf("%d records were sent", len(out.records))
			}
		})
	}
}

// A mapping that makes no event at all leaves no trace, so that a better one may follow; one that made events stays.
func TestEventsOtherMapping(t *testing.T) {
	path := file(t, "x.csv", "user_id,item_id,kind\nu,1,PV\n")
	out, store := &log{}, ledger(t)
	deps := importer.Deps{Producer: out, Ledger: store}
	first := importer.Config{Map: mapping(t, "type=kind")}
	if _, err := newImporter(t, first, deps).Events(t.Context(), path); !errors.Is(err, importer.ErrNothingImportable) {
		t.Fatalf("error %v", err)
	}
	second := first
	second.Types = map[string]string{"PV": event.ViewItem}
	if _, err := newImporter(t, second, deps).Events(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	third := first
	third.Types = map[string]string{"PV": event.Purchase}
	_, err := newImporter(t, third, deps).Events(t.Context(), path)
	if !errors.Is(err, control.ErrOtherMapping) || !strings.Contains(err.Error(), "types PV=view_item") || !strings.Contains(err.Error(), "types PV=purchase") {
		t.Errorf("error %v, want both mappings", err)
	}
	if len(out.records) != 1 {
		t.Errorf("%d records, want the one of the second run", len(out.records))
	}
}

// An asked-for --type wins over a column that is only called like one.
func TestEventsTypeFlag(t *testing.T) {
	path := file(t, "x.csv", "user_id,item_id,event_type\nu,1,purchase\n")
	out := &log{}
	if _, err := newImporter(t, views, importer.Deps{Producer: out, Ledger: ledger(t)}).Events(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if got := out.events(t)[0].Type; got != event.ViewItem {
		t.Errorf("type %s", got)
	}
}

func TestEventsWaitsForBuffer(t *testing.T) {
	out := &log{failAt: 1, failWith: fmt.Errorf("produce: %w", kafka.ErrBufferFull)}
	sum, err := newImporter(t, views, importer.Deps{Producer: out, Ledger: ledger(t)}).Events(t.Context(), file(t, "x.csv", clicks(5)))
	if err != nil || sum.Added != 5 || len(out.events(t)) != 5 {
		t.Errorf("summary %+v, %v", sum, err)
	}
}

func TestEventsProgress(t *testing.T) {
	clock := at("2026-01-01T00:00:00Z")
	tick := func() time.Time { clock = clock.Add(time.Second); return clock }
	var out bytes.Buffer
	path := file(t, "clicks.csv", clicks(100))
	if _, err := newImporter(t, importer.Config{Type: event.ViewItem, BatchRows: 10}, importer.Deps{Producer: &log{}, Ledger: ledger(t), Now: tick, Out: &out}).Events(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if want := "clicks.csv: 30 of 100 rows (30 %)\nclicks.csv: 60 of 100 rows (60 %)\nclicks.csv: 90 of 100 rows (90 %)\nclicks.csv: 100 of 100 rows (100 %)\n"; out.String() != want {
		t.Errorf("progress\n%swant\n%s", out.String(), want)
	}
	out.Reset()
	if _, err := newImporter(t, views, importer.Deps{Producer: &log{}, Ledger: ledger(t), Out: &out, Terminal: true}).Events(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "100 / 100 rows") {
		t.Errorf("bar %q", out.String())
	}
}

func TestNewRefuses(t *testing.T) {
	deps := importer.Deps{Producer: &log{}, Ledger: ledger(t)}
	for want, cfg := range map[string]importer.Config{
		"site":                       {Site: "No Site", RejectDir: "x"},
		"directory for reject files": {},
		`type "View"`:                {RejectDir: "x", Type: "View"},
		"types: pv=View":             {RejectDir: "x", Types: map[string]string{"pv": "View"}},
		"event_id cannot be mapped":  {RejectDir: "x", Map: history.Mapping{"event_id": "id"}},
	} {
		if _, err := importer.New(cfg, deps); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v) error %v, want %s", cfg, err, want)
		}
	}
	if _, err := importer.New(importer.Config{RejectDir: "x"}, importer.Deps{}); err == nil {
		t.Error("an importer without a producer was made")
	}
}
