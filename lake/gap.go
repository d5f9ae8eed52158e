package lake

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
)

// Gap says that a partition's records from offset From up to To were never landed, because they were gone before anybody
// had read them. At is when that was noticed, in milliseconds.
type Gap struct {
	Topic     string    `json:"topic"`
	Epoch     int64     `json:"epoch"`
	Partition int32     `json:"partition"`
	From      int64     `json:"from"`
	To        int64     `json:"to"`
	At        time.Time `json:"at"`
}

// gapPrefix begins the table property of every gap: millrace.gap.<epoch>.<topic>.<partition>.<from> = <to>:<Unix
// milliseconds>. gapsKept is how many a table keeps, the newest: enough to see when and where, while every commit writes all
// of them.
const (
	gapPrefix = "millrace.gap."
	gapsKept  = 100
)

func (g Gap) property() (key, value string) {
	return fmt.Sprintf("%s%d.%s.%d.%d", gapPrefix, g.Epoch, g.Topic, g.Partition, g.From), fmt.Sprintf("%d:%d", g.To, g.At.UnixMilli())
}

// parseGap reads one table property; ok is false for properties of other kinds.
func parseGap(key, value string) (g Gap, ok bool, err error) {
	rest, ok := strings.CutPrefix(key, gapPrefix)
	if !ok {
		return Gap{}, false, nil
	}
	parts := strings.Split(rest, ".")
	to, at, found := strings.Cut(value, ":")
	if len(parts) < 4 || !found {
		return Gap{}, false, fmt.Errorf("table property %s = %s is not a gap", key, value)
	}
	last := len(parts) - 1
	g.Topic = strings.Join(parts[1:last-1], ".") // topics hold dots
	var errs [5]error
	var partition, ms int64
	g.Epoch, errs[0] = strconv.ParseInt(parts[0], 10, 64)
	partition, errs[1] = strconv.ParseInt(parts[last-1], 10, 32)
	g.From, errs[2] = strconv.ParseInt(parts[last], 10, 64)
	g.To, errs[3] = strconv.ParseInt(to, 10, 64)
	ms, errs[4] = strconv.ParseInt(at, 10, 64)
	g.Partition, g.At = int32(partition), time.UnixMilli(ms).UTC()
	for _, err := range errs {
		if err != nil {
			return Gap{}, false, fmt.Errorf("table property %s = %s is not a gap: %w", key, value, err)
		}
	}
	return g, true, nil
}

// readGaps collects the gaps among a table's properties, the oldest first.
func readGaps(props iceberg.Properties) ([]Gap, error) {
	gaps := []Gap{}
	for key, value := range props {
		g, ok, err := parseGap(key, value)
		if err != nil {
			return nil, err
		}
		if ok {
			gaps = append(gaps, g)
		}
	}
	slices.SortFunc(gaps, func(a, b Gap) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.From, b.From))
	})
	return gaps, nil
}

// noteGaps adds the properties of new gaps to props and returns those of old ones that make room for them.
func noteGaps(have, props iceberg.Properties, gaps []Gap) (remove []string, err error) {
	if len(gaps) == 0 {
		return nil, nil
	}
	old, err := readGaps(have)
	if err != nil {
		return nil, err
	}
	for _, g := range gaps[max(0, len(gaps)-gapsKept):] {
		key, value := g.property()
		props[key] = value
	}
	for _, g := range old[:min(len(old), max(0, len(old)+len(gaps)-gapsKept))] {
		if key, _ := g.property(); props[key] == "" {
			remove = append(remove, key)
		}
	}
	return remove, nil
}
