package stream

import (
	"fmt"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// maxWorkRows is how many rows a batch may change before it is committed. A list of 200 items touches 200 rows, so
// records alone are no bound. Rows have no size of their own either: full profiles weigh some 30 KB, so a batch also ends
// when its rows have added a quarter of what the partition's may weigh, or minWorkBytes where that is very little.
const (
	maxWorkRows  = 10_000
	minWorkBytes = 256 << 10
)

// applier applies the events of one partition to its state, batch by batch. The same events in the same order give the
// same rows, wherever batches end; rebuild and verify use the very same applier.
type applier struct {
	db        *state.DB
	partition int32
	position  state.Position   // applied so far, batch included
	clocks    map[string]int64 // site -> newest occurred_at applied, Unix milliseconds
	work      *work
	recent    *state.Recent
	reader    *event.Reader
	memory    func() int             // bytes of rows that may stay in memory after a batch
	share     int                    // what memory said last
	moved     map[string]int64       // sites whose clock moved in this batch -> where it stood before
	closed    map[string]int64       // site -> the clock on which the sessions that were over then are written
	written   int64                  // sessions that an event received before ended are written, Unix milliseconds
	erased    func() *erasure.Ledger // whose events are left out; nil is nobody's
	left      int                    // events left out so
	links     []lateLink             // found in them since the last linkErased
}

func newApplier(db *state.DB, partition int32, memory func() int) (*applier, error) {
	position, _, err := db.Position()
	if err != nil {
		return nil, err
	}
	return &applier{db: db, partition: partition, position: position, clocks: make(map[string]int64),
		work: newWork(db), recent: state.NewRecent(db), reader: event.NewReader(), memory: memory, share: memory(), moved: make(map[string]int64),
		closed: make(map[string]int64)}, nil
}

// clockNote is the name of the note that keeps a site's clock.
func clockNote(site string) string { return "clock/" + site }

// clock is the site's clock: the newest occurred_at applied in this partition, 0 before the first.
func (a *applier) clock(site string) (int64, error) {
	if ms, ok := a.clocks[site]; ok {
		return ms, nil
	}
	text, err := a.db.Meta(clockNote(site))
	if err != nil {
		return 0, err
	}
	var ms int64
	if text != "" {
		if ms, err = strconv.ParseInt(text, 10, 64); err != nil {
			return 0, fmt.Errorf("read clock of site %s: %w", site, err)
		}
	}
	a.clocks[site] = ms
	return ms, nil
}

// apply takes the event of the record at a position into the batch and reports whether it is dropped: as a duplicate, or
// because its person was erased. A record that was applied before changes nothing; the answer for it is the one it got then.
func (a *applier) apply(e *event.Event, at state.Position) (dropped bool, err error) {
	if a.leaves(e) {
		a.advance(at)
		return true, nil
	}
	clock, err := a.clock(e.Site)
	if err != nil {
		return false, err
	}
	who := state.Identity{Site: e.Site, ID: state.NewEventID(e.EventID), Import: e.Source == event.SourceImport}
	before, known, err := a.first(who, at, clock)
	if err != nil {
		return false, err
	}
	again := at.Before(a.position)
	a.advance(at)
	if known && before.Before(at) {
		return true, nil
	}
	if again {
		return false, nil
	}
	a.work.remember(who, first{at: at, clock: a.moveClock(e, clock)})
	return false, a.applyFeatures(e, at)
}

// applyEarlier takes an event of an earlier epoch from the lake, where the topic may have had other partitions. It landed,
// so it was no duplicate then, and is none now; the clock that decided so cannot be told any more, because it was that of
// all the partition's events. Rows that it changes get the position base. Its id is kept as long as that of any event, counted
// from when it was received: the site's clock may have come further by what other partitions bring.
func (a *applier) applyEarlier(e *event.Event, at, base state.Position) error {
	if a.position.Before(base) {
		a.position = base
	}
	if a.leaves(e) {
		return nil
	}
	clock, err := a.clock(e.Site)
	if err != nil {
		return err
	}
	clock = a.moveClock(e, clock)
	imported := e.Source == event.SourceImport
	if seen := min(clock, e.ReceivedAt.UnixMilli()); imported || clock-seen < forgottenAfter.Milliseconds() {
		a.work.remember(state.Identity{Site: e.Site, ID: state.NewEventID(e.EventID), Import: imported}, first{at: at, clock: seen})
	}
	return a.applyFeatures(e, base)
}

// forgottenAfter is an age at which no lookup asks for an id any more, see package state.
const forgottenAfter = 2*state.DedupWindow + 24*time.Hour

// moveClock moves the site's clock to an event, unless it stands further, and returns it.
func (a *applier) moveClock(e *event.Event, clock int64) int64 {
	ms := e.OccurredAt.UnixMilli()
	if ms <= clock {
		return clock
	}
	if _, ok := a.moved[e.Site]; !ok {
		a.moved[e.Site] = clock
	}
	a.clocks[e.Site] = ms
	return ms
}

// applyFeatures changes the rows that an event changes.
func (a *applier) applyFeatures(e *event.Event, at state.Position) error {
	if feature.FeedsSite(e) {
		site, err := a.work.sites.get(onlinestore.SiteShare{Site: e.Site, Partition: a.partition})
		if err != nil {
			return err
		}
		a.work.sites.change(site, at).Apply(e)
	}
	if feature.FeedsProfile(e) {
		profile, counted, err := a.applyProfile(e, at)
		if err != nil || !counted {
			return err
		}
		if err := a.applyMeetings(e, profile.Met(), at); err != nil {
			return err
		}
	}
	if feature.FeedsItems(e) {
		return a.applyItems(e, at)
	}
	return nil
}

// first looks for an event in the batch, then in the state.
func (a *applier) first(who state.Identity, at state.Position, clock int64) (state.Position, bool, error) {
	if f, ok := a.work.seen[who]; ok {
		return f.at, true, nil
	}
	if at.Before(a.position) {
		return a.recent.FirstAgain(who, clock)
	}
	return a.recent.First(who, clock)
}

// advance moves the position behind a record, whose hash is at.Hash.
func (a *applier) advance(at state.Position) {
	if next := (state.Position{Epoch: at.Epoch, Offset: at.Offset + 1, Hash: at.Hash}); !next.Before(a.position) {
		a.position = next
	}
}

// applyProfile finds the partial of the event's person and applies the event to it. It reports whether features count the
// event.
func (a *applier) applyProfile(e *event.Event, at state.Position) (profile *feature.Profile, counted bool, err error) {
	if e.AnonymousID == "" {
		p, err := a.profile(onlinestore.Partial{Site: e.Site, Kind: onlinestore.KindUser, ID: e.UserID})
		if err != nil {
			return nil, false, err
		}
		return a.applyVisit(e, p, at)
	}
	newest, err := a.newest(browser{e.Site, e.AnonymousID})
	if err != nil {
		return nil, false, err
	}
	partial := onlinestore.Partial{Site: e.Site, Kind: onlinestore.KindBrowser, ID: e.AnonymousID, N: *newest.value}
	p, err := a.profile(partial)
	if err != nil {
		return nil, false, err
	}
	// Another user in the same browser is another person: a partial holds at most one.
	if e.UserID != "" && p.value.UserID != "" && p.value.UserID != e.UserID {
		*a.work.newest.change(newest, at)++
		partial.N = *newest.value
		if p, err = a.profile(partial); err != nil {
			return nil, false, err
		}
	}
	if e.UserID != "" && p.value.UserID == "" {
		link, err := a.work.links.get(onlinestore.Link{Site: e.Site, User: e.UserID, Browser: e.AnonymousID, N: partial.N})
		if err != nil {
			return nil, false, err
		}
		*a.work.links.change(link, at) = e.OccurredAt.UnixMilli()
	}
	if profile, counted, err = a.applyVisit(e, p, at); err != nil {
		return nil, false, err
	}
	// Whoever comes after a logout may be somebody else. The logout itself is the last act of the person before.
	if e.Type == event.Logout {
		*a.work.newest.change(newest, at)++
	}
	return profile, counted, nil
}

// newest returns the newest number of a browser. Of one whose first person was never seen, as of every new visitor, there is
// none, and the state needs not be asked.
func (a *applier) newest(b browser) (*held[int64], error) {
	if h, ok := a.work.newest.recall(b); ok {
		return h, nil
	}
	first, err := a.profile(onlinestore.Partial{Site: b.site, Kind: onlinestore.KindBrowser, ID: b.id})
	if err != nil {
		return nil, err
	}
	if !first.exists() {
		return a.work.newest.begin(b), nil
	}
	return a.work.newest.get(b)
}

func (a *applier) profile(p onlinestore.Partial) (*held[feature.Profile], error) {
	return a.work.profiles.get(p)
}

func (a *applier) applyItems(e *event.Event, at state.Position) error {
	for i := range e.Items {
		item, err := a.item(e.Site, e.Items[i].ItemID)
		if err != nil {
			return err
		}
		a.work.items.change(item, at).Apply(e, &e.Items[i])
	}
	return nil
}

// applyMeetings counts items that were met in one session, for each of the two. Meetings of one item lie together.
func (a *applier) applyMeetings(e *event.Event, met []feature.Meeting, at state.Position) error {
	var item *held[feature.ItemAggregate]
	for i, m := range met {
		if i == 0 || m.Item != met[i-1].Item {
			var err error
			if item, err = a.item(e.Site, m.Item); err != nil {
				return err
			}
		}
		other, err := a.item(e.Site, m.Other)
		if err != nil {
			return err
		}
		a.work.items.change(item, at).Meet(m.Other, e.OccurredAt.UnixMilli())
		a.work.items.change(other, at).Meet(m.Item, e.OccurredAt.UnixMilli())
	}
	return nil
}

func (a *applier) item(site, id string) (*held[feature.ItemAggregate], error) {
	return a.work.items.get(onlinestore.ItemShare{Site: site, Item: id, Partition: a.partition})
}

// full reports whether the batch should be committed before more is applied.
func (a *applier) full() bool {
	return a.work.changes() >= maxWorkRows || a.work.memory.weight >= a.share+max(a.share/4, minWorkBytes)
}

// commit makes the batch and its position true and returns the rows to publish. They stand in the outbox under round,
// unless that is 0: nobody publishes them.
func (a *applier) commit(round uint32) ([]onlinestore.Row, error) {
	batch := a.db.NewBatch()
	defer batch.Discard()
	for site, before := range a.moved {
		batch.Expire(site, before, a.clocks[site])
		batch.SetMeta(clockNote(site), strconv.FormatInt(a.clocks[site], 10))
	}
	rows := a.work.write(batch, round)
	if err := a.db.Commit(batch, a.position); err != nil {
		return nil, err
	}
	for _, who := range a.work.ids {
		f := a.work.seen[who]
		a.recent.Remember(who, f.clock, f.at)
	}
	a.share = a.memory()
	a.work.settle(a.share)
	clear(a.moved)
	return rows, nil
}
