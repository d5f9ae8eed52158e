package serving

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/idtable"
	"github.com/millrace/millrace/internal/onlinestore"
)

// Catalogue is the live catalogue of every site in memory. Its base is the online store, its changes come through the
// items topic (follow.go), and its writers wait until their own change has come back that way (write.go).
type Catalogue struct {
	// writing is held by whoever puts rows in force, for as long as that takes; mu only while it changes what others read.
	writing sync.Mutex

	mu       sync.RWMutex // guards the next five and all below them; rows themselves never change once in force
	sites    map[string]*siteItems
	whole    bool               // see complete
	behind   map[int32]int64    // partitions that are not yet where the log ended at the start -> that end
	reached  map[int32]position // what is applied, and stored as well
	storedIn string             // marker of the online store that has the whole catalogue, as far as this node knows

	// applied is what the online store had of the items topic when the base was read: loadBase writes it, follow reads it.
	applied map[int32]position

	kafka health // of the items topic

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

// siteItems are the rows of one site.
type siteItems struct {
	ids     idtable.Table // the numbers of the items, by which the index has their rows
	index   itemIndex
	arrived []string // the last new items, at most 2 * maxArrivals
	listing listing
	search  textSearch
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
	return c.loadRows(ctx)
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
	return c.sites[site].row(id)
}

// row returns the row of an item, nil where the site has none. The caller holds mu, or writing.
func (s *siteItems) row(id string) *Row {
	if s == nil {
		return nil
	}
	for p := s.ids.Probe(idtable.Hash(id)); ; {
		n := p.Next()
		if n < 0 {
			return nil
		}
		if row := s.index.rows[n]; row.ItemID == id {
			return row
		}
	}
}
