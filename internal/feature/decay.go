// Package feature is the pure mathematics of online features: what one visitor did (Profile) and what happened to one item
// (ItemAggregate). It knows no store and no clock: the same events in the same order give the same bytes, in the stream,
// in a rebuild and in training.
//
// Times are Unix milliseconds UTC of occurred_at unless said otherwise.
package feature

//go:generate go test -run TestFeaturesPage -update .

import "math"

// Version is the meaning and the encoding of every feature in this package. It is the first byte of every encoded value
// and stands beside every stored row; a change makes the stream compute everything again.
const Version = 2

// HalfLife selects one of the speeds at which counts fade.
type HalfLife int

// The half-lives of every decayed count.
const (
	Hour      HalfLife = iota // 1 h: what happens right now
	Day                       // 1 d: today
	Fortnight                 // 14 d: taste
	halfLives
)

// millis are the half-lives in milliseconds.
func (h HalfLife) millis() float64 {
	const hour = 3_600_000
	switch h {
	case Hour:
		return hour
	case Day:
		return 24 * hour
	default:
		return 14 * 24 * hour
	}
}

// String is the name of the half-life in JSON.
func (h HalfLife) String() string {
	switch h {
	case Hour:
		return "1h"
	case Day:
		return "1d"
	default:
		return "14d"
	}
}

// Decayed is a count that fades, at every half-life at once: the sum over events of weight * 2^(-age / half-life). It is
// kept as the values at one reference time. Any two events commute, because moving the reference multiplies the values by
// a power of two that depends on the distance alone; so late events are exact and no watermark is needed.
type Decayed struct {
	At     int64 // reference time
	Values [halfLives]float64
}

// Add counts an event of the given weight at a time.
func (d *Decayed) Add(weight float64, at int64) {
	var one Decayed
	one.At = at
	for h := range one.Values {
		one.Values[h] = weight
	}
	d.Merge(one)
}

// Merge adds another count.
func (d *Decayed) Merge(o Decayed) {
	if o.IsZero() {
		return
	}
	if d.IsZero() {
		*d = o
		return
	}
	newer, older := d, &o
	if o.At > d.At {
		newer, older = &o, d
	}
	sum := Decayed{At: newer.At}
	fade := fading(newer.At - older.At)
	for h := range sum.Values {
		sum.Values[h] = newer.Values[h] + older.Values[h]*fade[h]
	}
	*d = sum
}

// fading is what remains of 1 after a time, at every half-life. An exponential is the price of an event's count, so there is
// one: a fortnight has 14 days and a day 24 hours, and the others are its powers, exact to some hundred units in the last
// place.
func fading(ms int64) (fade [halfLives]float64) {
	if ms == 0 {
		return [halfLives]float64{1, 1, 1}
	}
	x := math.Exp2(-float64(ms) / Fortnight.millis())
	x2 := x * x
	x4 := x2 * x2
	day := x4 * x4 * x4 * x2
	day2 := day * day
	day4 := day2 * day2
	day8 := day4 * day4
	fade[Fortnight], fade[Day], fade[Hour] = x, day, day8*day8*day8
	return fade
}

// Value is the count at a time. A time before the reference, which is a reader's clock that lags, gives the count as it
// stands: growing it backwards would count events that had not happened.
func (d *Decayed) Value(h HalfLife, now int64) float64 {
	if d.Values[h] == 0 || now <= d.At {
		return d.Values[h]
	}
	return d.Values[h] * math.Exp2(-float64(now-d.At)/h.millis())
}

// Rank orders counts as Value does at any time after all of them, without the time: the logarithm of what the count would have been at
// the begin of time. It is minus infinity for a count of nothing.
func (d *Decayed) Rank(h HalfLife) float64 {
	return math.Log2(d.Values[h]) + float64(d.At)/h.millis()
}

// atLeast is a bound of Value from below, and close to it where the count is young for its half-life. The series of the
// exponential, cut after a negative term, is always too small; rounding is far below what is taken off.
func (d *Decayed) atLeast(h HalfLife, now int64) float64 {
	if now <= d.At {
		return d.Values[h]
	}
	y := float64(now-d.At) * (math.Ln2 / h.millis())
	return d.Values[h] * (1 - y*(1-y/2*(1-y/3))) * (1 - 1e-12)
}

// Rate is the count as events per day: an item with r events on each of the last days has the rate r, whatever the
// half-life.
func (d *Decayed) Rate(h HalfLife, now int64) float64 {
	return d.Value(h, now) * math.Ln2 * Day.millis() / h.millis()
}

// IsZero reports whether nothing was ever counted, or everything has faded below what a float can hold.
func (d *Decayed) IsZero() bool { return d.Values == [halfLives]float64{} }
