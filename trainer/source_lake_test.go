package trainer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/lake"
)

// land commits events to a lake as one partition of one epoch, from an offset on.
func land(t testing.TB, l *lake.Lake, from int64, events ...*event.Event) {
	t.Helper()
	rows := make([]lake.EventRow, len(events))
	for i, e := range events {
		rows[i] = lake.EventRow{Event: e, At: lake.Position{Topic: event.TopicEvents, Epoch: 1, Offset: from + int64(i)}}
	}
	err := l.Commit(t.Context(), lake.Landing{Events: rows, Fences: []lake.Fence{
		{Topic: event.TopicEvents, Epoch: 1, From: from, Next: from + int64(len(events)), Hash: uint64(from) + 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// recorded turns interactions of a test into events as the collector would have recorded them.
func recorded(site string, interactions []Interaction) []*event.Event {
	out := make([]*event.Event, len(interactions))
	for i, in := range interactions {
		e := &event.Event{
			EventID: fmt.Sprintf("e%d", i), Site: site, Type: in.Type, OccurredAt: in.OccurredAt, ReceivedAt: in.OccurredAt,
			AnonymousID: in.AnonymousID, UserID: in.UserID, SessionID: in.SessionID, IsBot: in.IsBot,
		}
		for _, it := range in.Items {
			e.Items = append(e.Items, event.Item{ItemID: it.ID})
		}
		out[i] = e
	}
	return out
}

func openLake(t testing.TB, dir string) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestLakeSource(t *testing.T) {
	ctx := t.Context()
	source := LakeSource{Lake: openLake(t, t.TempDir())}
	if s, err := source.Snapshot(ctx, testSite); err != nil || s.ID != 0 || !s.Newest.IsZero() {
		t.Fatalf("snapshot of an empty lake is %+v, %v", s, err)
	}
	no := false
	full := &event.Event{
		EventID: "1", Site: testSite, Type: event.Purchase, OccurredAt: testStart, ReceivedAt: testStart.Add(time.Second),
		AnonymousID: "b", UserID: "u", SessionID: "s", IsBot: true, Clock: event.ClockLogical, Consent: &event.Consent{Personalization: &no},
		TransactionID: "t1", Device: "mobile",
		Items: []event.Item{
			{ItemID: "x", ItemCategory: "shoes", ItemCategory3: "boots", ItemBrand: "Acme"}, {ItemID: "y"}, {ItemID: "z", ItemName: "Lace"},
		},
	}
	bare := &event.Event{EventID: "2", Site: testSite, Type: event.PageView, OccurredAt: testStart.Add(time.Hour), ReceivedAt: testStart, AnonymousID: "c"}
	other := &event.Event{EventID: "3", Site: "other", Type: event.ViewItem, OccurredAt: testStart.Add(9 * time.Hour), ReceivedAt: testStart, AnonymousID: "d"}
	land(t, source.Lake, 0, full, bare, other)
	snapshot, err := source.Snapshot(ctx, testSite)
	if err != nil || snapshot.ID == 0 || snapshot.Fences["0"] != 3 || !snapshot.Newest.Equal(testStart.Add(time.Hour)) {
		t.Fatalf("snapshot %+v, %v", snapshot, err)
	}
	land(t, source.Lake, 3, &event.Event{EventID: "4", Site: testSite, Type: event.ViewItem, OccurredAt: testStart, ReceivedAt: testStart, AnonymousID: "late"})

	var got []string
	read := func(from time.Time) {
		t.Helper()
		got = nil
		err := source.Events(ctx, testSite, snapshot, from, func(i *Interaction) error {
			got = append(got, fmt.Sprintf("%s %s|%s|%s %q on %q bot=%v personal=%v logical=%v %q #%d", i.Type, i.AnonymousID, i.UserID,
				i.SessionID, i.TransactionID, i.Device, i.IsBot, i.Personalized, i.Logical, i.Items, i.Sequence&(1<<epochShift-1)))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read(time.Time{})
	want := []string{
		`purchase b|u|s "t1" on "mobile" bot=true personal=false logical=true [{"x" "" "Acme" ["shoes" "boots"]} {"y" "" "" []} {"z" "Lace" "" []}] #0`,
		`page_view c|| "" on "" bot=false personal=true logical=false [] #1`,
	}
	if !slices.Equal(got, want) {
		t.Fatalf("events\n%q\nwant\n%q", got, want)
	}
	if read(testStart.Add(time.Minute)); !slices.Equal(got, want[1:]) {
		t.Fatalf("from a minute later on: %q", got)
	}
	for before, want := range map[time.Time]Older{
		testStart:                    {},
		testStart.Add(time.Minute):   {Events: 1, First: testStart, Last: testStart},
		testStart.Add(2 * time.Hour): {Events: 2, First: testStart, Last: testStart.Add(time.Hour)},
	} {
		if got, err := source.Older(ctx, testSite, snapshot, before); err != nil || got != want {
			t.Errorf("before %s: %+v, %v, want %+v", before, got, err, want)
		}
	}
	if got, err := source.Older(ctx, testSite, Snapshot{}, testStart); err != nil || got != (Older{}) {
		t.Errorf("an empty lake has older events: %+v, %v", got, err)
	}
	for site, want := range map[string]int64{testSite: 3, "other": 1, "none": 0} {
		if n, err := source.Rows(ctx, site); err != nil || n != want {
			t.Errorf("%s has %d rows, %v, want %d", site, n, err, want)
		}
	}
	if n, err := source.TotalRows(ctx); err != nil || n != 4 {
		t.Errorf("the lake has %d rows, %v", n, err)
	}
}

// Training from the lake and from memory learns the same.
func TestLakeTrainsLikeMemory(t *testing.T) {
	events := planted(200, 1)
	l := openLake(t, t.TempDir())
	all := recorded(testSite, events)
	land(t, l, 0, all[:400]...)
	land(t, l, 400, all[400:]...)
	fromMemory := train(t, openRegistry(t), Config{}, events, testStart)
	fromLake, err := Run(t.Context(), Config{Site: testSite, Skip: Optional()}, Deps{Source: LakeSource{Lake: l}, Registry: openRegistry(t)})
	if err != nil {
		t.Fatal(err)
	}
	if fromLake.Reason != fromMemory.Reason || fromLake.Rows != 1000 {
		t.Fatalf("from the lake: %+v\nfrom memory: %+v", fromLake, fromMemory)
	}
}
