package feature

import (
	"cmp"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/event"
)

// MaxPlacements is how many placements an item remembers; a shop shows an item in fewer.
const MaxPlacements = 8

// Placement is how an item did in one placement. Examined is the impressions that a visitor probably looked at: the
// position-based model (Craswell et al. 2008; Joachims, Swaminathan and Schnabel 2017) says that a click needs a look, that
// whether one looks depends on the position alone, and that whether one clicks then on the item alone. So clicks over
// examined impressions (the clicks over expected clicks of Zhang and Jones 2007) is the item's click-through rate freed
// from where it was shown.
type Placement struct {
	Name        string
	Impressions Decayed // view_item_list with this rec.placement
	Examined    Decayed // the same, each weighed with Propensity of its position
	Clicks      Decayed // select_item
}

// Propensity is the probability that a visitor looks at a position, relative to the first: 1 / log2(position + 2), the
// discount of DCG (Järvelin and Kekäläinen 2002). It is fixed, not estimated: an estimate needs lists shown in random order.
func Propensity(position int32) float64 {
	if position <= 0 {
		return 1
	}
	return 1 / math.Log2(float64(position)+2)
}

// minExamined is what must be left of examined impressions for a rate. Less is an impression so long ago that a click over it
// would be beyond any number.
const minExamined = 1e-6

// CTR is clicks over examined impressions at now, 0 where nothing was shown or minExamined is not left of it. It is above 1
// where clicks arrived whose impressions did not.
func (p *Placement) CTR(h HalfLife, now int64) float64 {
	examined := p.Examined.Value(h, now)
	if examined < minExamined {
		return 0
	}
	return p.Clicks.Value(h, now) / examined
}

func (p *Placement) merge(o *Placement) {
	p.Impressions.Merge(o.Impressions)
	p.Examined.Merge(o.Examined)
	p.Clicks.Merge(o.Clicks)
}

// shownAt is where an item of an event was shown: what the item says, else what rec says of the only item, else its place
// among the event's items.
func shownAt(e *event.Event, item *event.Item) int32 {
	if item.Index != nil {
		return *item.Index
	}
	if len(e.Items) == 1 && e.Rec.Index != nil {
		return *e.Rec.Index
	}
	for i := range e.Items {
		if &e.Items[i] == item {
			return int32(i)
		}
	}
	return 0
}

// applyPlacement counts an impression or a click in the placement that the event names.
func (a *ItemAggregate) applyPlacement(e *event.Event, item *event.Item, at int64) {
	if e.Rec == nil || e.Rec.Placement == "" {
		return
	}
	p := Placement{Name: e.Rec.Placement}
	switch e.Type {
	case event.ViewItemList:
		p.Impressions = once(at)
		p.Examined.Add(Propensity(shownAt(e, item)), at)
	case event.SelectItem:
		p.Clicks = once(at)
	default:
		return
	}
	a.Placements = addPlacement(a.Placements, &p, a.LastAt)
}

// addPlacement adds to a list sorted by name. Beyond MaxPlacements the one with the fewest impressions goes, the last by
// name among equals.
func addPlacement(list []Placement, p *Placement, now int64) []Placement {
	at, found := slices.BinarySearchFunc(list, p.Name, func(p Placement, name string) int { return cmp.Compare(p.Name, name) })
	if found {
		list[at].merge(p)
		return list
	}
	list = slices.Insert(list, at, *p)
	if len(list) <= MaxPlacements {
		return list
	}
	fewest := 0
	for i := range list {
		if list[i].Impressions.Value(Fortnight, now) <= list[fewest].Impressions.Value(Fortnight, now) {
			fewest = i
		}
	}
	return slices.Delete(list, fewest, fewest+1)
}
