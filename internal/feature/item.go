package feature

import (
	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/internal/event"
)

// MaxPartners is how many other items an item counts as met in the same session: what a list of ten can use, and as many
// again for those that are not available.
const MaxPartners = 20

// Text is what events last said about an item in one respect.
type Text struct {
	Value string // "" while nobody said anything
	At    int64
}

// say keeps the word of the latest event; of equal times the greater text, so that the order of calls does not matter.
func (t *Text) say(value string, at int64) {
	if value == "" || (t.Value != "" && (at < t.At || at == t.At && value <= t.Value)) {
		return
	}
	*t = Text{Value: value, At: at}
}

// Number is like Text for a price.
type Number struct {
	Value float64
	At    int64
	Known bool
}

func (n *Number) say(value float64, at int64) {
	if n.Known && (at < n.At || at == n.At && value <= n.Value) {
		return
	}
	*n = Number{Value: value, At: at, Known: true}
}

// ItemAggregate is what happened to one item, as far as one partition knows. The aggregates of an item merge; none is
// ever complete alone, because events are partitioned by visitor. The zero value is an item nobody met.
type ItemAggregate struct {
	FirstAt int64 // oldest and newest occurred_at of an event that named the item
	LastAt  int64
	Events  int64 // events that named the item, of any type

	Views       Decayed // view_item
	Clicks      Decayed // select_item
	Carts       Decayed // add_to_cart
	Purchases   Decayed // purchase
	Impressions Decayed // view_item_list

	Placements []Placement // sorted by name
	Visitors   Visitors    // distinct visitors with interest, see Interest
	Partners   Top         // items met in the same session, see Profile.Met

	Name     Text
	Category Text
	Brand    Text
	Price    Number
}

// FeedsItems reports whether an event counts for its items: every one but a robot's. It needs no visitor.
func FeedsItems(e *event.Event) bool { return !e.IsBot && len(e.Items) > 0 }

// Apply counts one item of an event that FeedsItems.
func (a *ItemAggregate) Apply(e *event.Event, item *event.Item) {
	at := e.OccurredAt.UnixMilli()
	if a.Events == 0 || at < a.FirstAt {
		a.FirstAt = at
	}
	a.LastAt = max(a.LastAt, at)
	a.Events++
	if d := a.counter(e.Type); d != nil {
		d.Add(1, at)
		if e.Type != event.ViewItemList {
			a.applyVisitor(e)
		}
	}
	a.applyPlacement(e, item, at)
	a.Name.say(item.ItemName, at)
	a.Category.say(item.ItemCategory, at)
	a.Brand.say(item.ItemBrand, at)
	if item.Price != nil {
		a.Price.say(*item.Price, at)
	}
}

// applyVisitor counts who acted, the browser if known. Nobody is counted for those who refused.
func (a *ItemAggregate) applyVisitor(e *event.Event) {
	switch {
	case !e.Personalized():
	case e.AnonymousID != "":
		a.Visitors.add(xxhash.Sum64String(e.AnonymousID))
	case e.UserID != "":
		a.Visitors.add(xxhash.Sum64String(e.UserID))
	}
}

// Meet counts another item that was met in the same session.
func (a *ItemAggregate) Meet(itemID string, at int64) {
	a.Partners = a.Partners.add(itemID, once(at), MaxPartners, Fortnight, max(a.LastAt, at))
}

func (a *ItemAggregate) counter(kind string) *Decayed {
	switch kind {
	case event.ViewItem:
		return &a.Views
	case event.SelectItem:
		return &a.Clicks
	case event.AddToCart:
		return &a.Carts
	case event.Purchase:
		return &a.Purchases
	case event.ViewItemList:
		return &a.Impressions
	}
	return nil
}

// Merge adds the aggregate of the same item from another partition.
func (a *ItemAggregate) Merge(o *ItemAggregate) {
	if a.Events == 0 || o.Events > 0 && o.FirstAt < a.FirstAt {
		a.FirstAt = o.FirstAt
	}
	a.LastAt = max(a.LastAt, o.LastAt)
	a.Events += o.Events
	a.Views.Merge(o.Views)
	a.Clicks.Merge(o.Clicks)
	a.Carts.Merge(o.Carts)
	a.Purchases.Merge(o.Purchases)
	a.Impressions.Merge(o.Impressions)
	for i := range o.Placements {
		a.Placements = addPlacement(a.Placements, &o.Placements[i], a.LastAt)
	}
	a.Visitors.merge(&o.Visitors)
	a.Partners = a.Partners.merge(o.Partners, MaxPartners, Fortnight, a.LastAt)
	a.Name.say(o.Name.Value, o.Name.At)
	a.Category.say(o.Category.Value, o.Category.At)
	a.Brand.say(o.Brand.Value, o.Brand.At)
	if o.Price.Known {
		a.Price.say(o.Price.Value, o.Price.At)
	}
}

// Interest is everything a visitor did on purpose with the item: views, clicks, carts and purchases, each as one.
func (a *ItemAggregate) Interest() Decayed {
	sum := a.Views
	sum.Merge(a.Clicks)
	sum.Merge(a.Carts)
	sum.Merge(a.Purchases)
	return sum
}

// trendPrior is added to the slow rate, in events per day: without it the first event of a new item would be an infinite
// trend, with it an item needs a few events to overtake one that is asked for every day.
const trendPrior = 1.0

// Trend compares today's interest with that of the last weeks: the rate at the half-life of a day over the rate at that
// of a fortnight plus trendPrior. It is 0 without interest, near 1 for a steady item, above 1 for a rising one.
func (a *ItemAggregate) Trend(now int64) float64 { return trend(a.Interest(), now) }

func trend(interest Decayed, now int64) float64 {
	return interest.Rate(Day, now) / (interest.Rate(Fortnight, now) + trendPrior)
}
