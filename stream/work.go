package stream

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// work is the rows that a batch touches, each encoded and written once however many events change it. Rows in the state
// have the keys and the encoding of the online store, so that publishing is copying.
type work struct {
	memory   rowMemory
	profiles *table[onlinestore.Partial, feature.Profile]
	items    *table[onlinestore.ItemShare, feature.ItemAggregate]
	sites    *table[onlinestore.SiteShare, feature.SiteAggregate]
	newest   *table[browser, int64]
	links    *table[onlinestore.Link, int64]
	seen     map[state.Identity]first // remembered in this batch
	timers   []state.Timer            // of sessions, set in this batch
	scratch  []byte
}

// browser is one browser of a site.
type browser struct{ site, id string }

func (b browser) key() string { return onlinestore.NewestKey(b.site, b.id) }

// first is where an event stood first, and its site's clock then.
type first struct {
	at    state.Position
	clock int64
}

func newWork(db *state.DB) *work {
	w := &work{memory: rowMemory{db: db}, seen: make(map[state.Identity]first)}
	w.profiles = newTable(&w.memory, onlinestore.ProfileKey, ownPartial, feature.DecodeProfile, (*feature.Profile).Encode)
	w.items = newTable(&w.memory, onlinestore.ItemKey, same, feature.DecodeItemAggregate, (*feature.ItemAggregate).Encode)
	w.sites = newTable(&w.memory, onlinestore.SiteKey, same, feature.DecodeSiteAggregate, (*feature.SiteAggregate).Encode)
	w.newest = newTable(&w.memory, browser.key, ownBrowser, decodeNewest,
		func(n *int64, b []byte) []byte { return append(b, onlinestore.NewestValue(*n)...) })
	w.links = newTable(&w.memory, onlinestore.LinkKey, ownLink, decodeLink,
		func(at *int64, b []byte) []byte { return append(b, onlinestore.LinkValue(*at)...) })
	return w
}

// Sites and items are words (event.Reader), which may be kept.

func same[K any](k K) K { return k }

func ownPartial(p onlinestore.Partial) onlinestore.Partial {
	p.ID = strings.Clone(p.ID)
	return p
}

func ownBrowser(b browser) browser { return browser{b.site, strings.Clone(b.id)} }

func ownLink(l onlinestore.Link) onlinestore.Link {
	l.User, l.Browser = strings.Clone(l.User), strings.Clone(l.Browser)
	return l
}

func decodeNewest(b []byte) (*int64, error) {
	n, err := onlinestore.ParseNewestValue(b)
	return &n, err
}

func decodeLink(b []byte) (*int64, error) {
	at, err := onlinestore.ParseLinkValue(b)
	return &at, err
}

// changes is how many rows the batch changes.
func (w *work) changes() int {
	return len(w.profiles.changed) + len(w.items.changed) + len(w.sites.changed) + len(w.newest.changed) + len(w.links.changed)
}

// write puts the changed rows and event ids into a batch of the state, and the rows into the outbox under round unless that
// is 0. It returns the rows in the order of keys.
func (w *work) write(batch *state.Batch, round uint32) []onlinestore.Row {
	for who, f := range w.seen {
		batch.Remember(who, f.clock, f.at)
	}
	for _, t := range w.timers {
		batch.SetTimer(t)
	}
	rows := make([]onlinestore.Row, 0, w.changes())
	add := func(row onlinestore.Row, stored []byte, named bool) {
		rows = append(rows, row)
		batch.Set(row.Key, stored)
		if round > 0 && !named {
			batch.Outbox(round, row.Key)
		}
	}
	w.scratch = w.profiles.flush(round, w.scratch, add)
	w.scratch = w.items.flush(round, w.scratch, add)
	w.scratch = w.sites.flush(round, w.scratch, add)
	w.scratch = w.newest.flush(round, w.scratch, add)
	w.scratch = w.links.flush(round, w.scratch, add)
	slices.SortFunc(rows, func(a, b onlinestore.Row) int { return strings.Compare(a.Key, b.Key) })
	return rows
}

// settle forgets what belonged to the batch, and rows when the young ones weigh more than a number of bytes.
func (w *work) settle(bytes int) {
	clear(w.seen)
	w.timers = w.timers[:0]
	if w.memory.weight <= bytes {
		return
	}
	w.profiles.age()
	w.items.age()
	w.sites.age()
	w.newest.age()
	w.links.age()
	w.memory.weight = 0
}
