package feature

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/internal/event"
)

// TestWeakestIsExact compares with the plain search, in lists of all ages and of counts that hardly differ.
func TestWeakestIsExact(t *testing.T) {
	plain := func(counts []Count, h HalfLife, now int64) (found int) {
		for i := range counts {
			if counts[i].Value(h, now) <= counts[found].Value(h, now) {
				found = i
			}
		}
		return found
	}
	r := rand.New(rand.NewPCG(4, 4))
	for range 20_000 {
		span := int64(1) << r.IntN(40) // up to 35 years
		counts := make([]Count, 1+r.IntN(MaxPartners))
		for i := range counts {
			counts[i].Add(1+float64(r.IntN(2)), -r.Int64N(span))
			if r.IntN(3) == 0 {
				counts[i].Add(1, -r.Int64N(span))
			}
		}
		now := r.Int64N(span) - span/2
		for h := range halfLives {
			if got, want := weakest(counts, h, now), plain(counts, h, now); got != want {
				t.Fatalf("%s at %d: entry %d of %v, want %d", h, now, got, counts, want)
			}
			for i := range counts {
				if least, value := counts[i].atLeast(h, now), counts[i].Value(h, now); least > value {
					t.Fatalf("%s at %d: %v is at least %v and has the value %v", h, now, counts[i], least, value)
				}
			}
		}
	}
}

// TestVisitorsError measures the error that the table of features promises, on both sides of every change of form.
func TestVisitorsError(t *testing.T) {
	const trials = 40
	for _, n := range []int{1, 10, 100, 300, 1000, 3000, 10_000} {
		var squares, bias float64
		for trial := range trials {
			var v Visitors
			for i := range n {
				id := xxhash.Sum64String(fmt.Sprintf("visitor-%d-%d", trial, i))
				v.add(id)
				v.add(id) // the same visitor twice is one
			}
			off := v.Estimate()/float64(n) - 1
			squares += off * off
			bias += off / trials
		}
		if rms := math.Sqrt(squares / trials); rms > 0.048 || math.Abs(bias) > 0.02 {
			t.Errorf("%d visitors: error %.4f, bias %.4f, want 0.033 and 0", n, rms, bias)
		}
	}
	if n := (&Visitors{}).Estimate(); n != 0 {
		t.Errorf("nobody is %v visitors", n)
	}
}

// TestVisitorsMerge splits visitors over sketches of both forms: the merged sketch is the sketch of all, to the byte.
func TestVisitorsMerge(t *testing.T) {
	for _, n := range []int{5, 200, 300, 400, 2000} {
		var all, a, b Visitors
		for i := range n {
			id := xxhash.Sum64String(fmt.Sprint(i))
			all.add(id)
			if i%3 == 0 {
				a.add(id)
			} else {
				b.add(id)
			}
		}
		c, d := a, b
		c.sparse, c.dense = slices.Clone(a.sparse), slices.Clone(a.dense)
		d.sparse, d.dense = slices.Clone(b.sparse), slices.Clone(b.dense)
		c.merge(&b)
		d.merge(&a)
		want := string(appendVisitors(nil, &all))
		if string(appendVisitors(nil, &c)) != want || string(appendVisitors(nil, &d)) != want {
			t.Errorf("%d visitors: sketches do not merge to the sketch of all", n)
		}
	}
}

// TestForgottenError lets a visitor see more items than the exact list and the filter hold. Nothing is forgotten while
// both have room, and what was never seen is found as rarely as promised.
func TestForgottenError(t *testing.T) {
	var p Profile
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	const room = MaxSeen + MaxForgotten - 40 // ids that share a fingerprint leave some room
	for i := range room {
		at = at.Add(time.Second)
		e := &event.Event{EventID: fmt.Sprint(i), Type: event.Purchase, OccurredAt: at, ReceivedAt: at, AnonymousID: "b",
			Items: []event.Item{{ItemID: fmt.Sprintf("item%d", i)}}}
		p.Apply(e)
	}
	stored, err := DecodeProfile(p.Encode(nil))
	if err != nil {
		t.Fatal(err)
	}
	for i := range room {
		if id := fmt.Sprintf("item%d", i); !stored.HasSeen(id) || !stored.HasBought(id) {
			t.Fatalf("%s was forgotten", id)
		}
	}
	wrong := 0
	const strangers = 200_000
	for i := range strangers {
		if stored.SeenBefore.Has(fmt.Sprintf("never%d", i)) {
			wrong++
		}
	}
	if rate := float64(wrong) / strangers; rate > 0.0012 || rate < 0.0005 {
		t.Errorf("a full filter finds %.5f of what it does not hold, want about %.5f", rate, float64(MaxForgotten)/(1<<forgottenBits))
	}
	if n := len(appendForgotten(nil, stored.SeenBefore)); n > 5<<10 {
		t.Errorf("a full filter takes %d bytes, want at most 5 KiB", n)
	}
}

