package simshop

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/event"
)

// How a planted shopper behaves. A model that sees enough sessions can recover the first four.
const (
	favouriteShare = 0.60 // of a shopper's fresh choices, on the favourite shelf
	secondShare    = 0.20 // on the second one; the other shelves share the rest evenly
	followNext     = 0.50 // chance that the next view is Item.Next
	followGoes     = 0.15 // chance that it is Item.Goes; else a fresh choice by taste
	addToCart      = 0.18 // chance that a viewed article goes into the cart
	checkOut       = 0.60 // chance that a filled cart is bought
	minViews       = 3
	maxViews       = 8
	minDwell       = 4 * time.Second
	maxDwell       = 75 * time.Second
)

// MaxVisit is longer than any visit: each view may bring an addition to the cart, and a purchase two more events.
const MaxVisit = (2*maxViews + 3) * maxDwell

// Shopper is an invented visitor. Taste holds the share of fresh choices by category, in the order of Categories; it
// sums to 1.
type Shopper struct {
	AnonymousID string
	Favourite   string // slug of the shelf with the largest share
	Taste       []float64
}

// Shoppers returns n visitors; the same seed always gives the same ones. Favourites go round the shelves, so that
// every shelf has friends even among few shoppers.
func Shoppers(seed uint64, n int) []Shopper {
	shelves := Categories()
	out := make([]Shopper, n)
	for i := range out {
		rng := random(seed, "shopper", int64(i), 0)
		first := i % len(shelves)
		second := (first + 1 + rng.IntN(len(shelves)-1)) % len(shelves)
		taste := make([]float64, len(shelves))
		for c := range taste {
			taste[c] = (1 - favouriteShare - secondShare) / float64(len(shelves)-2)
		}
		taste[first], taste[second] = favouriteShare, secondShare
		out[i] = Shopper{AnonymousID: fmt.Sprintf("sim-%d-%03d", seed, i), Favourite: shelves[first].Slug, Taste: taste}
	}
	return out
}

// TrueAffinity is the probability that the shopper's next fresh choice is the item; 0 for an unknown item. It is what
// a personal list should rank by.
func (s Shopper) TrueAffinity(itemID string) float64 {
	items := Catalogue()
	i, ok := byID(items)[itemID]
	if !ok {
		return 0
	}
	c := slices.IndexFunc(Categories(), func(c Category) bool { return c.Slug == items[i].Category })
	return s.Taste[c] / float64(len(onShelf(items, items[i].Category)))
}

// TrueNext is the probability that a visit which began at the item from goes on to the item to; 0 for an unknown item.
// It is what a list of what comes next should rank by.
func (s Shopper) TrueNext(from, to string) float64 {
	items := Catalogue()
	i, ok := byID(items)[from]
	if !ok || from == to {
		return 0
	}
	// A fresh choice passes over what has been seen, here only from.
	p := (1 - followNext - followGoes) * s.TrueAffinity(to) / (1 - s.TrueAffinity(from))
	if items[i].Next == to {
		p += followNext
	}
	if items[i].Goes == to {
		p += followGoes
	}
	return p
}

// Session plays one visit that starts at start (UTC, to the millisecond) and returns its events in order. Everything
// follows from the seed, the shopper and the start: the same visit always has the same ids.
func (s Shopper) Session(seed uint64, start time.Time) []event.Event {
	items := Catalogue()
	v := &visit{
		shopper: s, items: items, at: byID(items), seen: make(map[int]bool),
		rng: random(seed, s.AnonymousID, start.UnixMilli(), 1),
		now: start.UTC().Truncate(time.Millisecond),
		id:  fmt.Sprintf("%s-%x", s.AnonymousID, start.UnixMilli()),
	}
	v.add(event.PageView, nil)
	here := v.fresh()
	for range minViews + v.rng.IntN(maxViews-minViews+1) {
		v.seen[here] = true
		v.pause()
		v.add(event.ViewItem, []int{here})
		if v.rng.Float64() < addToCart {
			v.pause()
			v.add(event.AddToCart, []int{here})
			v.cart = append(v.cart, here)
		}
		here = v.onward(here)
	}
	if len(v.cart) > 0 && v.rng.Float64() < checkOut {
		v.pause()
		v.add(event.BeginCheckout, v.cart)
		v.pause()
		v.add(event.Purchase, v.cart)
	}
	return v.events
}

// visit is a session while it is played.
type visit struct {
	shopper Shopper
	items   []Item
	at      map[string]int
	seen    map[int]bool
	cart    []int
	rng     *rand.Rand
	now     time.Time
	id      string
	events  []event.Event
}

func (v *visit) pause() {
	d := minDwell + time.Duration(v.rng.Int64N(int64(maxDwell-minDwell)))
	v.now = v.now.Add(d).Truncate(time.Millisecond)
}

// fresh chooses by taste alone.
func (v *visit) fresh() int {
	p := v.rng.Float64()
	shelf := 0
	for c, share := range v.shopper.Taste {
		shelf = c
		if p -= share; p < 0 {
			break
		}
	}
	on := onShelf(v.items, Categories()[shelf].Slug)
	return on[v.rng.IntN(len(on))]
}

// onward chooses what is looked at after here, avoiding what this visit has already seen.
func (v *visit) onward(here int) int {
	p := v.rng.Float64()
	if next := v.at[v.items[here].Next]; p < followNext && !v.seen[next] {
		return next
	}
	if goes := v.at[v.items[here].Goes]; p >= followNext && p < followNext+followGoes && !v.seen[goes] {
		return goes
	}
	const tries = 8 // enough to leave a shelf that is mostly seen; then a second look is natural
	pick := v.fresh()
	for range tries {
		if !v.seen[pick] {
			break
		}
		pick = v.fresh()
	}
	return pick
}

func (v *visit) add(kind string, which []int) {
	seq := int64(len(v.events))
	e := event.Event{
		EventID:     v.eventID(seq),
		Site:        Site,
		Type:        kind,
		OccurredAt:  v.now,
		AnonymousID: v.shopper.AnonymousID,
		SessionID:   v.id,
		TabID:       v.id,
		Seq:         &seq,
	}
	var value float64
	for _, i := range which {
		e.Items = append(e.Items, asEventItem(v.items[i]))
		value += v.items[i].Price()
	}
	switch kind {
	case event.Purchase:
		e.TransactionID = "order-" + v.id
		fallthrough
	case event.AddToCart, event.BeginCheckout:
		e.Value, e.Currency = &value, Currency
	}
	v.events = append(v.events, e)
}

// eventID is a UUID of version 7 whose random part is a hash of visit and position, so that it sorts by time, packs
// well in the lake, and comes out the same whenever the visit is played again.
func (v *visit) eventID(seq int64) string {
	var id uuid.UUID
	h := fnv.New128a()
	h.Write(fmt.Appendf(nil, "%s/%d", v.id, seq))
	h.Sum(id[:0])
	ms := uint64(v.now.UnixMilli())
	binary.BigEndian.PutUint16(id[:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(ms))
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

func asEventItem(it Item) event.Item {
	price := it.Price()
	return event.Item{ItemID: it.ID, ItemName: it.Name, ItemCategory: it.Category, ItemBrand: it.Brand, Price: &price}
}

// random derives an independent generator for one purpose from the seed.
func random(seed uint64, purpose string, a, b int64) *rand.Rand {
	h := fnv.New64a()
	h.Write(fmt.Appendf(nil, "%s/%d/%d", purpose, a, b))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}
