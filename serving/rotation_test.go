package serving

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
)

// TestRotationSinksWhatWasIgnored shows the same items to a visitor again and again: from the third list on those of the first two
// fall behind others, a click takes an item out, time lets it rise, and nobody else sees any of it.
func TestRotationSinksWhatWasIgnored(t *testing.T) {
	h := exploringShop(t) // i9 is wanted most, i0 least, all nearly alike
	now := noon
	h.serving.now = func() time.Time { return now }
	h.shelf(control.KindHome, ``)
	ask := func(visitor string) []string {
		t.Helper()
		return ids(h.ask(fmt.Sprintf(`{"placement":"shelf","anonymous_id":"%s","limit":2}`, visitor)))
	}
	first := ask("me")
	if second := ask("me"); !slices.Equal(first, []string{"i9", "i8"}) || !slices.Equal(second, first) {
		t.Fatalf("first %v, then %v", first, second)
	}
	third := ask("me") // 0.9 of what they had, which is less than i7 and i6 have
	if !slices.Equal(third, []string{"i7", "i6"}) {
		t.Errorf("after two showings come %v", third)
	}
	if other := ask("you"); !slices.Equal(other, first) {
		t.Errorf("another visitor gets %v", other)
	}
	a := h.ask(`{"placement":"shelf","anonymous_id":"me","limit":10,"dry_run":true}`)
	if again := h.ask(`{"placement":"shelf","anonymous_id":"me","limit":10,"dry_run":true}`); !slices.Equal(ids(a), ids(again)) {
		t.Errorf("a dry run counts as shown: %v, then %v", ids(a), ids(again))
	}
	now = noon.Add(30 * 24 * time.Hour)
	if later := ask("me"); !slices.Equal(later, first) {
		t.Errorf("after a month come %v", later)
	}
}

// TestRotationCounts holds what an item's score is multiplied by against plain expectations.
func TestRotationCounts(t *testing.T) {
	r := newRotation()
	show := func(at time.Time, ids ...string) {
		var shown []shownItem
		for _, id := range ids {
			shown = append(shown, shownItem{candidate: &candidate{id: id}})
		}
		r.show("s:browser:me:0", shown, at)
	}
	q := &query{rotation: r, now: noon, visitor: &visitor{}, mem: newScratch()}
	expect := func(what, id string, want float64) {
		t.Helper()
		q.mem.rotated = r.shownTo(q.mem.rotated[:0], "s:browser:me:0")
		if got := q.sinks(id); math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %g, want %g", what, got, want)
		}
	}
	expect("never shown", "a", 1)
	for times, want := range []float64{1, 0.9, 0.81, 0.729} {
		show(noon, "a", "b")
		expect(fmt.Sprint(times+1, " times"), "a", want)
	}
	q.now = noon.Add(rotationHalfLife) // four times count as two
	expect("a day later", "a", 0.9)
	q.now = noon.Add(10 * rotationHalfLife)
	expect("ten days later", "a", 1)
	q.now = noon
	q.visitor.profile.Apply(parseEvent(t, "0m a=me type=view_item items=b"))
	expect("clicked", "b", 1)
	expect("not clicked", "a", 0.729)
	for range 50 {
		show(noon, "a")
	}
	expect("fifty times", "a", rotationFloor)
	for i := range 3 * maxRotatedItems {
		show(noon.Add(time.Minute), itemName(i))
	}
	expect("long pushed out", "a", 1)
	if n := len(q.mem.rotated); n != maxRotatedItems {
		t.Errorf("%d items are remembered", n)
	}
	for i := range maxRotatedVisitors + 5 {
		r.show(fmt.Sprint("visitor ", i), nil, noon)
	}
	expect("of a visitor of long ago", itemName(3*maxRotatedItems-1), 1)
	if n := r.visitors.Len(); n != maxRotatedVisitors {
		t.Errorf("%d visitors are remembered", n)
	}
}

// TestRotationOfKinds: only a home page rotates by itself, and facts never do.
func TestRotationOfKinds(t *testing.T) {
	on, off := true, false
	for _, kind := range control.Kinds() {
		if got := (&Settings{}).rotates(kind); got != (kind == control.KindHome) {
			t.Errorf("%s rotates by itself: %v", kind, got)
		}
		if got := (&Settings{Rotation: &on}).rotates(kind); got == showsFacts(kind) {
			t.Errorf("%s rotates when it should: %v", kind, got)
		}
		if (&Settings{Rotation: &off}).rotates(kind) {
			t.Errorf("%s rotates though it is off", kind)
		}
	}
}

// TestRotationIsReplayed: a list in which items have sunk is made again from its record.
func TestRotationIsReplayed(t *testing.T) {
	h := exploringShop(t)
	h.serving.fullShare = 1
	h.shelf(control.KindHome, ``)
	var lists []string
	for range 5 {
		a, r := h.replayed(`{"placement":"shelf","anonymous_id":"fan"}`)
		if !r.Identical {
			t.Errorf("%v: %+v", ids(a), r)
		}
		lists = append(lists, fmt.Sprint(ids(a)))
	}
	if lists[0] == lists[2] && lists[2] == lists[4] {
		t.Errorf("nothing has rotated: %v", lists)
	}
	h.serving.rotation = newRotation() // the record is enough
	_, r := h.replayed(`{"placement":"shelf","anonymous_id":"fan"}`)
	if !r.Identical {
		t.Errorf("%+v", r)
	}
}

// TestRotationAllocatesNothing for the candidates of a request.
func TestRotationAllocatesNothing(t *testing.T) {
	q := &query{rotation: newRotation(), now: noon, visitor: &visitor{}, mem: newScratch()}
	shown := []shownItem{{candidate: &candidate{id: "a"}}, {candidate: &candidate{id: "b"}}}
	for range 3 {
		q.rotation.show("me", shown, noon)
	}
	q.mem.rotated = q.rotation.shownTo(nil, "me")
	ranked := &q.mem.ranking
	ranked.join([]source{{family: "x", weight: 1, items: []proposal{{id: "a", score: 3}, {id: "c", score: 2.9}, {id: "b", score: 1}}}}, &q.mem.demoted)
	if n := testing.AllocsPerRun(100, func() { q.rotate(ranked) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
	if best := ranked.next().id; best != "c" {
		t.Errorf("%s is the best", best)
	}
}
