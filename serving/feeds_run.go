package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/feed"
)

const (
	// feedBatch is how many entries are written at once.
	feedBatch = 1_000
	// maxFeedFaults is how many refused entries a report names.
	maxFeedFaults = 100
	// feedHeartbeat is how often a job says that it is alive.
	feedHeartbeat = 5 * time.Second
)

// FeedReport is what a reading of a feed did.
type FeedReport struct {
	NotModified bool        `json:"not_modified" doc:"The feed has not changed since the last reading, so nothing was done."`
	Entries     int         `json:"entries" doc:"Entries that were read." example:"1200"`
	Accepted    int         `json:"accepted" doc:"Entries that are in force." example:"1198"`
	Unchanged   int         `json:"unchanged" doc:"Of the accepted, those that said nothing new." example:"1150"`
	Rejected    int         `json:"rejected" doc:"Entries that were refused." example:"2"`
	Removed     int         `json:"removed" doc:"Items that the feed has no more, and that were taken away for it." example:"3"`
	Faults      []FeedFault `json:"faults" doc:"Why entries were refused, the first ones."`
}

// FeedFault says why an entry was refused.
type FeedFault struct {
	Entry  int    `json:"entry" doc:"Its place in the feed, counted from 1." example:"17"`
	ItemID string `json:"item_id,omitempty" doc:"The item that it names, where it names one." example:"tent-2p"`
	Detail string `json:"detail" doc:"What is wrong with it." example:"price is \"free\", not an amount with a currency"`
}

// feedRun is one reading of a feed.
type feedRun struct {
	*feeds
	feed     control.Feed
	job      string
	settings FeedSettings
	report   FeedReport

	rows    []json.RawMessage // not written yet
	numbers []int             // of their entries
	ids     []string          // of the items that they name
	before  *roaring.Bitmap   // the live items when the reading began: what came since cannot be in the feed
	seen    *roaring.Bitmap   // the items that the feed has
	told    time.Time         // when the job last said that it is alive
}

// do reads the feed and writes what it says, and then does to the items that it does not have as it is told.
func (r *feedRun) do(ctx context.Context) error {
	r.seen, r.report.Faults = roaring.New(), []FeedFault{}
	r.before = r.catalogue.liveItems(r.feed.Site)
	var known feed.Version
	if err := errors.Join(json.Unmarshal(r.feed.Settings, &r.settings), json.Unmarshal(r.feed.Version, &known)); err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	if !r.feed.RequestedAt.IsZero() {
		known = feed.Version{} // who asks for a run wants one
	}
	body, version, err := r.source.Open(ctx, r.settings.Place, known)
	if errors.Is(err, feed.ErrUnchanged) {
		r.report.NotModified = true
		return nil
	}
	if err != nil {
		return err
	}
	defer body.Close()
	mapping := feed.Mapping(r.settings.Mapping)
	err = feed.Parse(ctx, body, feed.Format(r.settings.Format), func(e *feed.Entry) error { return r.take(ctx, mapping, e) })
	if err == nil {
		err = r.flush(ctx)
	}
	if err == nil {
		err = r.removeMissing(ctx)
	}
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(version)
	if err != nil {
		return fmt.Errorf("note the version of the feed: %w", err)
	}
	return r.control.ReadFeed(ctx, r.feed.Site, r.feed.Name, encoded)
}

// take puts an entry among those that are written next.
func (r *feedRun) take(ctx context.Context, mapping feed.Mapping, e *feed.Entry) error {
	r.report.Entries++
	row, err := mapping.Row(e)
	if err != nil {
		r.fault(FeedFault{Entry: e.Number, Detail: err.Error()})
		r.see([]string{mapping.ID(e)}) // the feed has the item, whatever else is wrong with it
		return nil
	}
	id, _, p := decodeRow(row)
	if p != nil {
		r.fault(FeedFault{Entry: e.Number, ItemID: id, Detail: p.Pointer + " " + p.Detail})
		r.see([]string{id})
		return nil
	}
	r.rows, r.numbers, r.ids = append(r.rows, row), append(r.numbers, e.Number), append(r.ids, id)
	if len(r.rows) < feedBatch {
		return nil
	}
	return r.flush(ctx)
}

