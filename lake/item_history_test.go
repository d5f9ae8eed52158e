package lake

import (
	"fmt"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/event"
)

// TestItemHistory: the versions of an item come out newest first, each as it was in force, from landed files and from compacted ones,
// page by page; other items and sites have theirs.
func TestItemHistory(t *testing.T) {
	l := openTestLake(t)
	offset := int64(0)
	land := func(site, id string, revision int64, title string) {
		t.Helper()
		at := Position{Topic: event.TopicItems, Epoch: 1, Offset: offset}
		offset++
		err := l.Commit(t.Context(), Landing{
			Items: []ItemRow{{At: at, Item: &event.CatalogueRow{
				Site: site, Revision: revision, BaseRevision: revision - 1, UpdatedAt: testStart,
				CatalogueItem: event.CatalogueItem{ItemID: id, Title: title, Available: true},
			}}},
			Fences: []Fence{{Topic: event.TopicItems, Epoch: 1, From: offset - 1, Next: offset}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if rows, err := l.ItemHistory(t.Context(), "shop", "tent", 0, 10); err != nil || len(rows) != 0 {
		t.Errorf("an empty lake has %v, %v", rows, err)
	}
	for r := range int64(6) {
		land("shop", "tent", r+1, fmt.Sprintf("tent %d", r+1))
		land("shop", "tent", r+1, "overtaken")
		land("other", "tent", r+1, "of another site")
		land("shop", "tend", r+1, "another item")
		land("shop", "tent-2", r+1, "another item")
	}
	check := func(where string) {
		t.Helper()
		for _, c := range []struct {
			below int64
			limit int
			want  []int64
		}{{0, 10, []int64{6, 5, 4, 3, 2, 1}}, {0, 2, []int64{6, 5}}, {5, 3, []int64{4, 3, 2}}, {2, 3, []int64{1}}, {1, 3, nil}} {
			rows, err := l.ItemHistory(t.Context(), "shop", "tent", c.below, c.limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, row := range rows {
				got = append(got, row.Revision)
				if row.Title != fmt.Sprintf("tent %d", row.Revision) || row.Site != "shop" {
					t.Errorf("%s: revision %d is %q of %s", where, row.Revision, row.Title, row.Site)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s, below %d: %v, want %v", where, c.below, got, c.want)
			}
		}
	}
	check("landed")
	if compact(t, l)[TableItems].FilesRead == 0 {
		t.Fatal("nothing was merged")
	}
	check("merged")
	land("shop", "tent", 7, "tent 7")
	rows, err := l.ItemHistory(t.Context(), "shop", "tent", 0, 2)
	if err != nil || len(rows) != 2 || rows[0].Revision != 7 || rows[1].Revision != 6 {
		t.Errorf("beside what was merged: %v, %v", rows, err)
	}
	if next, err := l.LandedItems(t.Context(), 1, 0); err != nil || next != offset {
		t.Errorf("landed up to %d, %v, want %d", next, err, offset)
	}
	if next, err := l.LandedItems(t.Context(), 2, 0); err != nil || next != 0 {
		t.Errorf("another life of the topic landed up to %d, %v", next, err)
	}
}

// TestItemHistoryOfManyPages looks among so many rows that ids span pages and row groups, sorted and not.
func TestItemHistoryOfManyPages(t *testing.T) {
	l := openTestLake(t)
	const rows, items = 60_000, 20_000
	in := Landing{Fences: []Fence{{Topic: event.TopicItems, Epoch: 1, Next: rows}}}
	for i := range rows {
		n := i * 7919 % items
		in.Items = append(in.Items, ItemRow{At: Position{Topic: event.TopicItems, Epoch: 1, Offset: int64(i)}, Item: &event.CatalogueRow{
			Site: "shop", Revision: int64(i/items) + 1, UpdatedAt: testStart,
			CatalogueItem: event.CatalogueItem{ItemID: fmt.Sprintf("an item with a long beginning %d", n), Title: fmt.Sprint(n)},
		}})
	}
	if err := l.Commit(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		for _, n := range []int{0, 1, 7919, 12_345, items - 1} {
			rows, err := l.ItemHistory(t.Context(), "shop", fmt.Sprintf("an item with a long beginning %d", n), 0, 10)
			if err != nil || len(rows) != 3 {
				t.Fatalf("item %d: %d rows, %v", n, len(rows), err)
			}
			for i, row := range rows {
				if row.Revision != int64(3-i) || row.Title != fmt.Sprint(n) {
					t.Errorf("item %d: %+v", n, row)
				}
			}
		}
		if rows, err := l.ItemHistory(t.Context(), "shop", "an item with a long beginning x", 0, 10); err != nil || len(rows) != 0 {
			t.Errorf("an unknown item has %v, %v", rows, err)
		}
	}
	check()
	in.Items = in.Items[:1]
	in.Items[0].At.Offset, in.Fences[0].From, in.Fences[0].Next = rows, rows, rows+1
	in.Items[0].Item = &event.CatalogueRow{Site: "shop", Revision: 9, UpdatedAt: testStart, CatalogueItem: event.CatalogueItem{ItemID: "zelt"}}
	if err := l.Commit(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	compact(t, l)
	check()
}
