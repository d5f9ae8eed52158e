package trainer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/trainer/eval"
)

// weeks is the traffic of some days, of 48 to 72 events an hour, a tenth of them carts and one in fifty of a robot.
func weeks(days int) []Interaction {
	var out []Interaction
	for hour := range days * 24 {
		n := 60
		if hour/24%7 > 4 {
			n = 72 // the weekend
		} else if hour%24 < 8 {
			n = 48
		}
		for i := range n {
			e := view(fmt.Sprint("b", i), fmt.Sprint(i), testStart.Add(time.Duration(hour)*time.Hour+time.Duration(i)*time.Minute/2))
			if i%10 == 0 {
				e.Type = event.AddToCart
			}
			e.IsBot = i%50 == 0
			out = append(out, e)
		}
	}
	return out
}

func TestDataChecks(t *testing.T) {
	const days = 21
	lastDay := testStart.Add((days - 1) * 24 * time.Hour)
	onLastDay := func(i Interaction) bool { return !i.OccurredAt.Before(lastDay) }
	for _, c := range []struct {
		name   string
		change func([]Interaction) []Interaction
		want   string // "" for nothing wrong
	}{
		{"as ever", func(e []Interaction) []Interaction { return e }, ""},
		{"a quiet day", func(e []Interaction) []Interaction {
			n := 0
			return slices.DeleteFunc(e, func(i Interaction) bool { n++; return onLastDay(i) && n%3 > 0 })
		}, ""},
		{"the tracker is nearly silent", func(e []Interaction) []Interaction {
			n := 0
			return slices.DeleteFunc(e, func(i Interaction) bool { n++; return onLastDay(i) && n%8 > 0 })
		}, "events where"},
		{"a flood", func(e []Interaction) []Interaction {
			for _, i := range e {
				for range 11 {
					if onLastDay(i) {
						e = append(e, i)
					}
				}
			}
			return e
		}, "events where"},
		{"no carts any more", func(e []Interaction) []Interaction {
			return slices.DeleteFunc(e, func(i Interaction) bool { return onLastDay(i) && i.Type == event.AddToCart })
		}, "add_to_cart makes up 0.0 %"},
		{"robots", func(e []Interaction) []Interaction {
			for n := range e {
				if onLastDay(e[n]) && n%5 > 1 {
					e[n].IsBot = true
				}
			}
			return e
		}, "of robots where 3 % are usual"},
		{"a hole in the week", func(e []Interaction) []Interaction {
			from := lastDay.Add(-60 * time.Hour)
			return slices.DeleteFunc(e, func(i Interaction) bool {
				return i.OccurredAt.After(from) && i.OccurredAt.Before(from.Add(20*time.Hour))
			})
		}, "nothing was recorded for"},
		{"a shop that is closed every night", func(e []Interaction) []Interaction {
			return slices.DeleteFunc(e, func(i Interaction) bool { h := i.OccurredAt.Hour(); return h >= 18 || h < 8 })
		}, ""},
		{"three days of history", func(e []Interaction) []Interaction {
			return slices.DeleteFunc(e, func(i Interaction) bool {
				return i.OccurredAt.Before(lastDay.Add(-48*time.Hour)) || onLastDay(i) && i.Type == event.AddToCart
			})
		}, ""},
	} {
		traffic := newTraffic()
		for _, i := range c.change(weeks(days)) {
			traffic.add(&i)
		}
		got := checkData(&dataset{log: &eval.Log{}, traffic: traffic})
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if on := checkData(&dataset{log: &eval.Log{Logical: true}, traffic: traffic}); on != "" {
			t.Errorf("%s, on a logical clock: %q", c.name, on)
		}
	}
}

// A night of bad data trains a version, and keeps it out of force with its reason.
func TestABadNightIsHeld(t *testing.T) {
	r := openRegistry(t)
	good := planted(3000, 1) // of 144 sessions a day
	if first := train(t, r, Config{}, good, testStart); !first.Promoted {
		t.Fatalf("champion %+v", first)
	}
	lastDay := good[len(good)-1].OccurredAt.Add(-24 * time.Hour)
	n := 0
	bad := slices.DeleteFunc(slices.Clone(good), func(i Interaction) bool {
		n++
		return i.OccurredAt.After(lastDay) && n/5%8 > 0 // whole sessions
	})
	result := train(t, r, Config{}, bad, testStart.Add(time.Hour))
	if result.Promoted || result.Version == "" || !strings.HasPrefix(result.Reason, "the data of the last day looks wrong: ") {
		t.Fatalf("result %+v", result)
	}
}

func TestTrafficBoundsTheTypesThatItCounts(t *testing.T) {
	traffic := newTraffic()
	for n := range 3 * maxKinds {
		i := view("b", "x", testStart)
		i.Type = fmt.Sprint("custom_", n)
		traffic.add(&i)
	}
	days := traffic.days()
	if len(traffic.kinds) != maxKinds+1 || len(days) != 1 || days[0].people != 3*maxKinds || days[0].kinds[otherKinds] != 2*maxKinds {
		t.Errorf("%d types, %d days, %+v", len(traffic.kinds), len(days), days)
	}
}
