package feature

import (
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/internal/event"
)

// Bounds of a profile. Each is what serving can use, so that the profile of a robot costs no more than that of a fan.
const (
	MaxInteractions = 50  // the longest history that a sequence model or a "recently viewed" list reads
	MaxSeen         = 500 // items; exact below, above it the oldest go to a filter (Forgotten)
	MaxBought       = 500 // items
	MaxCategories   = 64  // categories with a decayed count
	MaxBrands       = 32  // brands with a decayed count
	MaxPriceBands   = 32  // price bands with a decayed count: four decimal orders are 27
	MaxEventTypes   = 32  // event types with a decayed count; the standard has 16, the rest are a shop's own
	MaxSessionItems = 50  // items of the running session
	MaxSearches     = 10  // last search terms
	MaxMeeting      = 3   // items before one in its session that count as met with it
	MaxEventIDs     = 64  // ids of the last applied events, for requests that wait for one (after_event)
)

// Interaction is something a visitor did with an item, as the event said it.
type Interaction struct {
	ItemID     string
	Type       string
	OccurredAt int64
	Category   string
	Brand      string
	Price      float64
	HasPrice   bool
}

// Profile is what is known of one person in one browser (a partial, see stream). The profiles of one user merge. The zero
// value is a profile of nothing.
type Profile struct {
	UserID       string // the one user of this partial, "" while unknown
	FirstAt      int64  // oldest and newest occurred_at applied
	LastAt       int64
	ReceivedAt   int64 // newest received_at applied
	Events       int64 // events applied
	Interactions []Interaction
	Seen         []Seen    // newest first
	Bought       []Seen    // newest first
	SeenBefore   Forgotten // items that fell out of Seen
	BoughtBefore Forgotten // items that fell out of Bought
	Categories   []Count
	Brands       []Count
	PriceBands   []Count // named as PriceBand says
	EventTypes   []Count
	Searches     []Seen // last search terms, newest first
	Dwell        Dwell
	Session      Session
	Pace         Pace
	Skipped      int64 // events that features did not count because the profile was hot
	// EventIDs are hashes of the last applied event ids, oldest first. 64 bits are enough to recognise one id among 64,
	// and an eighth of the text.
	EventIDs []uint64

	met []Meeting // of the last Apply, see Met
}

// Meeting says that two items were met in one session.
type Meeting struct{ Item, Other string }

// Met returns what the last Apply added to the running session: each new item with the up to MaxMeeting different items
// before it. It is valid until the next Apply.
func (p *Profile) Met() []Meeting { return p.met }

// FeedsProfile reports whether an event may build its visitor's profile: not a robot's, not one whose visitor refused,
// not one without a visitor.
func FeedsProfile(e *event.Event) bool {
	return !e.IsBot && e.Personalized() && (e.AnonymousID != "" || e.UserID != "")
}

// isInteraction reports whether an event of this type, when it names items, belongs into the history of its visitor. A
// shop's own types do; what was merely shown, and what says nothing new about the items, does not.
func isInteraction(kind string) bool {
	switch kind {
	case event.PageView, event.ViewItemList, event.Search, event.BeginCheckout, event.Refund, event.Engage,
		event.Identify, event.Logout, event.ConsentChange:
		return false
	}
	return true
}

// Apply adds an event that FeedsProfile. It keeps texts that event.Reader makes words of, and copies of all others. Events come in the order of their partition; their times may be out of order. It
// reports whether features count the event: one that a hot profile skips (Pace) is known by its id, its user and its times
// alone, and should not count for items either.
func (p *Profile) Apply(e *event.Event) (counted bool) {
	p.met = p.met[:0]
	at, hash := e.OccurredAt.UnixMilli(), xxhash.Sum64String(e.EventID)
	if p.Events == 0 || at < p.FirstAt {
		p.FirstAt = at
	}
	p.LastAt = max(p.LastAt, at)
	p.ReceivedAt = max(p.ReceivedAt, e.ReceivedAt.UnixMilli())
	p.Events++
	if e.UserID != "" && e.UserID != p.UserID {
		p.UserID = strings.Clone(e.UserID)
	}
	if len(p.EventIDs) == MaxEventIDs {
		p.EventIDs = append(p.EventIDs[:0], p.EventIDs[1:]...)
	}
	p.EventIDs = append(p.EventIDs, hash)
	if !p.Pace.admits(e, at, hash) {
		p.Skipped++
		return false
	}
	p.EventTypes = addCount(p.EventTypes, e.Type, once(at), MaxEventTypes, p.LastAt)
	p.Dwell.apply(e, at, p.LastAt)
	if e.Type == event.Search {
		if term := normalTerm(e.SearchTerm); term != "" {
			p.Searches, _ = addSeen(p.Searches, Seen{ItemID: term, At: at}, MaxSearches)
		}
	}
	inSession := p.Session.apply(e, at)
	if isInteraction(e.Type) {
		for i := range e.Items {
			p.applyItem(e, &e.Items[i], at, inSession)
		}
	}
	return true
}

func (p *Profile) applyItem(e *event.Event, item *event.Item, at int64, inSession bool) {
	in := Interaction{ItemID: item.ItemID, Type: e.Type, OccurredAt: at, Category: item.ItemCategory, Brand: item.ItemBrand}
	if item.Price != nil {
		in.Price, in.HasPrice = *item.Price, true
	}
	p.Interactions = addInteraction(p.Interactions, in)
	if e.Type == event.RemoveFromCart {
		return // worth remembering, but no sign of interest
	}
	s := Seen{ItemID: item.ItemID, At: at}
	p.addSeen(s)
	if e.Type == event.Purchase {
		p.addBought(s)
	}
	if item.ItemCategory != "" {
		p.Categories = addCount(p.Categories, item.ItemCategory, once(at), MaxCategories, p.LastAt)
	}
	if item.ItemBrand != "" {
		p.Brands = addCount(p.Brands, item.ItemBrand, once(at), MaxBrands, p.LastAt)
	}
	if band := PriceBand(in.Price); band != "" {
		p.PriceBands = addCount(p.PriceBands, band, once(at), MaxPriceBands, p.LastAt)
	}
	if inSession {
		p.meet(s)
		p.Session.addItem(s)
	}
}

