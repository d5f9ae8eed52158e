package trainer

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/trainer/eval"
)

// dataset is the history of a site, ready to be split and fitted. Log.Vocabulary is in alphabetical order, holds the items of
// the catalogue beside those of events, and sessions are in order of their last event, so that neither depends on the order in
// which the lake was read.
type dataset struct {
	log      *eval.Log
	items    map[string]event.CatalogueItem // what is known of an item, by id: its row in the catalogue, else what events said
	traffic  traffic
	snapshot Snapshot
	from, to time.Time // occurred_at of the first and last event that was used
	rows     int64     // events read
	older    Older     // what the window left out
	events   int64     // item interactions kept
	sessions int64     // sessions of two or more interactions
}

// watch is told how a reading goes.
type watch struct {
	admit  func(events int64) error // before it begins; an error ends it
	report func(events int64)       // every progressEvery events
}

// progressEvery is how many events pass between two reports and checks of the context.
const progressEvery = 50_000

// readDataset reads the window of a site: the time before the newest event, not before the wall clock, so that history
// imported long after it happened trains like history of today.
func readDataset(ctx context.Context, cfg Config, source EventSource, watch watch) (*dataset, error) {
	snapshot, err := source.Snapshot(ctx, cfg.Site)
	if err != nil {
		return nil, fmt.Errorf("pin snapshot: %w", err)
	}
	c := newCollector(cfg.Weights)
	var older Older
	if !snapshot.Newest.IsZero() {
		from := snapshot.Newest.Add(-cfg.Window)
		if older, err = source.Older(ctx, cfg.Site, snapshot, from); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		if err := watch.admit(snapshot.Rows - older.Events); err != nil {
			return nil, err
		}
		err = source.Events(ctx, cfg.Site, snapshot, from, func(i *Interaction) error {
			c.add(i)
			if c.traffic.rows%progressEvery == 0 {
				watch.report(c.traffic.rows)
				return ctx.Err()
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
	}
	items := c.heard()
	err = source.Catalogue(ctx, cfg.Site, snapshot, func(row *event.CatalogueItem) error {
		items[row.ItemID] = *row
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	d := c.dataset(items)
	d.snapshot, d.older = snapshot, older
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

// alphabetical returns the items of a vocabulary and of the catalogue in alphabetical order, and the new index of every old
// one.
func alphabetical(v *model.Vocabulary, catalogue map[string]event.CatalogueItem) (*model.Vocabulary, []int32) {
	ids := make([]string, v.Len(), v.Len()+len(catalogue))
	for i := range ids {
		ids[i] = v.ID(int32(i))
	}
	for id := range catalogue {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	sorted := model.NewVocabulary(slices.Compact(ids)...)
	renumbered := make([]int32, v.Len())
	for i := range renumbered {
		renumbered[i], _ = sorted.Index(v.ID(int32(i)))
	}
	return sorted, renumbered
}

// itemsOf lists what is known of a vocabulary's items by index.
func (d *dataset) itemsOf(v *model.Vocabulary) []event.CatalogueItem {
	out := make([]event.CatalogueItem, v.Len())
	for i := range out {
		out[i] = d.items[v.ID(int32(i))]
	}
	return out
}

// part is everything, as what models learn from.
func (d *dataset) part() *eval.Part {
	part := eval.NewPart(d.log.Sessions, d.log.Vocabulary.Len(), d.log.Items)
	part.Orders = d.log.Orders
	return part
}
