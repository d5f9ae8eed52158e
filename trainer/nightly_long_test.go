package trainer

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/synthetic"
	"github.com/millrace/millrace/lake"
)

// What the product promises of a night on two processors.
const (
	nightlyEvents  = 10_000_000
	nightlyBytes   = 4 << 30
	nightlySeconds = 600
)

// Ten million events through the lake and a training process: every method, within the promised memory, as the operating system
// reports it, and the promised time. A visitor has some four sessions, one click in ten lays into the cart, and one in forty buys.
func TestLongNightlyTraining(t *testing.T) {
	if os.Getenv("MILLRACE_TEST_LONG") == "" {
		t.Skip("MILLRACE_TEST_LONG is not set")
	}
	b := newBench(t, 0)
	l := openLake(t, b.lakeDir())
	landClicks(t, l, synthetic.Sessions(synthetic.Clicks{Clicks: nightlyEvents, Items: 30_000, Seed: 1}))
	process := self(t)
	last, began := "", time.Now()
	process.Progress = func(p Progress) {
		if step := p.Stage + " " + p.Detail; step != last && !strings.Contains(p.Detail, "events read") {
			last = step
			t.Logf("%4.0f s  %3.0f %%  %s", time.Since(began).Seconds(), p.Done*100, step)
		}
	}
	request := b.request()
	request.Config.Skip, request.Limits.MemoryBytes = nil, nightlyBytes
	result, err := Spawn(t.Context(), process, request)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s events in %.0f s, peak %s: %s", grouped(result.Rows), result.Seconds, mebibytes(result.PeakRSSBytes), result.Reason)
	for name, metrics := range result.Models {
		t.Logf("%s: HR@20 %.4f, MRR@20 %.4f", name, metrics["HR@20"].Value, metrics["MRR@20"].Value)
	}
	if result.Rows != nightlyEvents || result.PeakRSSBytes == 0 || result.PeakRSSBytes > nightlyBytes || result.Seconds > nightlySeconds {
		t.Errorf("%d events took %.0f s and %d bytes", result.Rows, result.Seconds, result.PeakRSSBytes)
	}
}

// landClicks lands sessions as events of visitors, over ninety days.
func landClicks(t *testing.T, l *lake.Lake, sessions *model.Sessions) {
	t.Helper()
	const batch, days = 200_000, 90
	span := float64(sessions.Newest())
	rows, from := make([]*event.Event, 0, batch), int64(0)
	flush := func() {
		land(t, l, from, rows...)
		from, rows = from+int64(len(rows)), rows[:0]
	}
	for s := range sessions.Len() {
		items, times := sessions.At(s)
		start := testStart.Add(time.Duration(float64(times[0]) / span * float64(days*24*time.Hour)))
		for e, item := range items {
			n := from + int64(len(rows))
			kind := event.ViewItem
			switch {
			case n%40 == 7:
				kind = event.Purchase
			case n%10 == 3:
				kind = event.AddToCart
			}
			rows = append(rows, &event.Event{
				EventID: fmt.Sprintf("%016x", n), Site: testSite, Type: kind, OccurredAt: start.Add(time.Duration(e) * 20 * time.Second),
				ReceivedAt: testStart, AnonymousID: fmt.Sprintf("browser-%07d", s%(sessions.Len()/4+1)), Device: []string{"mobile", "desktop"}[s%2],
				Items: []event.Item{{ItemID: fmt.Sprintf("item-%05d", item), ItemCategory: fmt.Sprintf("category-%02d", item%60)}},
			})
			if len(rows) == batch {
				flush()
			}
		}
	}
	flush()
}
