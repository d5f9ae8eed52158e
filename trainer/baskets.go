package trainer

import (
	"strings"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/trainer/eval"
)

// minOrders is how many orders of two or more items a shop needs before carts, of which there are several times more, are no
// longer looked at for what is bought together.
const minOrders = 500

// transaction names an order of a visitor.
type transaction struct {
	visitor int32
	id      string
}

// orders number what is bought: the purchases of one transaction of a visitor, or else of one event.
type orders struct {
	named map[transaction]int32
	count int32
}

// number returns the order of an event; eval.NoOrder for one that is no purchase, or of somebody who allowed no profile.
func (o *orders) number(i *Interaction, visitor int32) int32 {
	if i.Type != event.Purchase || visitor == loneVisit {
		return eval.NoOrder
	}
	name := transaction{visitor, i.TransactionID}
	if number, known := o.named[name]; known && name.id != "" {
		return number
	}
	number := o.count
	o.count++
	if name.id != "" {
		name.id = strings.Clone(name.id)
		o.named[name] = number
	}
	return number
}

// settleOrders chooses what is learnt from as bought together: orders, or the carts of sessions where there are few orders. Orders are
// numbered anew in the order of sessions, because the numbers so far follow that of reading.
func settleOrders(sessions []visitRun) {
	sizes := map[int32]int{}
	large := 0
	for _, s := range sessions {
		for _, number := range s.orders {
			if sizes[number]++; number != eval.NoOrder && sizes[number] == 2 {
				large++
			}
		}
	}
	renumbered := map[int32]int32{eval.NoOrder: eval.NoOrder}
	for at := range sessions {
		s := &sessions[at]
		for i, number := range s.orders {
			if large < minOrders {
				s.orders[i] = eval.NoOrder
				if s.inCart[i] {
					s.orders[i] = int32(at)
				}
				continue
			}
			fresh, known := renumbered[number]
			if !known {
				fresh = int32(len(renumbered) - 1)
				renumbered[number] = fresh
			}
			s.orders[i] = fresh
		}
	}
}
