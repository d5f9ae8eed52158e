package trainer

import (
	"time"
)

// traffic counts what was read, for the checks of the data before a model is trusted (gate_data.go).
type traffic struct {
	rows  int64
	bots  int64
	types map[string]int64
	days  map[int64]*dayTraffic // by day since 1970, UTC
}

// dayTraffic is one day: events of people, by type.
type dayTraffic struct {
	rows, bots int64
	types      map[string]int64
}

func newTraffic() traffic {
	return traffic{types: map[string]int64{}, days: map[int64]*dayTraffic{}}
}

const dayMillis = int64(24 * time.Hour / time.Millisecond)

func (t *traffic) add(i *Interaction) {
	number := i.OccurredAt.UnixMilli() / dayMillis
	day := t.days[number]
	if day == nil {
		day = &dayTraffic{types: map[string]int64{}}
		t.days[number] = day
	}
	t.rows++
	day.rows++
	if i.IsBot {
		t.bots++
		day.bots++
		return
	}
	count(t.types, i.Type)
	count(day.types, i.Type)
}

// maxCustomTypes bounds the custom event types that are counted one by one: a site may make up as many as it likes.
const maxCustomTypes = 100

// count counts a type; the map's keys are copies.
func count(types map[string]int64, name string) {
	if _, ok := types[name]; !ok {
		if len(types) >= maxCustomTypes {
			name = "other"
		}
		name = string([]byte(name))
	}
	types[name]++
}
