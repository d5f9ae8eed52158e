package serving

import (
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/feature"
)

// policy is what a placement does with what the visitor knows.
type policy struct {
	seen, bought metPolicy
	dropCurrent  bool // the product shown, the cart, the last item of a session
}

// metPolicy is what a placement does with the items that the visitor has seen, or bought.
type metPolicy struct {
	does string // ItemsShown, ItemsDemoted or ItemsHidden
	days int    // for how long; 0 is for ever
}

// policyOf is the policy of a kind of placement under its settings. Lists that show facts (popular, trending, recent) leave nothing
// out by themselves.
func policyOf(kind string, settings *Settings) policy {
	p := policy{seen: metPolicy{does: ItemsShown}, bought: metPolicy{does: ItemsShown}}
	switch kind {
	case control.KindHome:
		p.seen.does, p.bought.does = ItemsDemoted, ItemsHidden
	case control.KindExplore:
		p.seen.does, p.bought.does = ItemsHidden, ItemsHidden
	case control.KindSession, control.KindItem, control.KindCart:
		p.bought.does, p.dropCurrent = ItemsHidden, true
	}
	p.seen.days, p.bought.days = settings.SeenDays, settings.BoughtDays
	if settings.Seen != "" {
		p.seen.does = settings.Seen
	}
	if settings.Bought != "" {
		p.bought.does = settings.Bought
	}
	return p
}

// remember puts what the visitor has met, and the placement cares for, into the tables that the stages look it up in.
func (q *query) remember() {
	p := &q.visitor.profile
	q.rememberMet(&q.mem.seen, p.Seen, q.policy.seen)
	q.rememberMet(&q.mem.bought, p.Bought, q.policy.bought)
}

func (q *query) rememberMet(met *idTable, items []feature.Seen, policy metPolicy) {
	if policy.does == ItemsShown {
		return
	}
	for i := range items { // newest first
		if policy.days > 0 && items[i].At < q.now.Add(-time.Duration(policy.days)*24*time.Hour).UnixMilli() {
			return
		}
		met.put(items[i].ItemID)
		if policy.does == ItemsDemoted {
			q.mem.demoted.put(items[i].ItemID)
		}
	}
}

// hides reports whether an item is left out because it was met: lately, or where that is for ever among those that fell out of the
// exact list.
func (p metPolicy) hides(met *idTable, before feature.Forgotten, id string) bool {
	return p.does == ItemsHidden && (met.has(id) || p.days == 0 && len(before) > 0 && before.Has(id))
}

// caps counts the categories and brands of the items that are shown.
type caps struct {
	categories, brands capCount
}

// capCount counts the items of a list by a name of theirs.
type capCount struct {
	names idTable
	items []int // by number of the name
}

func newCaps() caps { return caps{capCount{names: newIDTable()}, capCount{names: newIDTable()}} }

func (c *caps) reset() {
	for _, counts := range []*capCount{&c.categories, &c.brands} {
		counts.names.reset()
		counts.items = counts.items[:0]
	}
}

// full reports whether the list has as many items of a category of the item, or of its brand, as the settings allow.
func (c *caps) full(q *query, id string, row *Row) bool {
	if limit := q.settings.MaxPerBrand; limit > 0 && c.brands.of(brandOf(row, q.trends.items[id])) >= limit {
		return true
	}
	if limit := q.settings.MaxPerCategory; limit > 0 {
		for _, category := range categoriesOf(row, q.trends.items[id]) {
			if c.categories.of(category) >= limit {
				return true
			}
		}
	}
	return false
}

// count takes an item that is shown.
func (c *caps) count(q *query, id string, row *Row) {
	if q.settings.MaxPerBrand > 0 {
		c.brands.add(brandOf(row, q.trends.items[id]))
	}
	if q.settings.MaxPerCategory > 0 {
		for _, category := range categoriesOf(row, q.trends.items[id]) {
			c.categories.add(category)
		}
	}
}

// of is how many items have a name; those without one are never too many.
func (c *capCount) of(name string) int {
	if number, ok := c.names.number(name); ok && name != "" {
		return c.items[number]
	}
	return 0
}

func (c *capCount) add(name string) {
	number, added := c.names.put(name)
	if added {
		c.items = append(c.items, 0)
	}
	c.items[number]++
}

// brandOf is an item's brand: that of the catalogue, else the one that events named.
func brandOf(row *Row, it *said) string {
	switch {
	case row != nil && row.Brand != "":
		return row.Brand
	case it != nil:
		return it.brand
	}
	return ""
}
