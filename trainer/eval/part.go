package eval

import (
	"sync"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
)

// Part is what models may learn from: one part of a log. Everything that has to be made from it first is made once, when
// it is first asked for, and shared by all settings of all models.
type Part struct {
	Sessions *model.Sessions
	NumItems int     // size of the vocabulary
	Items    []Item  // what the catalogue says of each item, by index; nil where nothing is known
	Orders   []int32 // by event of Sessions: the number of the order that it is part of, or NoOrder; nil where no order is known

	source       []int32 // the event of the log that each event is; nil where there is no log
	interactions func() (*model.Interactions, error)
	baskets      func() *model.Sessions
}

// Item is what the catalogue says of one item; every field may be empty.
type Item = event.CatalogueItem

// NewPart makes the part of some sessions; items may be nil.
func NewPart(sessions *model.Sessions, numItems int, items []Item) *Part {
	p := &Part{Sessions: sessions, NumItems: numItems, Items: items}
	p.interactions = sync.OnceValues(func() (*model.Interactions, error) {
		return model.NewInteractions(sessions, numItems)
	})
	p.baskets = sync.OnceValue(p.gather)
	return p
}

// Interactions returns who met what. Several goroutines may ask for it; it must not be changed.
func (p *Part) Interactions() (*model.Interactions, error) { return p.interactions() }

// Baskets returns what was taken together: a session for each order, in the order of their first events, or the sessions
// themselves where no order is known. Several goroutines may ask for it; it must not be changed.
func (p *Part) Baskets() *model.Sessions { return p.baskets() }

func (p *Part) gather() *model.Sessions {
	if p.Orders == nil {
		return p.Sessions
	}
	place := map[int32]int{}
	var orders []model.Session
	for e, order := range p.Orders {
		if order == NoOrder {
			continue
		}
		i, ok := place[order]
		if !ok {
			i = len(orders)
			place[order], orders = i, append(orders, model.Session{User: model.NoUser})
		}
		orders[i].Items = append(orders[i].Items, p.Sessions.Items[e])
		orders[i].Times = append(orders[i].Times, p.Sessions.Times[e])
	}
	out := &model.Sessions{}
	for _, order := range orders {
		out.Add(order)
	}
	return out
}

// Categories lists the categories of each item by index; nil where no item has one.
func (p *Part) Categories() [][]string {
	var out [][]string
	for i, item := range p.Items {
		if len(item.Categories) > 0 && out == nil {
			out = make([][]string, len(p.Items))
		}
		if out != nil {
			out[i] = item.Categories
		}
	}
	return out
}
