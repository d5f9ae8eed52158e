package serving

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/onlinestore"
)

// Catalogue is the live catalogue of every site in memory. Its base is the online store, its changes come through the
// items topic (follow.go), and its writers wait until their own change has come back that way (write.go).
type Catalogue struct {
	mu       sync.RWMutex // guards the next five and all below them; rows themselves never change once stored
	sites    map[string]*siteItems
	whole    bool               // see complete
	behind   map[int32]int64    // partitions that are not yet where the log ended at the start -> that end
	reached  map[int32]position // what is applied, and stored as well
	storedIn string             // marker of the online store that has the whole catalogue, as far as this node knows

	// applied is what the online store had of the items topic when the base was read: loadBase writes it, follow reads it.
	applied map[int32]position

	// changed is told of every row that comes into force, before its writer is.
	changed func(ctx context.Context, row *Row)

	shared  *sharedTexts
	waiters waiters
	log     Log
	online  OnlineStore
	control Control
	produce Producer
	now     func() time.Time
}

// siteItems are the rows of one site. ids are its keys in order, made when they are asked for.
type siteItems struct {
	rows   map[string]*Row
	ids    []string
	sorted bool

	arrived []string // the last new items, at most 2 * maxArrivals
}

// maxArrivals is how many of a site's last new items are remembered: those of the seconds until trends are read again.
const maxArrivals = 500

// loadBase reads the applied offsets and then every row of the online store, before the topic is followed. The order
// matters as soon as another node writes meanwhile: a row that is newer than the offsets only makes its records come
// again without effect, but a row that is older than the offsets would miss changes for ever. Offsets that were written
// for another store than the one with the marker say nothing: it may lack rows before them.
func (c *Catalogue) loadBase(ctx context.Context, marker string) error {
	c.applied = map[int32]position{}
	err := c.online.Scan(ctx, onlinestore.OffsetPrefix(event.TopicItems), func(stored onlinestore.Row) error {
		_, partition, err := onlinestore.ParseOffsetKey(stored.Key)
		if err != nil {
			return err
		}
		if onlinestore.CompleteFor(stored, marker) {
			c.applied[partition] = position{epoch: stored.Epoch, next: stored.Offset + 1}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read applied offsets of %s: %w", event.TopicItems, err)
	}
	return c.online.Scan(ctx, onlinestore.CatalogPrefix("")[:len("c/")], func(stored onlinestore.Row) error {
		row, err := decodeKept(stored.Value, c.shared)
		if err != nil {
			return fmt.Errorf("read catalogue row %s: %w", stored.Key, err)
		}
		row.at = place{epoch: stored.Epoch, offset: stored.Offset}
		c.mu.Lock()
		defer c.mu.Unlock()
		if current := c.rowLocked(row.Site, row.ItemID); current == nil || current.at.before(row.at) {
			c.store(row)
		}
		return nil
	})
}

// store puts a row in force. The caller holds mu.
func (c *Catalogue) store(row *Row) {
	site := c.sites[row.Site]
	if site == nil {
		site = &siteItems{rows: map[string]*Row{}}
		c.sites[row.Site] = site
	}
	if _, known := site.rows[row.ItemID]; !known {
		site.sorted = false
	}
	site.rows[row.ItemID] = row
}

func (s *siteItems) arrive(id string) {
	if len(s.arrived) == 2*maxArrivals {
		s.arrived = slices.Clone(s.arrived[maxArrivals:])
	}
	s.arrived = append(s.arrived, id)
}

// arrivals are the last new items of a site, in the order in which they came; the list must not be changed.
func (c *Catalogue) arrivals(site string) []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s := c.sites[site]; s != nil {
		return s.arrived[:len(s.arrived):len(s.arrived)]
	}
	return nil
}

// row returns the row of an item, nil where the catalogue has none. Rows are shared: callers only read them.
func (c *Catalogue) row(site, id string) *Row {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.rowLocked(site, id)
}

func (c *Catalogue) rowLocked(site, id string) *Row {
	if s := c.sites[site]; s != nil {
		return s.rows[id]
	}
	return nil
}

// read calls f with a lookup that sees one state of a site's catalogue. f must not call the catalogue.
func (c *Catalogue) read(site string, f func(row func(id string) *Row)) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	rows := map[string]*Row(nil)
	if s := c.sites[site]; s != nil {
		rows = s.rows
	}
	f(func(id string) *Row { return rows[id] })
}

// all calls f with every row of a site in no order, until f returns false.
func (c *Catalogue) all(site string, f func(*Row) bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s := c.sites[site]; s != nil {
		for _, row := range s.rows {
			if !f(row) {
				return
			}
		}
	}
}

// page returns up to limit live rows of a site whose ids come after the id given, in the order of ids, and whether more
// follow.
func (c *Catalogue) page(site, after string, limit int) (rows []*Row, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sites[site]
	if s == nil {
		return nil, false
	}
	if !s.sorted {
		s.ids = s.ids[:0]
		for id := range s.rows {
			s.ids = append(s.ids, id)
		}
		slices.Sort(s.ids)
		s.sorted = true
	}
	start, found := slices.BinarySearch(s.ids, after)
	if found {
		start++
	}
	for _, id := range s.ids[start:] {
		row := s.rows[id]
		if row.Deleted {
			continue
		}
		if len(rows) == limit {
			return rows, true
		}
		rows = append(rows, row)
	}
	return rows, false
}

// siteNames are the sites that have a row.
func (c *Catalogue) siteNames() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	names := make([]string, 0, len(c.sites))
	for name := range c.sites {
		names = append(names, name)
	}
	return names
}

// size is the number of live rows of a site.
func (c *Catalogue) size(site string) (n int) {
	c.all(site, func(row *Row) bool {
		if !row.Deleted {
			n++
		}
		return true
	})
	return n
}
