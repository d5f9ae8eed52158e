package tracker

import (
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

const (
	// tabIdle is after how long a silent tab's open gaps count as lost: a session is over, and what its browser still holds
	// comes when the shop is visited again.
	tabIdle = 30 * time.Minute
	// maxTabs bounds the tabs that are followed, some 150 bytes each. Beyond it the oldest are given up early.
	maxTabs = 200_000
	// maxGap is how many numbers a tab may skip at once; more is another count, not a loss.
	maxGap = 10_000
	// maxSpans bounds the open gaps of one tab; the oldest beyond it count as lost.
	maxSpans = 32
)

// Tally is what became of numbered events. Missing ones may still come; lost ones did not come within tabIdle.
type Tally struct {
	Events    int64 `json:"events" doc:"Numbered events that arrived." example:"1204"`
	Missing   int64 `json:"missing" doc:"Numbers that were passed over and may still come." example:"0"`
	Lost      int64 `json:"lost" doc:"Numbers that were passed over and did not come while the tab lived." example:"1"`
	Recovered int64 `json:"recovered" doc:"Numbers that came after later ones." example:"3"`
	Replays   int64 `json:"replays" doc:"Numbers that came again." example:"2"`
}

func (t *Tally) add(o Tally) {
	t.Events += o.Events
	t.Missing += o.Missing
	t.Lost += o.Lost
	t.Recovered += o.Recovered
	t.Replays += o.Replays
}

// sighting is a numbered event as losses sees it.
type sighting struct {
	tab          uint64 // hash of site and tab
	seq          int64
	family, page string
}

// tabHash names a tab in 64 bits; two that meet in one would show as replays.
func tabHash(site, tab string) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(site) // a digest never fails
	_, _ = d.WriteString("\x00")
	_, _ = d.WriteString(tab)
	return d.Sum64()
}

// span is numbers from..to that have not come, behind an event of a family and a page.
type span struct {
	from, to     int64
	family, page string
}

func (s span) len() int64 { return s.to - s.from + 1 }

// tab is what is known of a tab's numbers: all of low..high have come but those in missing. Family and page are those of the
// event with the highest number.
type tab struct {
	site         string
	low, high    int64
	missing      []span
	family, page string
}

// losses follows the numbers that beacons give their events: a gap is loss, a repeat is replay. It knows what passed this collector,
// so the requests of a tab must come to one. What a tab sent before its first event here is unknown, and never counts.
type losses struct {
	mu       sync.Mutex
	now, old map[uint64]*tab // by tabHash; who is in old was silent since turned
	limit    int             // of tabs
	turned   time.Time
	sites    map[string]*siteLosses
	told     func(site, family string, c Tally) // of every change
}

func newLosses(now time.Time, told func(site, family string, c Tally)) *losses {
	return &losses{now: map[uint64]*tab{}, old: map[uint64]*tab{}, limit: maxTabs, turned: now, sites: map[string]*siteLosses{}, told: told}
}

// see counts the numbered events of a request.
func (l *losses) see(site string, seen []sighting, now time.Time) {
	if len(seen) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(now)
	s := l.site(site)
	for _, e := range seen {
		t := l.find(site, e)
		t.take(e, func(family, page string, c Tally) {
			l.told(site, s.count(family, page, c), c)
		})
	}
}

// find is the tab of an event; one that was not there begins with it.
func (l *losses) find(site string, e sighting) *tab {
	t := l.now[e.tab]
	if t != nil {
		return t
	}
	if t = l.old[e.tab]; t != nil {
		delete(l.old, e.tab)
	} else {
		t = &tab{site: site, low: e.seq, high: e.seq - 1, family: e.family, page: e.page}
	}
	l.now[e.tab] = t
	return t
}

// turn gives up the tabs that were silent for long, or the older half where there are too many.
func (l *losses) turn(now time.Time) {
	if now.Sub(l.turned) < tabIdle && len(l.now) < l.limit/2 {
		return
	}
	for _, t := range l.old {
		for _, gap := range t.missing {
			c := Tally{Missing: -gap.len(), Lost: gap.len()}
			l.told(t.site, l.site(t.site).count(gap.family, gap.page, c), c)
		}
	}
	l.old, l.now, l.turned = l.now, make(map[uint64]*tab, len(l.now)), now
}

// take counts an event: what changes is told with the family and the page that it belongs to.
func (t *tab) take(e sighting, count func(family, page string, c Tally)) {
	n, here := e.seq, Tally{Events: 1}
	switch {
	case n == t.high+1:
		t.lead(e)
	case n > t.high+maxGap || n < t.low-maxGap: // another count
		t.giveUp(len(t.missing), count)
		t.low = n
		t.lead(e)
	case n > t.high:
		t.open(len(t.missing), span{t.high + 1, n - 1, t.family, t.page}, count)
		t.lead(e)
	case n < t.low:
		if n < t.low-1 {
			t.open(0, span{n + 1, t.low - 1, e.family, e.page}, count)
		}
		t.low = n
		here.Recovered = 1
	case t.fill(n, count):
		here.Recovered = 1
	default:
		here.Replays = 1
	}
	count(e.family, e.page, here)
	t.giveUp(len(t.missing)-maxSpans, count)
}

// lead makes an event the newest.
func (t *tab) lead(e sighting) { t.high, t.family, t.page = e.seq, e.family, e.page }

// open notes a gap.
func (t *tab) open(at int, gap span, count func(family, page string, c Tally)) {
	t.missing = slices.Insert(t.missing, at, gap)
	count(gap.family, gap.page, Tally{Missing: gap.len()})
}

// giveUp counts the first n gaps as lost.
func (t *tab) giveUp(n int, count func(family, page string, c Tally)) {
	for ; n > 0; n-- {
		gap := t.missing[0]
		t.missing = t.missing[1:]
		count(gap.family, gap.page, Tally{Missing: -gap.len(), Lost: gap.len()})
	}
}

// fill takes a number out of the missing ones; false means that it has come before.
func (t *tab) fill(n int64, count func(family, page string, c Tally)) bool {
	for i, s := range t.missing {
		if n < s.from || n > s.to {
			continue
		}
		var rest []span
		if s.from < n {
			rest = append(rest, span{s.from, n - 1, s.family, s.page})
		}
		if n < s.to {
			rest = append(rest, span{n + 1, s.to, s.family, s.page})
		}
		t.missing = slices.Replace(t.missing, i, i+1, rest...)
		count(s.family, s.page, Tally{Missing: -1})
		return true
	}
	return false
}
