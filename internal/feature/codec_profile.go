package feature

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace/millrace/internal/event"
)

// typeCodes give the standard event types one byte in encoded interactions. The position is the code: append only. 0 is
// any other type, whose name follows.
func typeCodes() [8]string {
	return [...]string{"", event.ViewItem, event.SelectItem, event.AddToCart, event.RemoveFromCart, event.AddToWishlist,
		event.Purchase, event.RateItem}
}

// Encode appends the profile to b.
func (p *Profile) Encode(b []byte) []byte {
	b = append(b, Version)
	b = appendText(b, p.UserID)
	b = binary.AppendVarint(b, p.FirstAt)
	b = binary.AppendVarint(b, p.LastAt)
	b = binary.AppendVarint(b, p.ReceivedAt)
	b = binary.AppendVarint(b, p.Events)
	b = appendInteractions(b, p.Interactions)
	b = appendSeen(b, p.Seen)
	b = appendSeen(b, p.Bought)
	b = appendForgotten(b, p.SeenBefore)
	b = appendForgotten(b, p.BoughtBefore)
	b = appendCounts(b, p.Categories)
	b = appendCounts(b, p.Brands)
	b = appendCounts(b, p.PriceBands)
	b = appendCounts(b, p.EventTypes)
	b = appendSeen(b, p.Searches)
	b = appendDecayed(b, p.Dwell.Visible)
	b = appendDecayed(b, p.Dwell.Focused)
	b = appendCounts(b, p.Dwell.VisibleItems)
	b = appendCounts(b, p.Dwell.FocusedItems)
	b = appendSession(b, &p.Session)
	for _, n := range []int64{p.Pace.Second, p.Pace.Count, p.Pace.Before, p.Skipped} {
		b = binary.AppendVarint(b, n)
	}
	b = binary.AppendUvarint(b, uint64(len(p.EventIDs)))
	for _, id := range p.EventIDs {
		b = binary.LittleEndian.AppendUint64(b, id)
	}
	return b
}

func appendInteractions(b []byte, list []Interaction) []byte {
	types := typeCodes()
	b = binary.AppendUvarint(b, uint64(len(list)))
	var last int64
	for i := range list {
		in := &list[i]
		b = appendText(b, in.ItemID)
		code := byte(0)
		for c := 1; c < len(types); c++ {
			if types[c] == in.Type {
				code = byte(c)
				break
			}
		}
		if b = append(b, code); code == 0 {
			b = appendText(b, in.Type)
		}
		b = binary.AppendVarint(b, in.OccurredAt-last)
		last = in.OccurredAt
		b = appendText(b, in.Category)
		b = appendText(b, in.Brand)
		if !in.HasPrice {
			b = append(b, 0)
			continue
		}
		b = appendFloat(append(b, 1), in.Price)
	}
	return b
}

// DecodeProfile reads what Encode wrote. It fails with ErrVersion on another version's bytes.
func DecodeProfile(b []byte) (*Profile, error) {
	d := newDecoder(b)
	p := &Profile{
		UserID:       d.text(),
		FirstAt:      d.int(),
		LastAt:       d.int(),
		ReceivedAt:   d.int(),
		Events:       d.int(),
		Interactions: d.interactions(),
		Seen:         d.seen(MaxSeen),
		Bought:       d.seen(MaxBought),
		SeenBefore:   d.forgotten(),
		BoughtBefore: d.forgotten(),
		Categories:   d.counts(MaxCategories),
		Brands:       d.counts(MaxBrands),
		PriceBands:   d.counts(MaxPriceBands),
		EventTypes:   d.counts(MaxEventTypes),
		Searches:     d.seen(MaxSearches),
		Dwell: Dwell{Visible: d.decayed(), Focused: d.decayed(), VisibleItems: d.counts(MaxDwellItems),
			FocusedItems: d.counts(MaxDwellItems)},
		Session: d.session(),
		Pace:    Pace{Second: d.int(), Count: d.int(), Before: d.int()},
		Skipped: d.int(),
	}
	// One spare place lets Apply add an id without growing the slice.
	if n := d.length(MaxEventIDs); n > 0 {
		p.EventIDs = make([]uint64, 0, min(n+1, MaxEventIDs))
		for range n {
			p.EventIDs = append(p.EventIDs, d.fixed())
		}
	}
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("decode profile: %w", err)
	}
	return p, nil
}

func (d *decoder) interactions() []Interaction {
	types := typeCodes()
	n := d.length(MaxInteractions)
	if n == 0 {
		return nil
	}
	list := make([]Interaction, 0, min(n+1, MaxInteractions+1))
	var last int64
	for range n {
		in := Interaction{ItemID: d.text()}
		switch code := d.byte(); {
		case code == 0:
			in.Type = d.text()
		case int(code) < len(types):
			in.Type = types[code]
		default:
			d.fail()
		}
		last += d.int()
		in.OccurredAt = last
		in.Category = d.text()
		in.Brand = d.text()
		if in.HasPrice = d.flag(); in.HasPrice {
			in.Price = d.float()
		}
		if d.err != nil {
			return nil
		}
		list = append(list, in)
	}
	return list
}
