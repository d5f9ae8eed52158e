package trainer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The checks of the data compare the last 24 hours with the days before them. They catch a tracker that went silent, a type of
// event that is no longer sent, a flood of robots or an import gone wrong: a model of such a night may look good on its own test.
// Their limits lie far beyond what weekends and sales do.
const (
	// checkedDays is how many days before the last one are usual: two weeks hold each weekday twice.
	checkedDays = 14
	// minUsualDays and minUsualEvents are what must be known of usual days before anything is unusual.
	minUsualDays   = 7
	minUsualEvents = 500

	// minVolume and maxVolume are of the median day's events.
	minVolume = 0.2
	maxVolume = 10
	// minKindShare is what a type makes up on usual days to be missed, and keptKindShare how much of its share must be left.
	minKindShare  = 0.01
	keptKindShare = 0.1
	// maxBotShare is the share of robots on a day, where it is also botGrowth times the usual one.
	maxBotShare = 0.5
	botGrowth   = 3
	// maxGapHours is how many hours in a row may be silent in a week when none of the weeks before had half of such a gap.
	maxGapHours = 12
)

// usual are the days that the last one is compared with.
type usual struct {
	days   []dayTraffic
	median int64 // events of people a day
}

// checkData says what is wrong with the data; empty where nothing is. Data on a logical clock has no days.
func checkData(d *dataset) string {
	days := d.traffic.days()
	if d.log.Logical || len(days) < 1+minUsualDays {
		return ""
	}
	u := usual{days: days[1:min(len(days), 1+checkedDays)]}
	counts := make([]int64, len(u.days))
	for i, day := range u.days {
		counts[i] = day.people
	}
	slices.Sort(counts)
	if u.median = counts[len(counts)/2]; u.median < minUsualEvents {
		return ""
	}
	var found []string
	for _, words := range []string{u.volume(days[0]), u.mix(days[0]), u.bots(days[0]), gap(&d.traffic)} {
		if words != "" {
			found = append(found, words)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return "the data of the last day looks wrong: " + strings.Join(found, ", ") +
		"; look at the tracker and at imports, and if it is right put the version in force with `millrace models promote VERSION`"
}

// volume compares the number of events.
func (u usual) volume(last dayTraffic) string {
	ratio := float64(last.people) / float64(u.median)
	if ratio >= minVolume && ratio <= maxVolume {
		return ""
	}
	return fmt.Sprintf("%s events where %s are usual", grouped(last.people), grouped(u.median))
}

// mix looks for a type of event that is gone.
func (u usual) mix(last dayTraffic) string {
	total, kinds := int64(0), map[string]int64{}
	for _, day := range u.days {
		total += day.people
		for name, n := range day.kinds {
			kinds[name] += n
		}
	}
	var gone []string
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		share := float64(kinds[name]) / float64(total)
		now := float64(last.kinds[name]) / float64(max(last.people, 1))
		if share >= minKindShare && now < keptKindShare*share {
			gone = append(gone, fmt.Sprintf("%s makes up %.1f %% of the events where %.1f %% are usual", name, now*100, share*100))
		}
	}
	return strings.Join(gone, ", ")
}

// bots compares the share of robots.
func (u usual) bots(last dayTraffic) string {
	share := func(people, bots int64) float64 { return float64(bots) / float64(max(people+bots, 1)) }
	people, bots := int64(0), int64(0)
	for _, day := range u.days {
		people, bots = people+day.people, bots+day.bots
	}
	now, before := share(last.people, last.bots), share(people, bots)
	if now <= maxBotShare || now < botGrowth*before {
		return ""
	}
	return fmt.Sprintf("%.0f %% of the events are of robots where %.0f %% are usual", now*100, before*100)
}

// gap looks for hours of silence in the last week that the weeks before did not have.
func gap(t *traffic) string {
	numbers := slices.Sorted(maps.Keys(t.hours))
	newest := numbers[len(numbers)-1]
	const week = 7 * 24
	longest, before, began := int64(0), int64(0), int64(0)
	for i := 1; i < len(numbers); i++ {
		silent := numbers[i] - numbers[i-1] - 1
		switch {
		case newest-numbers[i] >= week:
			before = max(before, silent)
		case silent > longest:
			longest, began = silent, numbers[i-1]+1
		}
	}
	if longest < maxGapHours || 2*before >= longest {
		return ""
	}
	return fmt.Sprintf("nothing was recorded for %d hours from %s", longest, time.UnixMilli(began*hourMillis).UTC().Format(time.RFC3339))
}
