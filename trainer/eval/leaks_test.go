package eval

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// planted has two visitors; of v, the last event is c.
func planted(t *testing.T, protocol string) (*Log, *Dataset) {
	t.Helper()
	log := diary(t, "u: a@0 b@1 c@2 d@300 a@301", "v: d@3 b@4 a@290 b@302 c@303")
	c := Config{Protocol: protocol, IncludeUnseen: true}
	if protocol == ProtocolTemporal {
		c.TestFrom = time.Unix(1_600_000_000+60*299, 0)
	}
	d := split(t, log, c)
	return log, d
}

// altered returns a test whose first group's case is changed.
func altered(test *Test, change func(*Case)) *Test {
	out := *test
	out.walk = func(group int, yield yields) {
		test.walk(group, func(c *Case) bool {
			changed := *c
			change(&changed)
			return yield(&changed)
		})
	}
	return &out
}

func TestPlantedLeaksFailTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		protocol string
		plant    func(log *Log, d *Dataset)
		want     string
	}{
		"the answer is told, with its event": {ProtocolLeaveLast, func(_ *Log, d *Dataset) {
			d.Test = altered(d.Test, func(c *Case) {
				c.Query.Items, c.from.items = append(slices.Clone(c.Query.Items), c.Wanted...), append(slices.Clone(c.from.items), c.from.wanted...)
			})
		}, "told and wanted"},
		"the answer is told, without": {ProtocolLeaveLast, func(_ *Log, d *Dataset) {
			d.Test = altered(d.Test, func(c *Case) { c.Query.History = append(slices.Clone(c.Query.History), c.Wanted...) })
		}, "comes from none of its events"},
		"a later event is told": {ProtocolTemporal, func(log *Log, d *Dataset) {
			last := int32(slices.Index(log.Sessions.Times, log.Sessions.Newest()))
			d.Test = altered(d.Test, func(c *Case) {
				if !slices.Contains(c.from.wanted, last) {
					id, _ := d.Vocabulary.Index(log.Vocabulary.ID(log.Sessions.Items[last]))
					c.Query.History, c.from.history = append(slices.Clone(c.Query.History), id), append(slices.Clone(c.from.history), last)
				}
			})
		}, "did not happen before"},
		"models learn what is wanted": {ProtocolLeaveLast, func(log *Log, d *Dataset) {
			d.Train = log.part(slices.Repeat(roles{forTrain}, log.Sessions.Events()), forTrain, log.number(slices.Repeat(roles{forTrain}, log.Sessions.Events()), false))
			d.Vocabulary = log.number(slices.Repeat(roles{forTrain}, log.Sessions.Events()), false).vocabulary
			d.Test = altered(d.Test, func(c *Case) { c.Query.Items, c.Query.History, c.Wanted = nil, nil, nil })
		}, "is learned and wanted"},
		"models learn from after the time": {ProtocolTemporal, func(log *Log, d *Dataset) {
			at := int32(slices.Index(log.Sessions.Times, log.Sessions.Newest()-60_000)) // b of v, who knew it: nobody is asked about it
			id, _ := d.Vocabulary.Index(log.Vocabulary.ID(log.Sessions.Items[at]))
			d.Train.Sessions.Append([]int32{id}, []int64{log.Sessions.Times[at]})
			d.Train.source = append(d.Train.source, at)
		}, "models learn of a time up to"},
		"a learned event has another time": {ProtocolTemporal, func(_ *Log, d *Dataset) {
			d.Train.Sessions.Times[0] -= 1000
		}, "happened at"},
		"tuning learns what is wanted of it": {ProtocolTemporal, func(_ *Log, d *Dataset) {
			d.TuneTrain = d.Train
		}, "validation"},
	} {
		log, d := planted(t, c.protocol)
		if err := checkLeaks(log, d); err != nil {
			t.Fatalf("%s: before it was planted: %v", name, err)
		}
		c.plant(log, d)
		if err := checkLeaks(log, d); !errors.Is(err, ErrLeak) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want a leak that says %q", name, err, c.want)
		}
	}
}
