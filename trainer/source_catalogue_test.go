package trainer

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/lake"
)

// landItems commits rows of the catalogue's history as partition of the items topic, from an offset on.
func landItems(t testing.TB, l *lake.Lake, partition int32, from int64, rows ...event.CatalogueRow) {
	t.Helper()
	landing := lake.Landing{Fences: []lake.Fence{
		{Topic: event.TopicItems, Epoch: 1, Partition: partition, From: from, Next: from + int64(len(rows)), Hash: uint64(from) + 1},
	}}
	for i := range rows {
		rows[i].UpdatedAt = testStart.Add(time.Duration(from+int64(i)) * time.Minute)
		landing.Items = append(landing.Items, lake.ItemRow{
			Item: &rows[i], At: lake.Position{Topic: event.TopicItems, Epoch: 1, Partition: partition, Offset: from + int64(i)},
		})
	}
	if err := l.Commit(t.Context(), landing); err != nil {
		t.Fatal(err)
	}
}

func titled(site, id, title string, revision int64) event.CatalogueRow {
	return event.CatalogueRow{
		Site: site, CatalogueItem: event.CatalogueItem{ItemID: id, Title: title, Available: true}, Revision: revision, BaseRevision: revision - 1,
	}
}

// The catalogue of a snapshot is the newest revision of each item, of two records of one revision the one that came first,
// without what was deleted; and later rows do not change it.
func TestLakeCatalogue(t *testing.T) {
	ctx := t.Context()
	source := LakeSource{Lake: openLake(t, t.TempDir())}
	read := func(site string, at Snapshot) (got []string) {
		t.Helper()
		err := source.Catalogue(ctx, site, at, func(it *event.CatalogueItem) error {
			got = append(got, fmt.Sprintf("%s %s %v %v", it.ItemID, it.Title, it.Categories, it.Available))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		return got
	}
	pin := func() Snapshot {
		t.Helper()
		at, err := source.Snapshot(ctx, testSite)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if got := read(testSite, pin()); len(got) != 0 {
		t.Fatalf("the catalogue of an empty lake is %q", got)
	}
	sold := titled(testSite, "sold", "Sold out", 1)
	sold.Available, sold.Categories = false, []string{"Shoes", "Boots"}
	gone := event.CatalogueRow{Site: testSite, CatalogueItem: event.CatalogueItem{ItemID: "gone"}, Revision: 2, BaseRevision: 1, Deleted: true}
	landItems(t, source.Lake, 0, 0, titled(testSite, "boot", "Boot", 1), titled(testSite, "gone", "Gone", 1),
		titled(testSite, "boot", "Walking boot", 2), titled(testSite, "boot", "Overtaken", 2), gone)
	landItems(t, source.Lake, 1, 0, sold, titled("other", "boot", "Another shop's", 9))
	at := pin()
	if at.ID != 0 || at.Items == 0 {
		t.Fatalf("snapshot %+v of a lake that has a catalogue and no event", at)
	}
	landItems(t, source.Lake, 0, 5, titled(testSite, "boot", "Later", 3), titled(testSite, "gone", "Back", 3))
	want := []string{"boot Walking boot [] true", "sold Sold out [Shoes Boots] false"}
	if got := read(testSite, at); !slices.Equal(got, want) {
		t.Errorf("catalogue %q, want %q", got, want)
	}
	if got, want := read(testSite, pin()), []string{"boot Later [] true", "gone Back [] true", want[1]}; !slices.Equal(got, want) {
		t.Errorf("later %q, want %q", got, want)
	}
	stop := errors.New("stop")
	if err := source.Catalogue(ctx, testSite, at, func(*event.CatalogueItem) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v, want the one of yield", err)
	}
}
