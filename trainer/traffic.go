package trainer

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// traffic counts what was read by hour and type, for the checks of the data before a model is trusted (gate_data.go).
type traffic struct {
	rows  int64
	kinds map[string]int // place of a type in the counts of an hour
	hours map[int64]*hourTraffic
}

// hourTraffic is an hour since 1970, UTC: events of people by type, and those of robots.
type hourTraffic struct {
	bots  int64
	kinds []int64
}

func newTraffic() traffic {
	return traffic{kinds: map[string]int{}, hours: map[int64]*hourTraffic{}}
}

const (
	hourMillis = int64(time.Hour / time.Millisecond)

	// maxKinds bounds the event types that are counted one by one: a site may make up as many as it likes.
	maxKinds = 100

	// otherKinds is what the types beyond maxKinds are counted as. No type is called so: types have no spaces.
	otherKinds = "other types"
)

func (t *traffic) add(i *Interaction) {
	t.rows++
	number := i.OccurredAt.UnixMilli() / hourMillis
	hour := t.hours[number]
	if hour == nil {
		hour = &hourTraffic{}
		t.hours[number] = hour
	}
	if i.IsBot {
		hour.bots++
		return
	}
	kind := t.kind(i.Type)
	for len(hour.kinds) <= kind {
		hour.kinds = append(hour.kinds, 0)
	}
	hour.kinds[kind]++
}

func (t *traffic) kind(name string) int {
	if at, ok := t.kinds[name]; ok {
		return at
	}
	if len(t.kinds) >= maxKinds {
		name = otherKinds
	}
	at, ok := t.kinds[name]
	if !ok {
		at = len(t.kinds)
		t.kinds[strings.Clone(name)] = at
	}
	return at
}

// dayTraffic is 24 hours of traffic.
type dayTraffic struct {
	people, bots int64
	kinds        map[string]int64
}

// days sums the hours up to the newest one to days, the newest first, back to the oldest hour.
func (t *traffic) days() []dayTraffic {
	if len(t.hours) == 0 {
		return nil
	}
	numbers := slices.Sorted(maps.Keys(t.hours))
	newest := numbers[len(numbers)-1]
	out := make([]dayTraffic, (newest-numbers[0])/24+1)
	names := make([]string, len(t.kinds))
	for name, at := range t.kinds {
		names[at] = name
	}
	for number, hour := range t.hours {
		day := &out[(newest-number)/24]
		day.bots += hour.bots
		for at, n := range hour.kinds {
			if day.kinds == nil {
				day.kinds = map[string]int64{}
			}
			day.people += n
			day.kinds[names[at]] += n
		}
	}
	return out
}
