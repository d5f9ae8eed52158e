package content

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
)

// shop is a Live with a source that has what was put.
type shop struct {
	*Live
	items map[string]*event.CatalogueItem
}

func newShop(t testing.TB) *shop {
	t.Helper()
	s := &shop{items: map[string]*event.CatalogueItem{}}
	l, err := NewLive(Default(), func(yield func(*event.CatalogueItem) bool) {
		for _, id := range slices.Sorted(maps.Keys(s.items)) {
			if !yield(s.items[id]) {
				return
			}
		}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Live = l
	return s
}

func (s *shop) Put(it *event.CatalogueItem) error {
	s.items[it.ItemID] = it
	return errors.Join(s.Live.Put(it), s.renewDue())
}

func (s *shop) Remove(id string) error {
	delete(s.items, id)
	s.Live.Remove(id)
	return s.renewDue()
}

// renewDue takes all in anew when it is time to, but not while that is going on.
func (s *shop) renewDue() error {
	if !s.Due() || !s.renewing.TryLock() {
		return nil
	}
	s.renewing.Unlock()
	return s.Renew(context.Background())
}

func liveOf(t testing.TB, items []*event.CatalogueItem) *shop {
	t.Helper()
	s := newShop(t)
	for _, it := range items {
		if it != nil {
			s.items[it.ItemID] = it
		}
	}
	if err := s.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func like(l *shop, id string, k int) []Similar {
	return l.Similar(nil, Query{Items: []string{id}, Set: true, Now: noon}, k)
}

func put(t testing.TB, l *shop, items ...*event.CatalogueItem) {
	t.Helper()
	for _, it := range items {
		if err := l.Put(it); err != nil {
			t.Fatal(err)
		}
	}
}

// A new item is found, and has similar items, from the moment that it is put; and is gone when it is removed.
func TestANewItemIsFoundAtOnce(t *testing.T) {
	l := liveOf(t, camping())
	if got := like(l, "new", 3); len(got) != 0 {
		t.Fatalf("an unknown item is like %+v", got)
	}
	put(t, l, &event.CatalogueItem{ItemID: "new", Title: "Dome tent, family size", Categories: []string{"Camping", "Tents"}, Available: true})
	for _, query := range []string{"tent", "tent3"} {
		if got := sortedIDs(like(l, query, 2)); !slices.Contains(got, "new") {
			t.Errorf("like %s are %v, without the new item", query, got)
		}
	}
	if got := sortedIDs(like(l, "new", 2)); !slices.Equal(got, []string{"tent", "tent3"}) {
		t.Errorf("like the new item are %v", got)
	}
	put(t, l, &event.CatalogueItem{ItemID: "new", Title: "Jogging shoe", Categories: []string{"Shoes"}, Available: true})
	if got := like(l, "shoe", 1); len(got) != 1 || got[0].ID != "new" || got[0].Because != "shoe" {
		t.Errorf("after it became a shoe, like the shoe is %+v", got)
	}
	if got := sortedIDs(like(l, "tent", 9)); slices.Contains(got, "new") {
		t.Errorf("after it became a shoe, like the tent are %v", got)
	}
	if err := l.Remove("new"); err != nil {
		t.Fatal(err)
	}
	if got := sortedIDs(like(l, "shoe", 9)); slices.Contains(got, "new") || len(like(l, "new", 9)) > 0 || l.Len() != 6 {
		t.Errorf("after it was removed, like the shoe are %v", got)
	}
	if err := errors.Join(l.Remove("new"), l.Remove("never")); err != nil {
		t.Error(err)
	}
}

// What may not be shown is not answered, but others are like it: the page of a sold-out product has similar items.
func TestSoldOutItemsAreAskedAboutAndNotShown(t *testing.T) {
	items := camping()
	sold, old := *items[1], *items[2]
	sold.Available, old.ExpiresAt = false, noon
	items[1], items[2] = &sold, &old
	l := liveOf(t, items)
	if got := sortedIDs(like(l, "tent", 9)); slices.Contains(got, "tent3") || slices.Contains(got, "tarp") {
		t.Errorf("like the tent are %v", got)
	}
	before := l.Similar(nil, Query{Items: []string{"tent"}, Now: noon.Add(-time.Millisecond)}, 9)
	if !slices.Contains(sortedIDs(before), "tarp") {
		t.Errorf("before it expired, like the tent are %+v", before)
	}
	if got := like(l, "tent3", 1); len(got) != 1 || got[0].ID != "tent" {
		t.Errorf("like the sold-out tent is %+v", got)
	}
}

// However a catalogue came about, one item after the other with changes and removals between or all at once, the answers are those
// of a model that was fitted on what is there now and knows the same rarity.
func TestLiveIsAModelOfWhatIsThere(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	l := newShop(t)
	now := map[string]*event.CatalogueItem{}
	for range 1_500 {
		it := randomItem(rng, rng.IntN(400))
		if rng.IntN(4) == 0 {
			delete(now, it.ItemID)
			if err := l.Remove(it.ItemID); err != nil {
				t.Fatal(err)
			}
			continue
		}
		now[it.ItemID] = it
		put(t, l, it)
	}
	var items []*event.CatalogueItem
	for id := range 400 {
		if it := now[fmt.Sprintf("i%d", id)]; it != nil {
			items = append(items, it)
		}
	}
	m := fit(t, Default(), items)
	if err := l.Use(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if l.Len() != len(items) {
		t.Fatalf("%d items, want %d", l.Len(), len(items))
	}
	compareLive(t, l, m, items)
	// Items that change under a trained model are weighed by its rarity.
	for range 300 {
		i := rng.IntN(len(items))
		put(t, l, items[i])
	}
	compareLive(t, l, m, items)
	if err := l.Use(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	compareLive(t, l, m, items)
}

// compareLive expects the answers of a model from a live index; of equal scores either may come first.
func compareLive(t *testing.T, l *shop, m *Model, items []*event.CatalogueItem) {
	t.Helper()
	for i, it := range items {
		want := m.Score(nil, model.Query{Items: []int32{int32(i)}}, 30)
		got := like(l, it.ItemID, 30)
		if len(got) != len(want) {
			t.Fatalf("like %s are %d, want %d", it.ItemID, len(got), len(want))
		}
		ids := make([]string, len(got))
		for k, s := range got {
			ids[k] = s.ID
			if d := s.Score - want[k].Score; d > 1e-5 || d < -1e-5 {
				t.Fatalf("like %s at place %d: %+v, want %+v", it.ItemID, k, s, want[k])
			}
		}
		for k, s := range l.Compare(nil, Query{Items: []string{it.ItemID}}, ids) {
			if d := s.Score - got[k].Score; d > 1e-5 || d < -1e-5 || s.ID != ids[k] || s.Because != it.ItemID {
				t.Fatalf("%s compares to %s as %+v, but is found as %+v", it.ItemID, ids[k], s, got[k])
			}
		}
	}
}

// Until something is trained, rarity follows from the catalogue, also of one that grew item by item.
func TestRarityIsCountedWithoutAModel(t *testing.T) {
	l := newShop(t)
	for i := range 60 {
		put(t, l, &event.CatalogueItem{ItemID: fmt.Sprintf("set%d", i), Title: "set of napkins", Available: true})
	}
	put(t, l, &event.CatalogueItem{ItemID: "owl", Title: "set of owl", Available: true},
		&event.CatalogueItem{ItemID: "owl2", Title: "owl lamp", Available: true})
	if got := like(l, "owl", 1); len(got) != 1 || got[0].ID != "owl2" {
		t.Errorf("like the owl is %+v: a common word counts as much as a rare one", got)
	}
}

func TestCompareWithTheUnknown(t *testing.T) {
	l := liveOf(t, camping())
	want := []Similar{{ID: "nothing"}, {ID: "boot"}}
	if got := l.Compare(nil, Query{Items: []string{"nobody"}}, []string{"nothing", "boot"}); !reflect.DeepEqual(got, want) {
		t.Errorf("compared with nothing: %+v", got)
	}
	got := l.Compare(nil, Query{Items: []string{"shoe"}}, []string{"nothing", "boot"})
	if got[0] != want[0] || got[1].Score <= 0 || got[1].Because != "shoe" {
		t.Errorf("compared with a shoe: %+v", got)
	}
}

func TestAFullIndexTakesChangesOnly(t *testing.T) {
	l := newShop(t)
	l.limit = 9
	for i := range l.limit {
		l.items[fmt.Sprint(i)] = &event.CatalogueItem{ItemID: fmt.Sprint(i)}
	}
	if err := l.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Put(&event.CatalogueItem{ItemID: "more"}); !errors.Is(err, ErrFull) || l.Has("more") {
		t.Errorf("error %v, want ErrFull", err)
	}
	put(t, l, &event.CatalogueItem{ItemID: "7", Title: "tent", Available: true}, &event.CatalogueItem{ItemID: "6", Title: "tent"})
	if got := like(l, "6", 1); len(got) != 1 || got[0].ID != "7" {
		t.Errorf("like the tent is %+v", got)
	}
	if err := l.Renew(t.Context()); !errors.Is(err, ErrFull) || l.Len() != l.limit {
		t.Errorf("error %v with %d items, want ErrFull", err, l.Len())
	}
}

// What comes, changes and goes while everything is taken in anew is right at once, and stays so when the new index is in force.
func TestChangesDoNotWaitForARenewal(t *testing.T) {
	items := randomItems(8, 40)
	m := fit(t, Default(), items)
	l := liveOf(t, items)
	shelf := maps.Clone(l.items)
	asked := false
	l.source = func(yield func(*event.CatalogueItem) bool) { // what was there before the changes
		for _, it := range shelf {
			if !asked {
				asked = true
				put(t, l, &event.CatalogueItem{ItemID: "new", Title: "Dome tent", Available: true}, &event.CatalogueItem{ItemID: "i1", Title: "Tent", Available: true})
				if err := l.Remove("i2"); err != nil || l.Has("i2") || !l.Has("new") {
					t.Errorf("a change waits: %v", err)
				}
			}
			if !yield(it) {
				return
			}
		}
	}
	if err := l.Use(t.Context(), m); err != nil || !asked {
		t.Fatal(err)
	}
	if got := like(l, "new", 1); len(got) != 1 || got[0].ID != "i1" || l.Has("i2") {
		t.Errorf("afterwards, like the new tent is %+v", got)
	}
}

// Readers ask while items come, change and go, and while models come into force.
func TestReadersBesideWriters(t *testing.T) {
	items := randomItems(6, 300)
	l := liveOf(t, items)
	m := fit(t, Default(), items)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 1))
			for ctx.Err() == nil {
				id := fmt.Sprintf("i%d", rng.IntN(300))
				for _, s := range l.Similar(nil, Query{Items: []string{id, "i1"}, Now: noon}, 20) {
					if s.ID == "" || s.ID == id || !(s.Score > 0) {
						t.Errorf("like %s is %+v", id, s)
					}
				}
				l.Compare(nil, Query{Items: []string{id}}, []string{"i1", "i2", "i3"})
			}
		})
	}
	rng := rand.New(rand.NewPCG(9, 1))
	for i := range 1_000 {
		id := rng.IntN(300)
		var err error
		switch {
		case i%100 == 0:
			err = l.Use(ctx, m)
		case i%100 == 50:
			err = l.Use(ctx, nil)
		case i%3 == 0:
			err = l.Remove(fmt.Sprintf("i%d", id))
		default:
			err = l.Put(randomItem(rng, id))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	stop()
	readers.Wait()
}
