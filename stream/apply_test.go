package stream

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// allRows lets an applier keep what a process may.
func allRows() int { return DefaultRowBytes }

func newTestApplier(t *testing.T) *applier {
	t.Helper()
	cache := state.NewCache(1 << 20)
	db, err := state.Open(t.TempDir(), state.Options{Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		cache.Close()
	})
	a, err := newApplier(db, 0, allRows)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// visit makes an event of "browser user type"; "-" stands for nobody, and every event looks at the item "x".
func visit(t *testing.T, n int, line string) *event.Event {
	t.Helper()
	words := strings.Fields(line)
	if len(words) != 3 {
		t.Fatalf("visit %q", line)
	}
	at := time.UnixMilli(int64(1_772_000_000_000 + n*1000)).UTC()
	e := &event.Event{EventID: fmt.Sprintf("e%d", n), Site: "s", Type: words[2], OccurredAt: at, ReceivedAt: at, Items: []event.Item{{ItemID: "x"}}}
	if words[0] != "-" {
		e.AnonymousID = words[0]
	}
	if words[1] != "-" {
		e.UserID = words[1]
	}
	return e
}

// TestPersonsOfABrowser is the identity rule: events in, profiles (with their number of events), links and newest N out.
func TestPersonsOfABrowser(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []string
		want   []string
	}{
		{"a visitor without a name", []string{"b - view_item", "b - view_item"},
			[]string{"p/s:a:b:0 2 -"}},
		{"who logs in keeps what came before", []string{"b - view_item", "b u view_item", "b - view_item"},
			[]string{"link/s/u/b/0", "p/s:a:b:0 3 u"}},
		{"after a logout comes another person, the logout itself belongs to the first", []string{"b u view_item", "b u logout", "b - view_item"},
			[]string{"link/s/u/b/0", "n/s:a:b 1", "p/s:a:b:0 2 u", "p/s:a:b:1 1 -"}},
		{"a logout after which nobody comes", []string{"b u view_item", "b - logout"},
			[]string{"link/s/u/b/0", "n/s:a:b 1", "p/s:a:b:0 2 u"}},
		{"another user in the same browser", []string{"b u view_item", "b v view_item", "b - view_item"},
			[]string{"link/s/u/b/0", "link/s/v/b/1", "n/s:a:b 1", "p/s:a:b:0 1 u", "p/s:a:b:1 2 v"}},
		{"and back", []string{"b u view_item", "b v view_item", "b u view_item"},
			[]string{"link/s/u/b/0", "link/s/u/b/2", "link/s/v/b/1", "n/s:a:b 2", "p/s:a:b:0 1 u", "p/s:a:b:1 1 v", "p/s:a:b:2 1 u"}},
		{"a user without a browser", []string{"- u view_item", "- u purchase"},
			[]string{"p/s:u:u:0 2 u"}},
	} {
		for _, perBatch := range []int{1, 100} {
			t.Run(fmt.Sprintf("%s/%d a batch", c.name, perBatch), func(t *testing.T) {
				a := newTestApplier(t)
				for i, line := range c.events {
					if _, err := a.apply(visit(t, i, line), state.Position{Epoch: 1, Offset: int64(i)}); err != nil {
						t.Fatal(err)
					}
					if (i+1)%perBatch == 0 || i == len(c.events)-1 {
						if _, err := a.commit(1); err != nil {
							t.Fatal(err)
						}
					}
				}
				if got := personRows(t, a.db); !slices.Equal(got, c.want) {
					t.Fatalf("rows\n%q, want\n%q", got, c.want)
				}
			})
		}
	}
}

