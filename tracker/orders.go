package tracker

import (
	"sync"
	"time"
)

const (
	// orderPatience is how long the other side's word on an order is waited for.
	orderPatience = time.Hour
	// maxOrders bounds the orders that wait; beyond it the older ones are judged early.
	maxOrders = 200_000
)

// Who said that an order was made.
const (
	saidByPage = 1 << iota
	saidByServer
)

// orderCounts is what became of orders. Each is counted once.
type orderCounts struct {
	Matched    int64 `json:"matched" doc:"Orders that both a page and the shop's server told." example:"97"`
	PageOnly   int64 `json:"page_only" doc:"Orders that only a page told, after an hour."`
	ServerOnly int64 `json:"server_only" doc:"Orders that only the shop's server told, after an hour: purchases that no page has measured." example:"2"`
	Waiting    int64 `json:"waiting" doc:"Orders that one side told less than an hour ago."`
}

// orders reconciles purchases of pages with those of the shop's server, by transaction_id.
type orders struct {
	mu       sync.Mutex
	now, old map[uint64]order // by hash of site and transaction_id
	turned   time.Time
	sites    map[string]*orderCounts
}

type order struct {
	site string
	said uint8
}

func newOrders(now time.Time) *orders {
	return &orders{now: map[uint64]order{}, old: map[uint64]order{}, turned: now, sites: map[string]*orderCounts{}}
}

// see notes who told of orders, by their hashes.
func (o *orders) see(site string, told []uint64, by uint8, now time.Time) {
	if len(told) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turn(now)
	c := o.site(site)
	for _, hash := range told {
		known := o.now
		entry, ok := known[hash]
		if !ok {
			if entry, ok = o.old[hash]; ok {
				known = o.old
			}
		}
		before := entry.said
		entry.site, entry.said = site, before|by
		known[hash] = entry
		switch {
		case before == 0:
			c.Waiting++
		case before != entry.said:
			c.Waiting--
			c.Matched++
		}
	}
}

// turn judges the orders that have waited long enough.
func (o *orders) turn(now time.Time) {
	if now.Sub(o.turned) < orderPatience && len(o.now) < maxOrders/2 {
		return
	}
	for _, entry := range o.old {
		c := o.site(entry.site)
		switch entry.said {
		case saidByPage:
			c.Waiting--
			c.PageOnly++
		case saidByServer:
			c.Waiting--
			c.ServerOnly++
		}
	}
	o.old, o.now, o.turned = o.now, map[uint64]order{}, now
}

func (o *orders) site(name string) *orderCounts {
	c := o.sites[name]
	if c == nil {
		c = new(orderCounts)
		o.sites[name] = c
	}
	return c
}
