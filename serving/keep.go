package serving

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
)

const (
	// keepRows is how many rows are put at once when the whole catalogue is: a few hundred bytes each.
	keepRows = 500
	// neighbourPatience is how long a node that starts with an incomplete base, and a log that no longer begins at its
	// begin, waits for another node to fill the base. A node that runs does so within seconds.
	neighbourPatience = 30 * time.Second
)

// complete reports whether the catalogue in memory lacks nothing: it was read from a complete base, or the topic was read
// up to the end that it had when this node began.
func (c *Catalogue) complete() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.whole
}

// keep writes the whole catalogue to a store that was lost, unless another node has done so. Its rows are in every node's
// memory.
func (c *Catalogue) keep(ctx context.Context, log *slog.Logger, at standing) error {
	c.mu.Lock()
	if at.items && c.whole {
		c.storedIn = at.marker
	}
	if !c.whole || c.storedIn == at.marker {
		c.mu.Unlock()
		return nil
	}
	// The positions come first: what is applied later may miss in the rows, and then it is written by itself.
	reached := maps.Clone(c.reached)
	c.mu.Unlock()
	var rows []appliedRow
	for _, site := range c.siteNames() {
		c.all(site, func(row *Row) bool {
			rows = append(rows, appliedRow{row: row, at: row.at})
			return true
		})
	}
	log.InfoContext(ctx, "writing the whole catalogue to the online store", "rows", len(rows))
	for len(rows) > 0 {
		n := min(len(rows), keepRows)
		if err := c.putRows(ctx, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	for partition, p := range reached {
		if err := c.putReached(ctx, partition, p, at.marker); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.storedIn = at.marker
	c.mu.Unlock()
	return nil
}

// putRows writes rows to the online store.
func (c *Catalogue) putRows(ctx context.Context, applied []appliedRow) error {
	rows := make([]onlinestore.Row, 0, len(applied))
	for _, a := range applied {
		value, err := encodeRow(keptRow{CatalogueRow: *a.row.whole(), CreatedAt: a.row.CreatedAt()})
		if err != nil {
			return err
		}
		rows = append(rows, onlinestore.Row{
			Key: onlinestore.CatalogKey(a.row.Site(), a.row.ItemID), Version: itemRowVersion, Epoch: a.at.epoch, Offset: a.at.offset, Value: value,
		})
	}
	return wrap(c.online.Put(ctx, rows), "write catalogue rows to the online store")
}

// putReached says in the store with the marker that it has the rows of a partition up to a position.
func (c *Catalogue) putReached(ctx context.Context, partition int32, at position, marker string) error {
	row := onlinestore.Row{
		Key: onlinestore.OffsetKey(event.TopicItems, partition), Version: itemRowVersion, Epoch: at.epoch, Offset: at.next - 1,
		Value: onlinestore.CompleteValue(marker),
	}
	return wrap(c.online.Put(ctx, []onlinestore.Row{row}), "write the applied offset of "+event.TopicItems)
}

// begin notes where partitions are when this node begins to follow them, and where their log ends.
func (c *Catalogue) begin(starts map[int32]position, ranges map[int32]kafka.OffsetRange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reached, c.behind = maps.Clone(starts), map[int32]int64{}
	for partition, at := range starts {
		if end := ranges[partition].End; at.next < end {
			c.behind[partition] = end
		}
	}
	c.whole = c.whole || len(c.behind) == 0
}

// arrive notes how far a partition is applied and stored. The catalogue is whole when all are where the log ended.
func (c *Catalogue) arrive(partition int32, at position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reached[partition] = at
	if end, behind := c.behind[partition]; behind && at.next >= end {
		if delete(c.behind, partition); len(c.behind) == 0 {
			c.whole = true
		}
	}
}

// loadCatalogue reads the base, waiting for a store that is not up yet. Where the store was lost it waits for a node that
// still has the catalogue, unless the log of the topic has all of it.
func (s *Serving) loadCatalogue(ctx context.Context) error {
	for begun := s.now(); ; {
		whole, err := s.loadOnce(ctx)
		if err == nil && !whole {
			var all bool
			if all, err = s.catalogue.logIsWhole(ctx); err == nil && !all {
				if s.now().Sub(begun) < neighbourPatience {
					err = errFilling
				} else {
					s.log.ErrorContext(ctx, "the catalogue in the online store is incomplete, its log no longer begins at its begin, and "+
						"no other node has it; import the catalogue again")
				}
			}
		}
		if err == nil {
			// A version says how similar items are told. Asked before, it has them taken in once, with nobody to be gentle to.
			s.models.pollAll(ctx, s.sites(ctx))
			err = s.similar.fill(ctx)
		}
		if err == nil {
			s.baseLoaded.Store(true)
			return nil
		}
		s.log.WarnContext(ctx, "the catalogue is not readable from the online store yet; trying again", "error", err)
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// loadOnce reads the base and reports whether it has everything.
func (s *Serving) loadOnce(ctx context.Context) (whole bool, err error) {
	before, err := s.base.look(ctx)
	if err != nil {
		return false, err
	}
	if err := s.catalogue.loadBase(ctx, before.marker); err != nil {
		return false, err
	}
	after, err := s.base.look(ctx)
	if err != nil {
		return false, err
	}
	if before.marker != after.marker {
		return false, errFilling
	}
	if before.items {
		s.catalogue.mu.Lock()
		s.catalogue.whole, s.catalogue.storedIn = true, before.marker
		s.catalogue.mu.Unlock()
	}
	return before.items, nil
}

// logIsWhole reports whether the topic still has every record that was ever written to it.
func (c *Catalogue) logIsWhole(ctx context.Context) (bool, error) {
	ranges, err := c.log.Offsets(ctx, event.TopicItems)
	if err != nil {
		return false, fmt.Errorf("read the begin of %s: %w", event.TopicItems, err)
	}
	for _, r := range ranges {
		if r.Start > 0 {
			return false, nil
		}
	}
	return true, nil
}