func personRows(t *testing.T, db *state.DB) (rows []string) {
	t.Helper()
	err := db.Scan("", func(key string, value []byte) error {
		row, err := onlinestore.DecodeRow(value)
		if err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(key, "p/"):
			p, err := feature.DecodeProfile(row.Value)
			if err != nil {
				return err
			}
			user := p.UserID
			if user == "" {
				user = "-"
			}
			key = fmt.Sprintf("%s %d %s", key, p.Events, user)
		case strings.HasPrefix(key, "n/"):
			key += " " + string(row.Value)
		case strings.HasPrefix(key, "i/"), strings.HasPrefix(key, "s/"):
			return nil
		}
		rows = append(rows, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestBatchesDoNotMatter applies one history in batches of several sizes, with and without rows that stay in memory: rows,
// positions of rows and de-duplication must come out the same, or a rebuild would differ from the stream.
func TestBatchesDoNotMatter(t *testing.T) {
	events := newTraffic(11).next(600)
	var want map[string]string
	var wantDuplicates []int
	for _, c := range []struct{ size, memory int }{{1, 0}, {1, DefaultRowBytes}, {7, 100_000}, {600, 0}} {
		size, a := c.size, newTestApplier(t)
		a.memory = func() int { return c.memory }
		var duplicates []int
		for i, e := range events {
			duplicate, err := a.apply(e, state.Position{Epoch: 1, Offset: int64(i)})
			if err != nil {
				t.Fatal(err)
			}
			if duplicate {
				duplicates = append(duplicates, i)
			}
			if (i+1)%size == 0 {
				if _, err := a.commit(1); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := a.commit(1); err != nil {
			t.Fatal(err)
		}
		got := make(map[string]string)
		if err := a.db.Scan("", func(key string, value []byte) error { got[key] = string(value); return nil }); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want, wantDuplicates = got, duplicates
			continue
		}
		if !reflect.DeepEqual(got, want) || !slices.Equal(duplicates, wantDuplicates) {
			t.Fatalf("batches of %d with %d bytes of memory give other rows or duplicates than batches of 1 without", size, c.memory)
		}
	}
	if len(wantDuplicates) < 20 {
		t.Fatalf("%d duplicates in the traffic: too few to prove anything", len(wantDuplicates))
	}
}

// TestAppliedAgain reads a history a second time, as a start does when the lake stands behind the state: nothing changes,
// and every record gets the answer that it got the first time.
func TestAppliedAgain(t *testing.T) {
	a, events := newTestApplier(t), newTraffic(12).next(400)
	first := make([]bool, len(events))
	for i, e := range events {
		var err error
		if first[i], err = a.apply(e, state.Position{Epoch: 1, Offset: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.commit(1); err != nil {
		t.Fatal(err)
	}
	b, err := newApplier(a.db, 0, allRows)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range events {
		duplicate, err := b.apply(e, state.Position{Epoch: 1, Offset: int64(i)})
		if err != nil || duplicate != first[i] {
			t.Fatalf("record %d: duplicate %v, was %v (%v)", i, duplicate, first[i], err)
		}
	}
	rows, err := b.commit(1)
	if err != nil || len(rows) != 0 {
		t.Fatalf("%d rows changed by reading again (%v)", len(rows), err)
	}
	if b.position.Offset != int64(len(events)) {
		t.Fatalf("position %+v moved", b.position)
	}
}

// TestRowMemoryIsBounded lets many visitors pass: rows in memory stay within two generations of the budget, and those that
// every batch uses stay decoded.
func TestRowMemoryIsBounded(t *testing.T) {
	const budget = 1 << 20
	a := newTestApplier(t)
	a.memory = func() int { return budget }
	weight := func(rows map[onlinestore.Partial]*held[feature.Profile]) (sum int) {
		for _, h := range rows {
			sum += h.weight
		}
		return sum
	}
	regular := onlinestore.Partial{Site: "s", Kind: onlinestore.KindBrowser, ID: "regular"}
	var decoded *held[feature.Profile]
	for i := range 10_000 {
		who := fmt.Sprintf("b%d", i)
		if i%50 == 0 {
			who = regular.ID
		}
		if _, err := a.apply(visit(t, i, who+" - view_item"), state.Position{Epoch: 1, Offset: int64(i)}); err != nil {
			t.Fatal(err)
		}
		if i%100 > 0 {
			continue
		}
		if _, err := a.commit(1); err != nil {
			t.Fatal(err)
		}
		if sum := weight(a.work.profiles.young) + weight(a.work.profiles.old); sum > 2*budget+200*heldBytes {
			t.Fatalf("profiles in memory weigh %d, want at most two times %d", sum, budget)
		}
		h, err := a.work.profiles.get(regular)
		if err != nil || decoded != nil && h != decoded {
			t.Fatalf("a profile of every batch was decoded again (%v)", err)
		}
		decoded = h
	}
	if n := len(a.work.profiles.young) + len(a.work.profiles.old); n > 5000 {
		t.Errorf("%d profiles of 10,000 are in memory: nothing was let go", n)
	}
}
