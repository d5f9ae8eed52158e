package content

import (
	"fmt"
	"testing"
)

// What product pages asked is remembered of the new state from its first moment, by the places and weights of that.
func TestListsAreMadeAgainBeforeANewStateComesIntoForce(t *testing.T) {
	items := randomItems(6, 300)
	l := liveOf(t, items)
	for i := range 40 {
		like(l, fmt.Sprint("i", i), 7)
	}
	l.Live.Remove("i3")
	if err := l.Use(t.Context(), fit(t, Default(), items)); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		id := fmt.Sprint("i", i)
		place, there := l.all.place(id)
		if !there {
			continue
		}
		list := l.all.near.get(place, l.all.vectors.len(), noon.UnixMilli())
		if asked := i < 40 && l.all.vectors.sizes[place] > 0; (list != nil) != asked {
			t.Fatalf("item %s: a list is remembered: %v, want %v", id, list != nil, asked)
		}
		if list != nil && len(list.answers) == 0 && len(like(l, id, 7)) > 0 {
			t.Errorf("item %s: nothing is remembered, but something is like it", id)
		}
	}
}

// Whoever owns the index takes everything in anew, not the change that makes it due.
func TestARenewalIsDueAfterManyChanges(t *testing.T) {
	l := liveOf(t, camping())
	before := l.all
	for n := 0; !l.Due(); n++ {
		if n > 100 {
			t.Fatal("never due")
		}
		if err := l.Live.Put(camping()[0]); err != nil {
			t.Fatal(err)
		}
	}
	if l.all != before {
		t.Error("a change took everything in anew")
	}
	if err := l.Renew(t.Context()); err != nil || l.Due() {
		t.Errorf("due after a renewal, error %v", err)
	}
}
