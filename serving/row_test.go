package serving

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/millrace/millrace/internal/event"
)

// randomWhole is a row that says something of everything, or of nearly nothing.
func randomWhole(rng *rand.Rand) *event.CatalogueRow {
	word := func(n int) string { return strings.Repeat("wörd\x00 ", rng.IntN(n+1)) }
	words := func(n int) (list []string) {
		for i := range rng.IntN(n + 1) {
			list = append(list, fmt.Sprint(word(3), i))
		}
		return list
	}
	value := func() any {
		return []any{true, false, "", word(40), json.Number("9007199254740993"), json.Number("-1.50")}[rng.IntN(6)]
	}
	row := &event.CatalogueRow{
		Site: "s", Revision: rng.Int64N(5), BaseRevision: rng.Int64N(5), Deleted: rng.IntN(2) == 0, UpdatedAt: noon, CatalogueItem: Item{
			ItemID: "id" + word(20), ItemGroupID: word(20), Title: word(30), Categories: words(4), Brand: word(2), Currency: word(1),
			Available: rng.IntN(2) == 0, URL: word(100), ImageURL: word(1), Labels: words(3),
		},
	}
	if rng.IntN(2) == 0 {
		row.Price, row.PublishedAt, row.ExpiresAt = new(rng.Float64()), noon, noon.Add(time.Hour)
		row.Fields = map[string]any{}
		for i := range rng.IntN(10) {
			if row.Fields[fmt.Sprint("f", i)] = value(); i%3 == 0 {
				row.Fields[fmt.Sprint("f", i)] = []any{value(), value()}
			}
		}
		if len(row.Fields) == 0 {
			row.Fields = nil
		}
	}
	return row
}

// What is packed comes back as it was, as a whole and text by text.
func TestRowsArePackedWithoutLoss(t *testing.T) {
	rng, shared := rand.New(rand.NewPCG(1, 9)), newSharedTexts()
	for range 2_000 {
		want := randomWhole(rng)
		row := newRow(want, shared)
		if got := row.whole(); !reflect.DeepEqual(got, want) {
			t.Fatalf("packed and unpacked\n%+v\nwant\n%+v", got, want)
		}
		texts := []string{row.ItemGroupID(), row.Title(), row.URL(), row.ImageURL(), row.Currency()}
		if !slices.Equal(texts, []string{want.ItemGroupID, want.Title, want.URL, want.ImageURL, want.Currency}) {
			t.Fatalf("texts %q of %+v", texts, want)
		}
		for _, label := range append(slices.Clone(want.Labels), "other", "") {
			if row.HasLabel(label) != slices.Contains(want.Labels, label) {
				t.Fatalf("label %q of %q", label, want.Labels)
			}
		}
		for i := range 12 {
			name := fmt.Sprint("f", i)
			value, ok := row.Field(name)
			if have, has := want.Fields[name]; ok != has || ok && !reflect.DeepEqual(value.Any(), have) {
				t.Fatalf("field %s is %v, %v; want %v", name, value.Any(), ok, have)
			}
		}
	}
}

// What many rows say is kept once, and a list is not taken for another that reads alike.
func TestRowsShareTexts(t *testing.T) {
	shared := newSharedTexts()
	of := func(categories ...string) *Row {
		return newRow(&event.CatalogueRow{Site: "s", CatalogueItem: Item{ItemID: "a", Categories: categories, Brand: "Ac" + "me", Price: new(1.5)}}, shared)
	}
	a, b := of("x", "y"), of("x", "y")
	if &a.Categories()[0] != &b.Categories()[0] || a.Price != b.Price {
		t.Error("two rows that say the same hold it twice")
	}
	if c := of("x\x00y"); len(c.Categories()) != 1 {
		t.Errorf("categories %q", c.Categories())
	}
}

// Decisions on a row allocate nothing, whatever they look at.
func TestReadingARowAllocatesNothing(t *testing.T) {
	row := newRow(&event.CatalogueRow{Site: "s", CatalogueItem: Item{
		ItemID: "a", Title: "A tent", Labels: []string{"sale", "new"},
		Fields: map[string]any{"colour": "red", "size": json.Number("42"), "list": []any{"a", json.Number("7")}},
	}}, newSharedTexts())
	sum := 0.0
	allocated := testing.AllocsPerRun(100, func() {
		size, _ := row.Field("size")
		n, _ := size.Number()
		list, _ := row.Field("list")
		list.Each(func(v FieldValue) bool {
			n, _ := v.Number()
			sum += n
			return true
		})
		if _, ok := row.Field("missing"); ok || !row.HasLabel("new") || row.Title() != "A tent" || !row.eligible(noon) == row.Available {
			t.Error("a wrong answer")
		}
		sum += n
	})
	if allocated > 0 || sum == 0 {
		t.Errorf("%v allocations", allocated)
	}
}

// A moment is the time that it was made of, to the millisecond: none stays none, and the first second of Unix is a time like others.
func TestMomentsAreTimes(t *testing.T) {
	for _, want := range []time.Time{
		{}, time.UnixMilli(0).UTC(), time.UnixMilli(-1).UTC(), noon, time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		m := momentOf(want)
		if got := m.time(); got != want || (m == 0) != want.IsZero() {
			t.Errorf("%v comes back as %v (%d)", want, got, m)
		}
		if after := momentOf(want.Add(time.Millisecond)); after <= m {
			t.Errorf("a millisecond after %v does not come after it", want)
		}
	}
}

// A million rows are in memory, each of so many bytes beside its texts: one that grows over the next size of the allocator takes 16 MB.
func TestARowIsSmall(t *testing.T) {
	const most = 144
	if size := unsafe.Sizeof(Row{}); size > most {
		t.Errorf("a row has %d bytes, the next size of the allocator after %d is 160", size, most)
	}
}
