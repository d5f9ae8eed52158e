package stream

import (
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
	tables   []changedRows // all of them, in the order of their rows' keys
	seen     map[state.Identity]first
	ids      []state.Identity // of seen, as they came
	timers   []state.Timer    // of sessions, set in this batch
}

// changedRows is what a batch asks of every table.
type changedRows interface {
	count() int
	sort()
	announce(batch *state.Batch, round uint32)
	flush(batch *state.Batch, rows []onlinestore.Row) []onlinestore.Row
	age()
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
	w.tables = []changedRows{w.items, w.links, w.newest, w.profiles, w.sites}
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

// remember keeps in the batch where an event stood first.
func (w *work) remember(who state.Identity, f first) {
	w.seen[who] = f
	w.ids = append(w.ids, who)
}

// changes is how many rows the batch changes.
func (w *work) changes() (n int) {
	for _, t := range w.tables {
		n += t.count()
	}
	return n
}

// write puts the changed rows and event ids into a batch of the state, and the rows into the outbox under round unless that
// is 0. It returns the rows in the order of keys. That is about the order in which all of it lies in the database, too:
// inserting each key beside the one before is a fraction of the work of finding its place.
func (w *work) write(batch *state.Batch, round uint32) []onlinestore.Row {
	for _, t := range w.tables {
		t.sort()
		if round > 0 {
			t.announce(batch, round)
		}
	}
	rows := make([]onlinestore.Row, 0, w.changes())
	for _, t := range w.tables {
		rows = t.flush(batch, rows)
	}
	for _, who := range w.ids {
		f := w.seen[who]
		batch.Remember(who, f.clock, f.at)
	}
	for _, t := range w.timers {
		batch.SetTimer(t)
	}
	return rows
}

// settle forgets what belonged to the batch, and rows when the young ones weigh more than a number of bytes.
func (w *work) settle(bytes int) {
	clear(w.seen)
	w.ids = w.ids[:0]
	w.timers = w.timers[:0]
	if w.memory.weight <= bytes {
		return
	}
	for _, t := range w.tables {
		t.age()
	}
	w.memory.weight = 0
}