func (p *Profile) addSeen(s Seen) {
	var fell string
	p.Seen, fell = addSeen(p.Seen, s, MaxSeen)
	p.SeenBefore = p.SeenBefore.addItem(fell)
}

func (p *Profile) addBought(s Seen) {
	var fell string
	p.Bought, fell = addSeen(p.Bought, s, MaxBought)
	p.BoughtBefore = p.BoughtBefore.addItem(fell)
}

// HasSeen reports whether the visitor ever met the item: exactly for the last MaxSeen, in the error of Forgotten before.
func (p *Profile) HasSeen(itemID string) bool {
	return hasItem(p.Seen, itemID) || p.SeenBefore.Has(itemID)
}

// HasBought is HasSeen for purchases.
func (p *Profile) HasBought(itemID string) bool {
	return hasItem(p.Bought, itemID) || p.BoughtBefore.Has(itemID)
}

func hasItem(set []Seen, itemID string) bool {
	return slices.ContainsFunc(set, func(s Seen) bool { return s.ItemID == itemID })
}

// meet notes which items came before one that is new to the running session.
func (p *Profile) meet(s Seen) {
	items := p.Session.Items
	if hasItem(items, s.ItemID) {
		return
	}
	first := len(p.met)
	for _, before := range slices.Backward(items) {
		if len(p.met)-first == MaxMeeting {
			return
		}
		known := slices.ContainsFunc(p.met[first:], func(m Meeting) bool { return m.Other == before.ItemID })
		if before.At <= s.At && !known {
			p.met = append(p.met, Meeting{Item: s.ItemID, Other: before.ItemID})
		}
	}
}

// once is the count of one event.
func once(at int64) (d Decayed) {
	d.Add(1, at)
	return d
}

// addInteraction keeps the newest MaxInteractions by time, newest first; of equal times the later call is the newer.
func addInteraction(list []Interaction, in Interaction) []Interaction {
	at := 0
	for at < len(list) && list[at].OccurredAt > in.OccurredAt {
		at++
	}
	if at >= MaxInteractions {
		return list
	}
	list = insert(list, at, in)
	return list[:min(len(list), MaxInteractions)]
}

// HasApplied reports whether the event is among the last MaxEventIDs applied.
func (p *Profile) HasApplied(eventID string) bool {
	return slices.Contains(p.EventIDs, xxhash.Sum64String(eventID))
}

// Merge adds another partial of the same user. The running session is the one that was active last. EventIDs are kept of
// both, so that HasApplied holds for either; so a merged profile is for reading, not for storing.
func (p *Profile) Merge(o *Profile) {
	if o.Events == 0 {
		return
	}
	if p.Events == 0 || o.FirstAt < p.FirstAt {
		p.FirstAt = o.FirstAt
	}
	if o.UserID != "" && (p.UserID == "" || o.LastAt > p.LastAt) {
		p.UserID = o.UserID
	}
	p.LastAt = max(p.LastAt, o.LastAt)
	p.ReceivedAt = max(p.ReceivedAt, o.ReceivedAt)
	p.Events += o.Events
	for _, in := range slices.Backward(o.Interactions) {
		p.Interactions = addInteraction(p.Interactions, in)
	}
	for _, s := range o.Seen {
		p.addSeen(s)
	}
	for _, s := range o.Bought {
		p.addBought(s)
	}
	for _, s := range o.Searches {
		p.Searches, _ = addSeen(p.Searches, s, MaxSearches)
	}
	p.SeenBefore = p.SeenBefore.merge(o.SeenBefore)
	p.BoughtBefore = p.BoughtBefore.merge(o.BoughtBefore)
	p.Categories = addCounts(p.Categories, o.Categories, MaxCategories, p.LastAt)
	p.Brands = addCounts(p.Brands, o.Brands, MaxBrands, p.LastAt)
	p.PriceBands = addCounts(p.PriceBands, o.PriceBands, MaxPriceBands, p.LastAt)
	p.EventTypes = addCounts(p.EventTypes, o.EventTypes, MaxEventTypes, p.LastAt)
	p.Dwell.merge(&o.Dwell, p.LastAt)
	p.Skipped += o.Skipped
	if o.Session.newerThan(&p.Session) {
		p.Session = o.Session.clone()
	}
	p.EventIDs = append(p.EventIDs, o.EventIDs...)
}

// Category is the decayed count of a category at now, 0 where there is none.
func (p *Profile) Category(name string, h HalfLife, now int64) float64 {
	return countOf(p.Categories, name, h, now)
}

// Brand is the decayed count of a brand at now, 0 where there is none.
func (p *Profile) Brand(name string, h HalfLife, now int64) float64 {
	return countOf(p.Brands, name, h, now)
}

// EventType is the decayed count of an event type at now, 0 where there is none.
func (p *Profile) EventType(name string, h HalfLife, now int64) float64 {
	return countOf(p.EventTypes, name, h, now)
}

func countOf(counts []Count, name string, h HalfLife, now int64) float64 {
	at, found := placeOf(counts, name)
	if !found {
		return 0
	}
	return counts[at].Value(h, now)
}
