package trainer

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/trainer/eval"
)

// dataset is the history of a site, ready to be split and fitted. Log.Vocabulary is in alphabetical order and sessions
// are in order of their last event, so that neither depends on the order in which the lake was read.
type dataset struct {
	log        *eval.Log
	categories map[string][]string // by item, as its newest event that names any says
	snapshot   Snapshot
	from, to   time.Time // occurred_at of the first and last event that was used
	rows       int64     // events read
	older      Older     // what the window left out
	events     int64     // item interactions kept
	sessions   int64     // sessions of two or more interactions
}

// click is one interaction with one item before sessions are known.
type click struct {
	visit    int32 // number of the visitor and given session id; loneVisit for none
	item     int32
	kind     uint8
	place    uint16 // in the item list of its event
	at       int64  // Unix milliseconds
	sequence int64
}

// loneVisit marks a click that belongs to no session: its visitor did not allow a profile.
const loneVisit = -1

// progressEvery is how many events pass between two reports and checks of the context.
const progressEvery = 50_000

// collector turns events into clicks.
type collector struct {
	kinds   map[string]uint8
	items   *model.Vocabulary
	visits  map[string]int32
	names   []string // of visits
	given   []bool   // by visit: its session id was given
	key     []byte   // scratch
	clicks  []click
	said    map[int32]said // by item
	rows    int64
	logical bool
}

// said is what the newest event said of an item's categories.
type said struct {
	at         int64
	categories []string
}

