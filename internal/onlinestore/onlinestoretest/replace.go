package onlinestoretest

import (
	"slices"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/onlinestore"
)

// gone are replacements that remove rows which hold nothing but their key.
func gone(keys ...string) []onlinestore.Replacement {
	var all []onlinestore.Replacement
	for _, key := range keys {
		all = append(all, onlinestore.Replacement{Seen: onlinestore.Row{Key: key}})
	}
	return all
}

func replace(t *testing.T, s onlinestore.Store, wrong ...onlinestore.Replacement) {
	t.Helper()
	if err := s.Replace(t.Context(), wrong); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, s onlinestore.Store, what string, want onlinestore.Row) {
	t.Helper()
	got := get(t, s, want.Key)
	if got.Version != want.Version || got.Epoch != want.Epoch || got.Offset != want.Offset || string(got.Value) != string(want.Value) {
		t.Fatalf("%s: the store has %+v, want %+v", what, got, want)
	}
}

// replaceComparesAll: a row gives way only to who has seen exactly it, then also to an older one.
func replaceComparesAll(t *testing.T, s onlinestore.Store) {
	stands := onlinestore.Row{Key: "p/k", Version: 2, Epoch: 3, Offset: 1 << 40, Value: []byte("wrong")}
	right := onlinestore.Row{Key: "p/k", Version: 1, Epoch: -1, Offset: 7, Value: []byte("right")}
	put(t, s, stands)
	for what, change := range map[string]func(r *onlinestore.Row){
		"another version":       func(r *onlinestore.Row) { r.Version = 1 },
		"another epoch":         func(r *onlinestore.Row) { r.Epoch = 2 },
		"a later offset":        func(r *onlinestore.Row) { r.Offset++ },
		"an earlier offset":     func(r *onlinestore.Row) { r.Offset-- },
		"another value":         func(r *onlinestore.Row) { r.Value = []byte("wrong?") },
		"the begin of a value":  func(r *onlinestore.Row) { r.Value = []byte("wron") },
		"no value":              func(r *onlinestore.Row) { r.Value = nil },
		"everything of another": func(r *onlinestore.Row) { *r = onlinestore.Row{Key: "p/k"} },
	} {
		seen := stands
		change(&seen)
		replace(t, s, onlinestore.Replacement{Seen: seen, Right: &right}, onlinestore.Replacement{Seen: seen})
		holds(t, s, what, stands)
	}
	replace(t, s, onlinestore.Replacement{Seen: stands, Right: &right})
	holds(t, s, "as it was seen", right)
	newer := right
	newer.Offset, newer.Value = 9, []byte("newer")
	put(t, s, newer)
	holds(t, s, "a put behind the right row", newer)
	again := onlinestore.Replacement{Seen: right, Right: &stands}
	replace(t, s, onlinestore.Replacement{Seen: newer, Right: &right}, again, again)
	holds(t, s, "twice in one call", stands)
}

// replaceRemoves looks at what a scan finds, too: an index must lose the row with the store.
func replaceRemoves(t *testing.T, s onlinestore.Store) {
	a, b := onlinestore.Row{Key: "p/a", Offset: 5}, onlinestore.Row{Key: "p/b", Offset: 5, Value: []byte("stays")}
	put(t, s, a, b)
	missing := onlinestore.Row{Key: "p/never", Offset: 5}
	replace(t, s, onlinestore.Replacement{Seen: a}, onlinestore.Replacement{Seen: missing, Right: &missing})
	scan := func() (keys []string) {
		if err := s.Scan(t.Context(), "p/", func(r onlinestore.Row) error { keys = append(keys, r.Key); return nil }); err != nil {
			t.Fatal(err)
		}
		return keys
	}
	if keys := scan(); !slices.Equal(keys, []string{"p/b"}) {
		t.Fatalf("the store has %q, want the row that was not removed", keys)
	}
	for _, key := range []string{"p/a", "p/never"} {
		if _, ok, err := s.Get(t.Context(), key); ok || err != nil {
			t.Fatalf("get %s: found %v, error %v", key, ok, err)
		}
	}
	a.Offset = 1
	put(t, s, a)
	if keys := scan(); !slices.Equal(keys, []string{"p/a", "p/b"}) {
		t.Fatalf("the store has %q after the removed row came back", keys)
	}
}

// replaceOfAZombie is a writer that looks, stands still while another takes over, and goes on with what it saw.
func replaceOfAZombie(t *testing.T, s onlinestore.Store) {
	seen := onlinestore.Row{Key: "p/k", Epoch: 1, Offset: 10, Value: []byte("of an earlier state")}
	old := onlinestore.Row{Key: "p/k", Epoch: 1, Offset: 8, Value: []byte("of the zombie")}
	for what, owner := range map[string]onlinestore.Row{
		"a newer row":                     {Key: "p/k", Epoch: 1, Offset: 20, Value: []byte("of the owner")},
		"a newer row in the next epoch":   {Key: "p/k", Epoch: 2, Offset: 0, Value: []byte("of the owner")},
		"an older row, swept":             {Key: "p/k", Epoch: 1, Offset: 9, Value: []byte("of the owner")},
		"another row of the same event":   {Key: "p/k", Epoch: 1, Offset: 10, Value: []byte("of the owner")},
		"another version of the same row": {Key: "p/k", Epoch: 1, Offset: 10, Version: 1, Value: seen.Value},
	} {
		put(t, s, seen)
		replace(t, s, onlinestore.Replacement{Seen: seen, Right: &owner})
		replace(t, s, onlinestore.Replacement{Seen: seen, Right: &old})
		holds(t, s, what, owner)
		replace(t, s, onlinestore.Replacement{Seen: seen})
		holds(t, s, what, owner)
		replace(t, s, onlinestore.Replacement{Seen: owner}) // for the next case
	}
}

// replaceLeavesNoGap reads while rows are replaced: an adapter that removes first and puts back then would show nothing, and
// a kill between the two would make that last.
func replaceLeavesNoGap(t *testing.T, s onlinestore.Store) {
	const rounds = 300
	rows := [2]onlinestore.Row{{Key: "p/k", Offset: 2, Value: []byte("later")}, {Key: "p/k", Offset: 1, Value: []byte("earlier")}}
	put(t, s, rows[0])
	done := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, ok, err := s.Get(t.Context(), "p/k"); !ok || err != nil {
				t.Errorf("a reader found the row %v (%v) while it was replaced", ok, err)
				return
			}
		}
	})
	for i := range rounds {
		replace(t, s, onlinestore.Replacement{Seen: rows[i%2], Right: &rows[(i+1)%2]})
	}
	close(done)
	readers.Wait()
	holds(t, s, "after all", rows[0])
}
