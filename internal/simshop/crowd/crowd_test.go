package crowd_test

import (
	"cmp"
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/simshop/crowd"
)

var evening = time.Date(2026, 3, 29, 18, 0, 0, 0, time.UTC)

func small(t *testing.T) *crowd.Crowd {
	t.Helper()
	truth, err := crowd.Read("../testdata/ctr.json")
	if err != nil {
		t.Fatal(err)
	}
	return crowd.New(truth.Scaled(4), evening)
}

// The crowd browses about as people do in real logs; the file says what those show. Fewer stay in a category here than in the whole
// crowd, because a small category has soon been seen.
func TestBrowsingIsPlausible(t *testing.T) {
	c := small(t)
	last, items := map[string]event.Event{}, map[string]int{}
	next, same, views := 0, 0, 0
	for _, e := range c.History {
		if e.Type != event.ViewItem {
			continue
		}
		views++
		items[e.Items[0].ItemID]++
		if before, ok := last[e.AnonymousID]; ok && e.OccurredAt.Sub(before.OccurredAt) < 30*time.Minute {
			next++
			if before.Items[0].ItemCategory == e.Items[0].ItemCategory {
				same++
			}
		}
		last[e.AnonymousID] = e
	}
	most := slices.SortedFunc(maps.Values(items), func(a, b int) int { return cmp.Compare(b, a) })
	head := 0
	for _, n := range most[:len(c.Items)/10] {
		head += n
	}
	if share := float64(same) / float64(next); share < 0.30 || share > 0.48 {
		t.Errorf("%.2f of views stay in the category", share)
	}
	if share := float64(head) / float64(views); share < 0.28 || share > 0.42 {
		t.Errorf("a tenth of the items has %.2f of the views", share)
	}
}

// The same file is the same crowd, for ever: figures of today and tomorrow compare.
func TestSameFileSameCrowd(t *testing.T) {
	a, b := small(t), small(t)
	if !reflect.DeepEqual(a.History, b.History) || !reflect.DeepEqual(a.Running, b.Running) {
		t.Fatal("two crowds of one file differ")
	}
	for i, s := range a.Shoppers {
		if !slices.Equal(a.Best(s), b.Best(b.Shoppers[i])) {
			t.Fatalf("%s has two best lists", s.ID)
		}
	}
}

// No list of what may be shown brings more clicks than the oracle's.
func TestNothingBeatsTheOracle(t *testing.T) {
	c := small(t)
	for _, s := range c.Shoppers[:50] {
		best := c.Best(s)
		least := math.Inf(1)
		shown := map[string]bool{}
		for position, id := range best {
			i := slices.IndexFunc(c.Items, func(it crowd.Item) bool { return it.ID == id })
			if !c.Items[i].Available || c.Items[i].Group != "" && shown[c.Items[i].Group] {
				t.Errorf("%s at %d may not be shown", id, position)
			}
			shown[c.Items[i].Group] = true
			if p := c.Chance(s, i); p > least {
				t.Errorf("position %d is better than the one before", position)
			} else {
				least = p
			}
		}
		for i, it := range c.Items {
			if it.Available && !slices.Contains(best, it.ID) && (it.Group == "" || !shown[it.Group]) && c.Chance(s, i) > least {
				t.Errorf("%s is left out with a chance of %.3f, above %.3f", it.ID, c.Chance(s, i), least)
			}
		}
	}
}

// What is asked in the middle of a visit is asked by somebody whose session runs, and of others everything is over.
func TestVisitsEndBeforeListsAreAskedFor(t *testing.T) {
	c := small(t)
	running := map[string]time.Time{}
	for _, e := range c.Running {
		running[e.AnonymousID] = e.OccurredAt
	}
	for _, s := range c.Shoppers {
		if at, ok := running[s.ID]; ok != s.Running || ok && (at.After(evening) || evening.Sub(at) > time.Minute) {
			t.Errorf("%s: running %v, last event %s before", s.ID, s.Running, evening.Sub(at))
		}
	}
	for _, e := range c.History {
		if evening.Sub(e.OccurredAt) < time.Hour {
			t.Fatalf("%s has an event %s before", e.AnonymousID, evening.Sub(e.OccurredAt))
		}
	}
}
