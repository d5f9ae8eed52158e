package stream

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/kafka"
)

// The lag in seconds grows between two changes of the position, and is nothing where nothing waits.
func TestLag(t *testing.T) {
	received := time.UnixMilli(1_700_000_000_000)
	l := newLag()
	l.now = func() time.Time { return received.Add(90 * time.Second) }
	l.set(partitionID{"t", 0}, unread{5, received})
	l.set(partitionID{"t", 1}, unread{0, received})
	l.set(partitionID{"t", 2}, unread{3, time.Time{}})
	l.set(partitionID{"t", 3}, unread{1, received.Add(time.Hour)}) // of a host whose clock is ahead
	l.set(partitionID{"t", 4}, unread{1, received})
	l.drop(partitionID{"t", 4})
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(l); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := m.GetLabel() // in the order of their names: group, partition, topic
			got = append(got, fmt.Sprintf("%s %s %s %s %v", f.GetName(), labels[0].GetValue(), labels[1].GetValue(), labels[2].GetValue(), m.GetGauge().GetValue()))
		}
	}
	want := []string{
		"millrace_consumer_lag_records millrace.stream 0 t 5", "millrace_consumer_lag_records millrace.stream 1 t 0",
		"millrace_consumer_lag_records millrace.stream 2 t 3", "millrace_consumer_lag_records millrace.stream 3 t 1",
		"millrace_consumer_lag_seconds millrace.stream 0 t 90", "millrace_consumer_lag_seconds millrace.stream 1 t 0",
		"millrace_consumer_lag_seconds millrace.stream 2 t 0", "millrace_consumer_lag_seconds millrace.stream 3 t 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("metrics\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What waits behind a part of a fetch is as old as the next record of it, and behind all of it at least as new as its last.
func TestLagBehind(t *testing.T) {
	at := func(offset int64) kafka.Record {
		return kafka.Record{Offset: offset, Time: time.UnixMilli(1000 + offset)}
	}
	res := kafka.FetchResult{Records: []kafka.Record{at(7), at(8), at(9)}, Next: 11, End: 20}
	for _, tt := range []struct {
		done    int
		records int64
		oldest  int64
	}{{0, 13, 1007}, {2, 11, 1009}, {3, 9, 1009}} {
		if u := behind(res, tt.done); u.records != tt.records || u.oldest.UnixMilli() != tt.oldest {
			t.Errorf("with %d done: %+v, want %d records since %d", tt.done, u, tt.records, tt.oldest)
		}
	}
	if u := behind(kafka.FetchResult{Next: 11, End: 20}, 0); u.records != 9 || !u.oldest.IsZero() {
		t.Errorf("behind an empty fetch: %+v", u)
	}
}
