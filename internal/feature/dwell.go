package feature

import "github.com/millrace/millrace/internal/event"

const (
	// MaxDwellItems is how many items a profile keeps the dwell of.
	MaxDwellItems = 20
	// maxDwellMillis is the most that one engage event counts: an hour. More is a window that was left open.
	maxDwellMillis = 3_600_000
)

// Dwell is how long a visitor looked, in seconds: with the page visible, and with it also focused. Items are
// those that engage events named alone.
type Dwell struct {
	Visible      Decayed
	Focused      Decayed
	VisibleItems []Count
	FocusedItems []Count
}

// dwellOf is the time that an engage event tells, within bounds.
func dwellOf(e *event.Event) (visibleMs, focusedMs int64) {
	if e.Type != event.Engage || e.Engagement == nil {
		return 0, 0
	}
	bound := func(ms int64) int64 { return min(max(ms, 0), maxDwellMillis) }
	return bound(e.Engagement.VisibleMs), bound(e.Engagement.FocusedMs)
}

func (d *Dwell) apply(e *event.Event, at, now int64) {
	visible, focused := dwellOf(e)
	item := ""
	if len(e.Items) == 1 {
		item = e.Items[0].ItemID
	}
	add := func(ms int64, sum *Decayed, items *[]Count) {
		if ms == 0 {
			return
		}
		var seconds Decayed
		seconds.Add(float64(ms)/1000, at)
		sum.Merge(seconds)
		if item != "" {
			*items = addCount(*items, item, seconds, MaxDwellItems, now)
		}
	}
	add(visible, &d.Visible, &d.VisibleItems)
	add(focused, &d.Focused, &d.FocusedItems)
}

func (d *Dwell) merge(o *Dwell, now int64) {
	d.Visible.Merge(o.Visible)
	d.Focused.Merge(o.Focused)
	d.VisibleItems = addCounts(d.VisibleItems, o.VisibleItems, MaxDwellItems, now)
	d.FocusedItems = addCounts(d.FocusedItems, o.FocusedItems, MaxDwellItems, now)
}