// TestForgottenLaws overfills filters: what they keep is a matter of the members alone.
func TestForgottenLaws(t *testing.T) {
	var all, parts [3]Forgotten
	for i := range 3 * MaxForgotten {
		id := fmt.Sprintf("item%d", i)
		all[0] = all[0].addItem(id)
		parts[i%3] = parts[i%3].addItem(id)
	}
	left := slices.Clone(parts[0]).merge(parts[1]).merge(parts[2])
	right := slices.Clone(parts[2]).merge(slices.Clone(parts[1]).merge(parts[0]))
	if !slices.Equal(left, all[0]) || !slices.Equal(right, all[0]) || len(left) != MaxForgotten {
		t.Fatal("filters depend on the order of merging")
	}
}

// TestTopFindsHeavyHitters holds lists that overflow against exact counts: nothing heavy is missing, nothing is counted too
// small, and no more than the weakest entry too large; in one list, and in the merge of four.
func TestTopFindsHeavyHitters(t *testing.T) {
	const limit, n = 20, 6000
	r := rand.New(rand.NewPCG(5, 6))
	zipf := rand.NewZipf(r, 1.3, 1, 400)
	exact := map[string]float64{}
	var one Top
	var parts [4]Top
	for i := range n {
		name := fmt.Sprintf("n%d", zipf.Uint64())
		exact[name]++
		one = one.add(name, once(0), limit, Day, 0)
		parts[i%4] = parts[i%4].add(name, once(0), limit, Day, 0)
	}
	merged := Top(nil)
	for _, p := range parts {
		merged = merged.merge(p, limit, Day, 0)
	}
	ab, ba := parts[0].merge(parts[1], limit, Day, 0), parts[1].merge(parts[0], limit, Day, 0)
	if string(appendCounts(nil, ab)) != string(appendCounts(nil, ba)) {
		t.Error("merging is not commutative")
	}
	for title, list := range map[string]Top{"one list": one, "merged": merged} {
		if len(list) != limit || !slices.IsSortedFunc(list, func(a, b Count) int { return cmp.Compare(a.Name, b.Name) }) {
			t.Fatalf("%s: %d entries, or unsorted", title, len(list))
		}
		for _, c := range list {
			if v := c.Value(Day, 0); v < exact[c.Name] || v > exact[c.Name]+n/limit {
				t.Errorf("%s: %s counted %v, is %v", title, c.Name, v, exact[c.Name])
			}
		}
		for name, count := range exact {
			if count > n/limit && !slices.ContainsFunc(list, func(c Count) bool { return c.Name == name }) {
				t.Errorf("%s: %s with %v of %d is missing", title, name, count, n)
			}
		}
	}
}

func TestPriceBands(t *testing.T) {
	for price, want := range map[float64]string{64: "12", 90.50: "12", 90.52: "13", 127.99: "13", 128: "14", 1: "0", 0.99: "-1", 0.5: "-2", 0: "", -3: ""} {
		if got := PriceBand(price); got != want {
			t.Errorf("price %v is in band %q, want %q", price, got, want)
		}
	}
	for _, price := range []float64{math.NaN(), math.Inf(1)} {
		if got := PriceBand(price); got != "" {
			t.Errorf("price %v is in band %q", price, got)
		}
	}
}

func TestTermsAreCut(t *testing.T) {
	long := "x" + string(slices.Repeat([]byte("é"), 60))
	if got := normalTerm(long); len(got) != 63 || got != long[:63] {
		t.Errorf("a long term becomes %d bytes: %q", len(got), got)
	}
}