// readDataset reads the window of a site: the time before the newest event, not before the wall clock, so that history
// imported long after it happened trains like history of today.
func readDataset(ctx context.Context, cfg Config, source EventSource, report func(rows int64)) (*dataset, error) {
	snapshot, err := source.Snapshot(ctx, cfg.Site)
	if err != nil {
		return nil, fmt.Errorf("pin snapshot: %w", err)
	}
	c := newCollector(cfg.Types)
	var older Older
	if !snapshot.Newest.IsZero() {
		from := snapshot.Newest.Add(-cfg.Window)
		err = source.Events(ctx, cfg.Site, snapshot, from, func(i *Interaction) error {
			c.add(i)
			if c.rows%progressEvery == 0 {
				report(c.rows)
				return ctx.Err()
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		if older, err = source.Older(ctx, cfg.Site, snapshot, from); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
	}
	d := c.dataset(snapshot)
	d.older = older
	return d, nil
}

// allHistory is a window before which nothing happened.
const allHistory time.Duration = math.MaxInt64

// noteWidened says that the window was given up.
func (d *dataset) noteWidened(window time.Duration) string {
	return fmt.Sprintf("the window of %s alone holds %s sessions, so the %s older events (%s to %s) were used too",
		brief(window), grouped(d.sessions), grouped(d.older.Events), d.older.First.Format(time.DateOnly), d.older.Last.Format(time.DateOnly))
}

// noteOlder says what the window left out, so that nobody wonders where an old import went; empty when it left out nothing.
func (d *dataset) noteOlder(window time.Duration) string {
	if d == nil || d.older.Events == 0 {
		return ""
	}
	o := d.older
	return fmt.Sprintf("%s older events (%s to %s) lie before the window of %s; set trainer.window to train on them",
		grouped(o.Events), o.First.Format(time.DateOnly), o.Last.Format(time.DateOnly), brief(window))
}

func newCollector(types []string) *collector {
	c := &collector{kinds: map[string]uint8{}, items: model.NewVocabulary(), visits: map[string]int32{}, said: map[int32]said{}}
	for i, t := range types {
		c.kinds[t] = uint8(i)
	}
	return c
}

// add takes in one event. Robots and events of other types, impressions above all, only count as rows.
func (c *collector) add(i *Interaction) {
	c.rows++
	kind, ok := c.kinds[i.Type]
	if !ok || i.IsBot || len(i.Items) == 0 {
		return
	}
	c.logical = c.logical || i.Logical
	visit := int32(loneVisit)
	if i.Personalized && (i.AnonymousID != "" || i.UserID != "") {
		visit = c.visit(i)
	}
	at := i.OccurredAt.UnixMilli()
	for place, it := range i.Items {
		if it.ID == "" {
			continue
		}
		item, known := c.items.Index(it.ID)
		if !known {
			item = c.items.Add(strings.Clone(it.ID))
		}
		c.clicks = append(c.clicks, click{visit: visit, item: item, kind: kind, place: uint16(place), at: at, sequence: i.Sequence})
		c.learnCategories(item, at, it.Categories)
	}
}

// visit numbers the visitor, who is the browser where there is one (event.Event.Key), together with the given session.
func (c *collector) visit(i *Interaction) int32 {
	// Ids hold no control characters, so that different ids never meet in one key.
	c.key = c.key[:0]
	if i.AnonymousID != "" {
		c.key = append(append(c.key, 'a'), i.AnonymousID...)
	} else {
		c.key = append(append(c.key, 'u'), i.UserID...)
	}
	c.key = append(append(c.key, 0), i.SessionID...)
	if v, ok := c.visits[string(c.key)]; ok {
		return v
	}
	v := int32(len(c.names))
	name := string(c.key)
	c.visits[name] = v
	c.names = append(c.names, name)
	c.given = append(c.given, i.SessionID != "")
	return v
}

func (c *collector) learnCategories(item int32, at int64, categories []string) {
	if len(categories) == 0 {
		return
	}
	known, ok := c.said[item]
	if ok && (at < known.at || at == known.at && slices.Compare(categories, known.categories) <= 0) {
		return
	}
	if !slices.Equal(categories, known.categories) {
		own := make([]string, len(categories))
		for i, name := range categories {
			own[i] = strings.Clone(name)
		}
		known.categories = own
	}
	c.said[item] = said{at: at, categories: known.categories}
}

// visitRun is one session: a run of clicks.
type visitRun struct {
	clicks []click
	name   string
}

func (v visitRun) end() int64 { return v.clicks[len(v.clicks)-1].at }

// dataset orders everything: clicks by visit and time, sessions by their last event, items by id.
func (c *collector) dataset(snapshot Snapshot) *dataset {
	slices.SortFunc(c.clicks, func(a, b click) int {
		return cmp.Or(cmp.Compare(a.visit, b.visit), cmp.Compare(a.at, b.at), cmp.Compare(a.sequence, b.sequence),
			cmp.Compare(a.place, b.place), cmp.Compare(a.item, b.item))
	})
	sessions := c.sessions()
	vocabulary, renumbered := alphabetical(c.items)
	log := &eval.Log{Vocabulary: vocabulary, Sessions: &model.Sessions{}, Logical: c.logical, Rows: int(c.rows)}
	slices.SortFunc(sessions, func(a, b visitRun) int {
		first, other := a.clicks[0], b.clicks[0]
		return cmp.Or(cmp.Compare(a.end(), b.end()), strings.Compare(a.name, b.name), cmp.Compare(first.at, other.at),
			cmp.Compare(renumbered[first.item], renumbered[other.item]))
	})
	d := &dataset{log: log, categories: make(map[string][]string, len(c.said)), snapshot: snapshot, rows: c.rows}
	var items []int32
	var times []int64
	for _, session := range sessions {
		items, times = items[:0], times[:0]
		for _, k := range session.clicks {
			items, times = append(items, renumbered[k.item]), append(times, k.at)
		}
		log.Sessions.Append(items, times)
		if len(items) > 1 {
			d.sessions++
		}
	}
	for item, s := range c.said {
		d.categories[c.items.ID(item)] = s.categories
	}
	d.events = int64(log.Sessions.Events())
	d.from, d.to = log.First(), log.Last()
	return d
}

// sessions cuts the ordered clicks into sessions: a given session id wins, else the one session rule decides.
func (c *collector) sessions() []visitRun {
	rule := event.DefaultSessionRule()
	var out []visitRun
	kept := c.clicks[:0]
	for from := 0; from < len(c.clicks); {
		visit, to := c.clicks[from].visit, from+1
		for to < len(c.clicks) && c.clicks[to].visit == visit {
			start, last, next := c.clicks[from].at, c.clicks[to-1].at, c.clicks[to].at
			if visit == loneVisit || !c.given[visit] && !rule.Continues(time.UnixMilli(start), time.UnixMilli(last), time.UnixMilli(next)) {
				break
			}
			to++
		}
		first := len(kept)
		for _, k := range c.clicks[from:to] {
			if !c.repeats(kept[first:], k) {
				kept = append(kept, k) // never ahead of the reader: kept shares memory with clicks
			}
		}
		name := ""
		if visit != loneVisit {
			name = c.names[visit]
		}
		out = append(out, visitRun{clicks: kept[first:len(kept):len(kept)], name: name})
		from = to
	}
	return out
}

// repeats reports whether a click tells nothing new about what comes next: a cart or a purchase of what the session
// holds already, or the click in a list and the page view that are one act. Views that come back to an item do count.
func (c *collector) repeats(session []click, k click) bool {
	if k.kind != c.viewKind(event.ViewItem) && k.kind != c.viewKind(event.SelectItem) {
		return slices.ContainsFunc(session, func(earlier click) bool { return earlier.item == k.item })
	}
	if len(session) == 0 {
		return false
	}
	last := session[len(session)-1]
	return last.item == k.item && last.kind != k.kind
}

// viewKind returns the kind of a type, or one that no click has.
func (c *collector) viewKind(name string) uint8 {
	if kind, ok := c.kinds[name]; ok {
		return kind
	}
	return uint8(len(c.kinds))
}

// alphabetical returns the vocabulary in alphabetical order and the new index of every old one.
func alphabetical(v *model.Vocabulary) (*model.Vocabulary, []int32) {
	ids := make([]string, v.Len())
	for i := range ids {
		ids[i] = v.ID(int32(i))
	}
	slices.Sort(ids)
	sorted := model.NewVocabulary(ids...)
	renumbered := make([]int32, len(ids))
	for i := range renumbered {
		renumbered[i], _ = sorted.Index(v.ID(int32(i)))
	}
	return sorted, renumbered
}

// categoriesOf lists the categories of a vocabulary's items by index.
func (d *dataset) categoriesOf(v *model.Vocabulary) [][]string {
	out := make([][]string, v.Len())
	for i := range out {
		out[i] = d.categories[v.ID(int32(i))]
	}
	return out
}