func (r *feedRun) fault(f FeedFault) {
	r.report.Rejected++
	if len(r.report.Faults) < maxFeedFaults {
		r.report.Faults = append(r.report.Faults, f)
	}
}

// flush writes what was taken. Rows that say nothing new cost a comparison.
func (r *feedRun) flush(ctx context.Context) error {
	if len(r.rows) == 0 {
		return nil
	}
	report, err := r.catalogue.Upsert(ctx, r.feed.Site, r.rows)
	if err != nil {
		return err
	}
	r.report.Accepted += report.Accepted
	r.report.Unchanged += report.Unchanged
	for _, refused := range report.Rejected {
		r.fault(FeedFault{Entry: r.numbers[refused.Index], ItemID: refused.ItemID, Detail: refused.Pointer + " " + refused.Detail})
	}
	r.see(r.ids)
	r.rows, r.numbers, r.ids = r.rows[:0], r.numbers[:0], r.ids[:0]
	return r.tell(ctx)
}

func (r *feedRun) see(ids []string) {
	for _, row := range r.catalogue.lookup(nil, r.feed.Site, ids) {
		if row != nil {
			r.seen.Add(row.number)
		}
	}
}

// tell says now and then that the job is alive, and how far it is.
func (r *feedRun) tell(ctx context.Context) error {
	if now := r.now(); now.Sub(r.told) < feedHeartbeat {
		return nil
	} else {
		r.told = now
	}
	return r.control.UpdateJob(ctx, r.job, control.JobProgress{Stage: "read", Detail: r.summary()})
}

func (r *feedRun) summary() string {
	if r.report.NotModified {
		return "feed " + r.feed.Name + ": not modified"
	}
	return fmt.Sprintf("feed %s: %d entries, %d rejected, %d changed, %d removed", r.feed.Name, r.report.Entries, r.report.Rejected,
		r.report.Accepted-r.report.Unchanged, r.report.Removed)
}

// removeMissing does to the items of the site that the feed does not have as the settings say, unless they are so many that the feed
// must have been cut.
func (r *feedRun) removeMissing(ctx context.Context) error {
	if r.settings.Missing == "" || r.settings.Missing == missingKeep {
		return nil
	}
	live := r.catalogue.liveItems(r.feed.Site)
	missing := roaring.AndNot(roaring.And(live, r.before), r.seen)
	if r.settings.Missing == missingUnavailable {
		available := r.catalogue.set(r.feed.Site, facet{field: facetAvailable})
		if available == nil {
			return nil
		}
		live, missing = available, roaring.And(missing, available)
	}
	share := float64(missing.GetCardinality()) / max(float64(live.GetCardinality()), 1)
	if share > r.settings.removedShare() && !r.feed.Forced {
		return fmt.Errorf("the feed lacks %d of %d items (%.0f %%), more than max_removed_share allows (%.0f %%): what it has is written, nothing was removed; "+
			"if it is right, run it with force", missing.GetCardinality(), live.GetCardinality(), 100*share, 100*r.settings.removedShare())
	}
	numbers := make([]uint32, feedBatch)
	for it := missing.ManyIterator(); ; {
		n := it.NextMany(numbers)
		if n == 0 {
			return nil
		}
		if err := r.remove(ctx, r.catalogue.numbered(nil, r.feed.Site, numbers[:n])); err != nil {
			return err
		}
	}
}

func (r *feedRun) remove(ctx context.Context, rows []*Row) error {
	changes := make([]change, 0, len(rows))
	for i, row := range rows {
		ch := change{index: i, kind: writeDelete, id: row.ItemID}
		if r.settings.Missing == missingUnavailable {
			ch.kind, ch.patch = writePatch, map[string]json.RawMessage{"available": json.RawMessage("false")}
		}
		changes = append(changes, ch)
	}
	var report UpsertReport
	if err := r.catalogue.write(ctx, r.feed.Site, changes, &report); err != nil {
		return err
	}
	r.report.Removed += report.Accepted
	return r.tell(ctx)
}
