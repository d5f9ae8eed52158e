package trainer

import (
	"cmp"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
)

// minOrders is how many orders of two or more items a shop needs before carts, of which there are several times more, are no
// longer looked at for what is bought together.
const minOrders = 500

// transaction names an order of a visitor.
type transaction struct {
	visitor int32
	id      string
}

// ordered is an item of the order of a number.
type ordered struct {
	number int32
	item   int32
	at     int64 // Unix milliseconds
}

// orders are what was bought together.
type orders struct {
	named map[transaction]int32
	count int32
	items []ordered
}

// takeOrder notes the items of a purchase: those of one transaction of a visitor, or else of one event.
func (c *collector) takeOrder(i *Interaction, visit int32) {
	if i.Type != event.Purchase || visit == loneVisit {
		return
	}
	o := &c.orders
	number, known := o.count, false
	if i.TransactionID != "" {
		name := transaction{c.visits[visit].visitor, i.TransactionID}
		if number, known = o.named[name]; !known {
			number, name.id = o.count, strings.Clone(name.id)
			o.named[name] = number
		}
	}
	if !known {
		o.count++
	}
	for _, it := range i.Items {
		if item, ok := c.vocab.Index(it.ID); ok {
			o.items = append(o.items, ordered{number, item, i.OccurredAt.UnixMilli()})
		}
	}
}

// takeCart notes what a session laid into a cart or bought.
func (c *collector) takeCart(session []click) {
	cart, purchase := c.viewKind(event.AddToCart), c.viewKind(event.Purchase)
	for _, k := range session {
		if k.kind == cart || k.kind == purchase {
			c.carts.items = append(c.carts.items, ordered{c.carts.count, k.item, k.at})
		}
	}
	c.carts.count++
}

// baskets are the orders of two or more items, or the carts where there are few orders.
func (c *collector) baskets(renumbered []int32) *model.Sessions {
	bought := c.orders.baskets(renumbered)
	if bought.Len() >= minOrders {
		return bought
	}
	return c.carts.baskets(renumbered)
}

// baskets lists orders of two or more items in the order of their time, each item of an order once.
func (o *orders) baskets(renumbered []int32) *model.Sessions {
	for i := range o.items {
		o.items[i].item = renumbered[o.items[i].item]
	}
	slices.SortFunc(o.items, func(a, b ordered) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.item, b.item), cmp.Compare(a.at, b.at))
	})
	o.items = slices.CompactFunc(o.items, func(a, b ordered) bool { return a.number == b.number && a.item == b.item })
	var all [][]ordered
	for from := 0; from < len(o.items); {
		to := from + 1
		for to < len(o.items) && o.items[to].number == o.items[from].number {
			to++
		}
		if to-from > 1 {
			all = append(all, o.items[from:to])
		}
		from = to
	}
	// Numbers follow the order of reading, which must not show.
	slices.SortFunc(all, func(a, b []ordered) int {
		return slices.CompareFunc(a, b, func(a, b ordered) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.item, b.item))
		})
	})
	out := &model.Sessions{}
	for _, basket := range all {
		one := model.Session{User: model.NoUser}
		for _, it := range basket {
			one.Items, one.Times = append(one.Items, it.item), append(one.Times, it.at)
		}
		out.Add(one)
	}
	return out
}
