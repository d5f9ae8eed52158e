package content

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// What is remembered of an item is what a search would find now, whatever was put, removed or has expired since.
func TestWhatIsRememberedFollowsTheCatalogue(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 7))
	start := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	words := []string{"trail", "shoe", "road", "wool", "sock", "red", "blue", "warm"}
	made := func(id int) *event.CatalogueItem {
		it := &event.CatalogueItem{ItemID: fmt.Sprintf("i%d", id), Available: rng.IntN(8) > 0}
		it.Title = words[rng.IntN(len(words))] + " " + words[rng.IntN(len(words))]
		if rng.IntN(5) == 0 {
			it.ExpiresAt = start.Add(time.Duration(rng.IntN(3000)) * time.Second)
		}
		return it
	}
	const items = 300
	all := make([]*event.CatalogueItem, items)
	for i := range all {
		all[i] = made(i)
	}
	l := liveOf(t, all)
	for step := range 3000 {
		now := start.Add(time.Duration(step) * time.Second)
		switch id := rng.IntN(items + 20); {
		case rng.IntN(3) > 0: // most of the time nothing changes
		case rng.IntN(4) == 0:
			if err := l.Remove(fmt.Sprintf("i%d", id)); err != nil {
				t.Fatal(err)
			}
		default:
			put(t, l, made(id))
		}
		q := Query{Items: []string{fmt.Sprintf("i%d", rng.IntN(12))}, Now: now}
		if skipped := rng.IntN(3); skipped > 0 { // a third of all items, or nearly all
			q.Skip = func(_ int32, id string) bool { return len(id) > 3 || skipped > 1 }
		}
		k := []int{1, 5, 20, maxNear}[rng.IntN(4)]
		got := l.Similar(nil, q, k)
		// A list of two names is searched for; the second one is not there, so it is the same question.
		q.Items = append(q.Items, "nobody")
		if want := l.Similar(nil, q, k); !sameButRounding(got, want) {
			t.Fatalf("step %d, the %d like %s:\ngot  %v\nwant %v", step, k, q.Items[0], got, want)
		}
	}
}

// sameButRounding compares lists whose cosines were summed up in another order: items of nearly one score may have changed places, and
// at the end of the list one may stand for the other.
func sameButRounding(got, want []Similar) bool {
	near := func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-6 }
	if len(got) != len(want) {
		return false
	}
	scores := map[string]float32{}
	for _, w := range want {
		scores[w.ID] = w.Score
	}
	for i, g := range got {
		score, ok := scores[g.ID]
		if !near(g.Score, want[i].Score) || g.Because != want[i].Because || ok && !near(score, g.Score) || !ok && !near(g.Score, want[len(want)-1].Score) {
			return false
		}
		delete(scores, g.ID) // none twice
	}
	return true
}
