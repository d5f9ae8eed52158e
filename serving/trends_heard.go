package serving

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/parallel"
)

// heard is one item's merged summary.
type heard struct {
	id string
	feature.ItemSummary
	rank float64 // of its interest
}

// readHeard merges the shares below a prefix by item, and calls take with one item after the other; who keeps one owns its texts. Shares
// of one item follow each other in the store. Shares of another feature version count as not there until the stream has replaced them.
func readHeard(ctx context.Context, gently *parallel.Gently, online OnlineStore, prefix string, take func(*heard)) error {
	var reader feature.SummaryReader
	var it heard // so far; its id is empty before the first
	err := online.Scan(ctx, prefix, func(row onlinestore.Row) error {
		gently.Step()
		share, err := onlinestore.ParseItemKey(row.Key)
		if err != nil {
			return err
		}
		summary, err := reader.Read(row.Value)
		if errors.Is(err, feature.ErrVersion) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", row.Key, err)
		}
		if it.id == share.Item {
			it.Merge(&summary)
			return nil
		}
		if it.id != "" {
			take(&it)
		}
		it = heard{id: share.Item, ItemSummary: summary}
		return nil
	})
	if err == nil && it.id != "" {
		take(&it)
	}
	return err
}

// asOf is what was heard of the item, and how much it is wanted at clock. Its price, if any, lies in the memory that is given for it.
func (h *heard) asOf(clock int64, price *float64) said {
	s := said{
		id: h.id, interest: h.Interest.Value(feature.Fortnight, clock), trend: h.Trend(clock),
		name: h.Name.Value, category: h.Category.Value, brand: h.Brand.Value,
		events: h.Events, firstAt: h.FirstAt, lastAt: h.LastAt,
	}
	if math.IsNaN(s.trend) {
		s.trend = 0
	}
	if h.Price.Known {
		*price = h.Price.Value
		s.price = price
	}
	return s
}

// saidOf reads what events said of one item from the store, nil when none named it.
func saidOf(ctx context.Context, online OnlineStore, site, id string) (it *said, err error) {
	err = readHeard(ctx, nil, online, onlinestore.ItemPrefix(site, id), func(h *heard) {
		h.Own()
		it = new(h.asOf(h.LastAt, new(float64)))
	})
	if err != nil {
		return nil, fmt.Errorf("read aggregate of an item: %w", err)
	}
	return it, nil
}

// mostWanted keeps the most wanted of the items that it takes, so that a reading of millions never has more of them in memory than it
// keeps.
type mostWanted struct {
	limit int
	clock int64    // newest LastAt of all that it took
	items []*heard // a heap with the least wanted first, once limit is reached

	memory arena[heard]
}

// take copies an item if it is among the most wanted so far.
func (m *mostWanted) take(h *heard) {
	m.clock = max(m.clock, h.LastAt)
	h.rank = h.Interest.Rank(feature.Fortnight)
	switch {
	case len(m.items) < m.limit:
		h.Own()
		kept := m.memory.one()
		*kept = *h
		if m.items = append(m.items, kept); len(m.items) == m.limit {
			heap.Init(m)
		}
	case h.before(m.items[0]):
		h.Own()
		*m.items[0] = *h
		heap.Fix(m, 0)
	}
}

// before reports whether an item is more wanted than another, at whatever time.
func (h *heard) before(o *heard) bool {
	return cmp.Or(cmp.Compare(o.rank, h.rank), cmp.Compare(o.LastAt, h.LastAt), cmp.Compare(h.id, o.id)) < 0
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (m *mostWanted) Len() int           { return len(m.items) }
func (m *mostWanted) Less(i, j int) bool { return m.items[j].before(m.items[i]) }
func (m *mostWanted) Swap(i, j int)      { m.items[i], m.items[j] = m.items[j], m.items[i] }
func (m *mostWanted) Push(x any)         { m.items = append(m.items, x.(*heard)) }
func (m *mostWanted) Pop() any {
	last := m.items[len(m.items)-1]
	m.items = m.items[:len(m.items)-1]
	return last
}

// said is what was heard of the items at the time of the newest event, in no order. Texts that an item's row has as well, or that
// others have, are in memory once.
func (m *mostWanted) said(gently *parallel.Gently, row func(id string) *Row) []*said {
	items, prices, all := make([]said, len(m.items)), make([]float64, len(m.items)), make([]*said, len(m.items))
	texts := map[string]string{}
	for i, h := range m.items {
		gently.Step()
		it := h.asOf(m.clock, &prices[i])
		for _, text := range []*string{&it.category, &it.brand} {
			if once, ok := texts[*text]; ok {
				*text = once
			} else {
				texts[*text] = *text
			}
		}
		if r := row(it.id); r != nil {
			it.id = r.ItemID
			if title := r.Title(); title == it.name {
				it.name = title
			}
		}
		items[i], all[i] = it, &items[i]
	}
	return all
}
