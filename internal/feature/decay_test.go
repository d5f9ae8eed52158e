package feature

import (
	"cmp"
	"math"
	"math/rand/v2"
	"testing"
)

const day = int64(24 * 3_600_000)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

func TestDecayedByHand(t *testing.T) {
	var d Decayed
	d.Add(1, 0)
	d.Add(1, day)
	for _, c := range []struct {
		h    HalfLife
		now  int64
		want float64
	}{
		{Day, day, 1.5},
		{Day, 2 * day, 0.75},
		{Fortnight, day, 1 + math.Exp2(-1.0/14)},
		{Hour, day, 1 + math.Exp2(-24)},
		{Day, 0, 1.5}, // a clock that lags sees the count as it stands
	} {
		if got := d.Value(c.h, c.now); !near(got, c.want) {
			t.Errorf("%s count at %d is %v, want %v", c.h, c.now, got, c.want)
		}
	}
}

// TestDecayedIgnoresOrder is the reason for the representation: shuffled, split and merged events give the sum that the
// formula gives.
func TestDecayedIgnoresOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := 1 + r.IntN(30)
		times := make([]int64, n)
		for i := range times {
			times[i] = r.Int64N(40 * day)
		}
		now := 40 * day
		var one, left, right Decayed
		for i, at := range times {
			one.Add(2, at)
			if i%2 == 0 {
				left.Add(2, at)
			} else {
				right.Add(2, at)
			}
		}
		right.Merge(left)
		for h := range halfLives {
			var want float64
			for _, at := range times {
				want += 2 * math.Exp2(-float64(now-at)/h.millis())
			}
			if !near(one.Value(h, now), want) || !near(right.Value(h, now), want) {
				t.Fatalf("%s: in order %v, merged %v, formula %v", h, one.Value(h, now), right.Value(h, now), want)
			}
		}
	}
}

// TestRateOfSteadyStream checks the unit of Rate: an event every hour is 24 a day at any half-life.
func TestRateOfSteadyStream(t *testing.T) {
	var d Decayed
	for at := int64(0); at < 200*day; at += 3_600_000 {
		d.Add(1, at)
	}
	for _, h := range []HalfLife{Day, Fortnight} {
		if got := d.Rate(h, 200*day); math.Abs(got-24) > 0.5 {
			t.Errorf("rate at %s is %v a day, want about 24", h, got)
		}
	}
}

func TestTrendRisesAndFalls(t *testing.T) {
	steady, rising, gone := ItemAggregate{}, ItemAggregate{}, ItemAggregate{}
	for d := range int64(60) {
		for range 20 {
			steady.Views.Add(1, d*day)
			if d < 50 {
				gone.Views.Add(1, d*day)
			}
			if d >= 58 {
				rising.Views.Add(1, d*day)
			}
		}
	}
	now := 60 * day
	s, r, g := steady.Trend(now), rising.Trend(now), gone.Trend(now)
	if !(r > 2*s && g < s/10 && s > 0.5 && s < 1.5) {
		t.Fatalf("trend of a rising item %v, a steady one %v, a forgotten one %v", r, s, g)
	}
	var none ItemAggregate
	if none.Trend(now) != 0 {
		t.Fatal("an item without events has a trend")
	}
}

// TestFadingIsThePower holds the shortcut of one exponential against the formula, from a millisecond to a year.
func TestFadingIsThePower(t *testing.T) {
	for ms := int64(0); ms < 365*day; ms = ms*5/4 + 1 {
		for h, got := range fading(ms) {
			want := math.Exp2(-float64(ms) / HalfLife(h).millis())
			if math.Abs(got-want) > 1e-12*want+math.SmallestNonzeroFloat64 && want > 1e-300 {
				t.Errorf("%s after %d ms: %v remains, want %v", HalfLife(h), ms, got, want)
			}
		}
	}
}

// TestRankOrdersAsLaterValuesDo ranks counts of a year, old and new, large and small, as their values at the end of it do.
func TestRankOrdersAsLaterValuesDo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	counts := make([]Decayed, 200)
	for i := range counts {
		for range rng.IntN(4) {
			counts[i].Add(1+rng.Float64()*1e3, 1_790_000_000_000+rng.Int64N(365*day))
		}
	}
	end := 1_790_000_000_000 + 365*day
	for h := Hour; h <= Fortnight; h++ {
		for i := range counts {
			a, b := &counts[i], &counts[(i+7)%len(counts)]
			va, vb := a.Value(h, end), b.Value(h, end)
			if vb < 1e-300 || math.Abs(va-vb) < 1e-9*va { // nothing, or no difference that a float holds
				continue
			}
			if got, want := cmp.Compare(a.Rank(h), b.Rank(h)), cmp.Compare(va, vb); got != want {
				t.Errorf("%s: ranks %v and %v of the values %v and %v", h, a.Rank(h), b.Rank(h), va, vb)
			}
		}
	}
	if none := (&Decayed{}).Rank(Day); !math.IsInf(none, -1) {
		t.Errorf("a count of nothing has the rank %v", none)
	}
}
