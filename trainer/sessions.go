package trainer

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/trainer/eval"
)

// maxSession is how many clicks a session has at most. Of people hardly any has a tenth of it; a program that sends one session id for
// ever would otherwise make a session whose every click is asked with all clicks before it.
const maxSession = 1000

// visitRun is one session: a run of clicks.
type visitRun struct {
	clicks []click
	weight []float32 // by click: of the weightiest thing that the session did with the item
	orders []int32   // by click: the order that the item was bought in; eval.NoOrder for none
	inCart []bool    // by click: the item was laid into the cart, or bought
	visit  int32
}

func (v visitRun) end() int64 { return v.clicks[len(v.clicks)-1].at }

// dataset orders everything: clicks by visit and time, sessions by their last event, items by id.
func (c *collector) dataset(items map[string]event.CatalogueItem) *dataset {
	slices.SortFunc(c.clicks, func(a, b click) int {
		return cmp.Or(cmp.Compare(a.visit, b.visit), cmp.Compare(a.at, b.at), cmp.Compare(a.sequence, b.sequence),
			cmp.Compare(a.place, b.place), cmp.Compare(a.item, b.item))
	})
	sessions := c.sessions()
	vocabulary, renumbered := alphabetical(c.vocab, items)
	log := &eval.Log{Vocabulary: vocabulary, Sessions: &model.Sessions{}, Logical: c.logical, Rows: int(c.traffic.rows)}
	slices.SortFunc(sessions, func(a, b visitRun) int {
		first, other := a.clicks[0], b.clicks[0]
		return cmp.Or(cmp.Compare(a.end(), b.end()), strings.Compare(c.nameOf(a), c.nameOf(b)), cmp.Compare(first.at, other.at),
			cmp.Compare(renumbered[first.item], renumbered[other.item]), cmp.Compare(a.weight[0], b.weight[0]))
	})
	settleOrders(sessions)
	d := &dataset{log: log, items: items, rows: c.traffic.rows, traffic: c.traffic}
	visitors := map[int32]int32{} // numbered anew, in the order of their first session
	var one model.Session
	for _, s := range sessions {
		one = model.Session{Items: one.Items[:0], Times: one.Times[:0], Weights: s.weight, User: model.NoUser}
		for _, k := range s.clicks {
			one.Items, one.Times = append(one.Items, renumbered[k.item]), append(one.Times, k.at)
		}
		if s.visit != loneVisit {
			v := &c.visits[s.visit]
			user, known := visitors[v.visitor]
			if !known {
				user = int32(len(visitors))
				visitors[v.visitor] = user
			}
			one.User, one.Segment = user, v.device
		}
		log.Sessions.Add(one)
		log.Orders = append(log.Orders, s.orders...)
		if len(one.Items) > 1 {
			d.sessions++
		}
	}
	d.events = int64(log.Sessions.Events())
	d.from, d.to = log.First(), log.Last()
	log.Items = d.itemsOf(vocabulary)
	return d
}

func (c *collector) nameOf(s visitRun) string {
	if s.visit == loneVisit {
		return ""
	}
	return c.visits[s.visit].name
}

// sessions cuts the ordered clicks into sessions: a given session id wins, else the one session rule decides; none is longer than
// maxSession.
func (c *collector) sessions() []visitRun {
	rule := event.DefaultSessionRule()
	var out []visitRun
	for from := 0; from < len(c.clicks); {
		number, to := c.clicks[from].visit, from+1
		for to < len(c.clicks) && c.clicks[to].visit == number && to-from < maxSession {
			start, last, next := c.clicks[from].at, c.clicks[to-1].at, c.clicks[to].at
			if number == loneVisit || !c.visits[number].given && !rule.Continues(time.UnixMilli(start), time.UnixMilli(last), time.UnixMilli(next)) {
				break
			}
			to++
		}
		out = append(out, c.session(c.clicks[from:to]))
		from = to
	}
	return out
}

// session takes the clicks of one session, in their order, and takes their memory.
func (c *collector) session(clicks []click) visitRun {
	s := visitRun{clicks: clicks[:0], visit: clicks[0].visit, weight: make([]float32, 0, len(clicks))}
	for _, k := range clicks {
		at := c.repeats(s.clicks, k)
		if at < 0 {
			at = len(s.clicks)
			s.clicks = append(s.clicks, k) // never ahead of the reader
			s.weight, s.orders, s.inCart = append(s.weight, 0), append(s.orders, eval.NoOrder), append(s.inCart, false)
		}
		s.weight[at] = max(s.weight[at], c.weights[k.kind])
		if k.order != eval.NoOrder {
			s.orders[at] = k.order
		}
		s.inCart[at] = s.inCart[at] || k.visit != loneVisit && (k.kind == c.viewKind(event.AddToCart) || k.kind == c.viewKind(event.Purchase))
	}
	s.clicks = slices.Clip(s.clicks)
	return s
}

// repeats finds the click of a session that another one adds nothing to but weight, because it tells nothing new about what
// comes next: a cart or a purchase of what the session holds already, or the click in a list and the page view that are one
// act. Views that come back to an item do tell something; then it is -1.
func (c *collector) repeats(session []click, k click) int {
	if k.kind != c.viewKind(event.ViewItem) && k.kind != c.viewKind(event.SelectItem) {
		return slices.IndexFunc(session, func(earlier click) bool { return earlier.item == k.item })
	}
	last := len(session) - 1
	if last >= 0 && session[last].item == k.item && session[last].kind != k.kind {
		return last
	}
	return -1
}

// viewKind returns the kind of a type, or one that no click has.
func (c *collector) viewKind(name string) uint8 {
	if kind, ok := c.kinds[name]; ok {
		return kind
	}
	return uint8(len(c.kinds))
}
