// Package erasure decides what belongs to people who asked to be erased. It knows them by keyed hashes alone: the ledger can
// be kept for ever, because nobody without the key can tell from it who was in it, and it filters whatever comes back later
// (a late event, an import, a restored copy) by the same rule that erased the rest.
//
// The rule. A row belongs to an erased person if it happened no later than the erasure and
//   - names the user,
//   - or comes from a browser in which the user was seen, and names no user at all,
//   - or comes from a browser that was itself erased, whomever it names,
//   - or names neither, but a session of the person (lists served to a session alone).
//
// So what another user did in a shared browser stays, and whoever comes back after the erasure is somebody new. Times of an
// import without times only order its rows: such rows belong to the person whenever they say they happened.
package erasure

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"math"
	"slices"
	"sync"
	"time"
)

// Kind says what an entry of the ledger identifies, and which rows that covers.
type Kind string

// The kinds of entries. KindLinked and KindBrowser are both about a browser.
const (
	KindUser    Kind = "user"    // rows that name the user
	KindLinked  Kind = "linked"  // rows of a browser in which the user was seen, that name no user
	KindBrowser Kind = "browser" // all rows of a browser that was erased itself
	KindSession Kind = "session" // rows that name this session, and neither user nor browser
)

// Hash identifies somebody by an HMAC-SHA-256 of kind, site and id.
type Hash [sha256.Size]byte

// Entry says that rows of an identity that happened no later than Until are erased.
type Entry struct {
	Site    string
	Kind    Kind
	Hash    Hash
	Until   time.Time
	Erasure string // id of the erasure that it came with
}

// Row is what is asked about: whom a row names, and when it happened. Empty ids are not named.
type Row struct {
	Site, User, Browser, Session string
	At                           int64 // Unix milliseconds
	Timeless                     bool  // At only orders rows
}

// Ledger holds entries for lookups. It never changes; a nil one is empty. It is safe for concurrent use.
type Ledger struct {
	key      Key
	sequence int64
	entries  []Entry
	sites    map[string]int64 // site -> newest Until of its entries, Unix milliseconds
	until    map[Hash]int64
	macs     sync.Pool // of hash.Hash
}

// NewLedger holds entries whose hashes were made with the key. sequence counts the changes of the ledger that they are the
// outcome of.
func NewLedger(key Key, sequence int64, entries []Entry) *Ledger {
	l := &Ledger{key: key, sequence: sequence, entries: entries, sites: make(map[string]int64), until: make(map[Hash]int64, len(entries))}
	l.macs.New = func() any { return hmac.New(sha256.New, key[:]) }
	for _, e := range entries {
		until := e.Until.UnixMilli()
		if before, ok := l.until[e.Hash]; !ok || until > before {
			l.until[e.Hash] = until
		}
		if before, ok := l.sites[e.Site]; !ok || until > before {
			l.sites[e.Site] = until
		}
	}
	return l
}

// Sequence counts the changes that the ledger has seen: of two, the larger one knows everything that the other knows.
func (l *Ledger) Sequence() int64 {
	if l == nil {
		return 0
	}
	return l.sequence
}

// Entries are those that the ledger was made of. They are shared: callers only read them.
func (l *Ledger) Entries() []Entry {
	if l == nil {
		return nil
	}
	return l.entries
}

// Key is what the ledger's hashes were made with.
func (l *Ledger) Key() Key { return l.key }

// Hash is how the ledger knows an identity.
func (l *Ledger) Hash(kind Kind, site, id string) (h Hash) {
	mac, _ := l.macs.Get().(hash.Hash)
	mac.Reset()
	appendTo(mac, kind, site, id)
	mac.Sum(h[:0])
	l.macs.Put(mac)
	return h
}

// Covers reports whether a row belongs to somebody erased. A row that happened after all erasures of its site costs one
// lookup and no hash, which is every row that comes from a live shop.
func (l *Ledger) Covers(r Row) bool {
	if l == nil {
		return false
	}
	newest, ok := l.sites[r.Site]
	if !ok || !r.Timeless && r.At > newest {
		return false
	}
	until, covered := l.Until(r)
	return covered && (r.Timeless || r.At <= until)
}

// Until is up to when rows that name the same as this one are covered, in Unix milliseconds; covered is false where they never
// are. Its time does not count.
func (l *Ledger) Until(r Row) (until int64, covered bool) {
	if l == nil {
		return 0, false
	}
	look := func(kind Kind, id string) {
		if at, ok := l.until[l.Hash(kind, r.Site, id)]; ok && (!covered || at > until) {
			until, covered = at, true
		}
	}
	switch {
	case r.User != "":
		look(KindUser, r.User)
		if r.Browser != "" {
			look(KindBrowser, r.Browser)
		}
	case r.Browser != "":
		look(KindBrowser, r.Browser)
		look(KindLinked, r.Browser)
	case r.Session != "":
		look(KindSession, r.Session)
	}
	return until, covered
}

// CoveredBy lists the erasures for which the ledger covers an identity at a time, in Unix milliseconds.
func (l *Ledger) CoveredBy(kind Kind, site, id string, at int64) (erasures []string) {
	if l == nil {
		return nil
	}
	h := l.Hash(kind, site, id)
	for _, e := range l.entries {
		if e.Hash == h && at <= e.Until.UnixMilli() {
			erasures = append(erasures, e.Erasure)
		}
	}
	return erasures
}

// NewLinks lists the erasures whose user a row names in a browser that they do not know to be the user's: what the browser did
// before under no name is theirs, too.
func (l *Ledger) NewLinks(r Row) (erasures []string) {
	if l == nil || r.User == "" || r.Browser == "" {
		return nil
	}
	at := r.At
	if r.Timeless {
		at = math.MinInt64
	}
	for _, id := range l.CoveredBy(KindUser, r.Site, r.User, at) {
		if !slices.Contains(l.CoveredBy(KindLinked, r.Site, r.Browser, at), id) {
			erasures = append(erasures, id)
		}
	}
	return erasures
}

// Stops reports whether a row should not be written into the log at all: it belongs to somebody erased and says nothing new.
// Where it does, the stream hears of it and leaves it out.
func (l *Ledger) Stops(r Row) bool { return l.Covers(r) && len(l.NewLinks(r)) == 0 }

// Of is the part of the ledger that belongs to some erasures.
func (l *Ledger) Of(wanted func(erasure string) bool) *Ledger {
	if l == nil {
		return nil
	}
	var entries []Entry
	for _, e := range l.entries {
		if wanted(e.Erasure) {
			entries = append(entries, e)
		}
	}
	return NewLedger(l.key, l.sequence, entries)
}
