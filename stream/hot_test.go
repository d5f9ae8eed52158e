package stream

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/onlinestore"
)

// flood is n events of one browser at a rate per second from a time, on one of 50 items each.
func flood(from, n, perSecond int, at time.Time) []*event.Event {
	events := make([]*event.Event, n)
	for i := range events {
		when := at.Add(time.Duration(i) * time.Second / time.Duration(perSecond)).Truncate(time.Millisecond)
		events[i] = &event.Event{EventID: fmt.Sprintf("hot%d", from+i), Site: "default", Type: event.ViewItem, AnonymousID: "flood",
			OccurredAt: when, ReceivedAt: when, Items: []event.Item{{ItemID: fmt.Sprintf("h%d", i%50)}}}
	}
	return events
}

// onlineProfile is the profile that serving would read of a browser.
func (h *house) onlineProfile(browser string) *feature.Profile {
	h.t.Helper()
	key := onlinestore.ProfileKey(onlinestore.Partial{Site: "default", Kind: onlinestore.KindBrowser, ID: browser})
	row, ok, err := h.online.Get(h.t.Context(), key)
	if err != nil {
		h.t.Fatal(err)
	}
	if !ok {
		return &feature.Profile{}
	}
	p, err := feature.DecodeProfile(row.Value)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// TestHotKey floods one profile among ordinary traffic: all its events land, its features count few of them, and a rebuild
// from the lake counts the same ones.
func TestHotKey(t *testing.T) {
	h, tr := newHouse(t), newTraffic(21)
	s := h.start()
	all := tr.next(300)
	hot := flood(0, 3000, 1000, tr.now)
	for i := range 6 { // batches end in the middle of the flood
		h.produce(slices.Concat(all[i*50:(i+1)*50], hot[i*500:(i+1)*500])...)
	}
	for _, e := range hot {
		tr.ids[e.EventID] = true
	}
	s.drain()
	h.checkLanded(tr.ids)
	verify(t, s.Stream)
	p := h.onlineProfile("flood")
	if counted := p.Events - p.Skipped; p.Events != 3000 || counted < 100 || counted > 500 {
		t.Errorf("%d of %d events are counted, want 50 a second and some more in the first", counted, p.Events)
	}
}

// TestSiteRows sums the site's shares over all partitions: every event but the robots' is in one of them.
func TestSiteRows(t *testing.T) {
	h, tr := newHouse(t), newTraffic(22)
	s := h.start()
	h.produce(tr.next(400)...)
	s.drain()
	want := map[string]int64{}
	seen := map[string]bool{}
	for _, e := range tr.sent {
		if !e.IsBot && !seen[e.EventID] {
			want[e.Site]++
		}
		seen[e.EventID] = true
	}
	for site, events := range want {
		var sum feature.SiteAggregate
		err := h.online.Scan(t.Context(), onlinestore.SitePrefix(site), func(row onlinestore.Row) error {
			share, err := feature.DecodeSiteAggregate(row.Value)
			if err == nil {
				sum.Merge(share)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if sum.Events != events || len(sum.Minutes) == 0 || len(sum.Searches) == 0 {
			t.Errorf("site %s: %d events, %d minutes, %d searches, want %d events", site, sum.Events, len(sum.Minutes), len(sum.Searches), events)
		}
	}
}

// TestLongHotKey measures how long other visitors' clicks take to become features, without and with one key at 5,000
// events/s in the same partition.
func TestLongHotKey(t *testing.T) {
	kafkatest.Long(t)
	const probes = 400
	h := newHouse(t)
	h.start()
	partition := func(browser string) int32 { return kafka.PartitionFor([]byte("default:a:"+browser), testPartitions) }
	run := func(what string, hotPerTick int) time.Duration {
		name := what
		for i := 0; partition(name) != partition("flood"); i++ {
			name = fmt.Sprintf("%s-%d-", what, i)
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		at, sent := time.Now(), 0
		times := make([]time.Duration, 0, probes)
		for i := range probes {
			<-tick.C
			now := time.Now().UTC().Truncate(time.Millisecond)
			events := flood(int(at.UnixMilli())+sent, hotPerTick, 5000, now)
			sent += hotPerTick
			for j := range 20 {
				events = append(events, view(fmt.Sprintf("%s%d-%d", name, i, j), fmt.Sprintf("%s%d", name, j), "a"))
			}
			probe := view(fmt.Sprintf("%s-probe%d", name, i), name, "a")
			probe.OccurredAt, probe.ReceivedAt = now, now
			begin := time.Now()
			h.produce(append(events, probe)...)
			for !h.onlineProfile(name).HasApplied(probe.EventID) {
				if time.Since(begin) > time.Minute {
					t.Fatalf("%s: a click is no feature after a minute", name)
				}
			}
			times = append(times, time.Since(begin))
		}
		slices.Sort(times)
		p50, p99 := times[probes/2], times[probes*99/100]
		t.Logf("%s: %d probes, p50 %v, p99 %v", name, probes, p50, p99)
		return p99
	}
	run("warm", 0)
	calm := run("calm", 0)
	hot := run("hot", 100)
	t.Logf("p99 with a hot key at 5,000 events/s is %.2f times that without", float64(hot)/float64(calm))
	if hot > 2*calm {
		t.Errorf("one hot key raises the others' p99 from %v to %v, want less than twice", calm, hot)
	}
}
