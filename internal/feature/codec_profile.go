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
	p := &Profile{}
	if err := p.Decode(b); err != nil {
		return nil, err
	}
	return p, nil
}

// Decode is DecodeProfile into a profile, whose lists it overwrites.
func (p *Profile) Decode(b []byte) error {
	d := newDecoder(b)
	*p = Profile{
		UserID:       d.text(),
		FirstAt:      d.int(),
		LastAt:       d.int(),
		ReceivedAt:   d.int(),
		Events:       d.int(),
		Interactions: d.interactions(p.Interactions),
		Seen:         d.seen(p.Seen, MaxSeen),
		Bought:       d.seen(p.Bought, MaxBought),
		SeenBefore:   d.forgotten(p.SeenBefore),
		BoughtBefore: d.forgotten(p.BoughtBefore),
		Categories:   d.counts(p.Categories, MaxCategories),
		Brands:       d.counts(p.Brands, MaxBrands),
		PriceBands:   d.counts(p.PriceBands, MaxPriceBands),
		EventTypes:   d.counts(p.EventTypes, MaxEventTypes),
		Searches:     d.seen(p.Searches, MaxSearches),
		Dwell: Dwell{Visible: d.decayed(), Focused: d.decayed(), VisibleItems: d.counts(p.Dwell.VisibleItems, MaxDwellItems),
			FocusedItems: d.counts(p.Dwell.FocusedItems, MaxDwellItems)},
		Session:  d.session(p.Session.Items),
		Pace:     Pace{Second: d.int(), Count: d.int(), Before: d.int()},
		Skipped:  d.int(),
		EventIDs: list(d, p.EventIDs, MaxEventIDs, d.fixed),
	}
	if err := d.end(); err != nil {
		return fmt.Errorf("decode profile: %w", err)
	}
	return nil
}

// Forget makes p the zero value again, and keeps the memory of its lists for another Decode.
func (p *Profile) Forget() {
	*p = Profile{
		Interactions: emptied(p.Interactions), Seen: emptied(p.Seen), Bought: emptied(p.Bought),
		SeenBefore: emptied(p.SeenBefore), BoughtBefore: emptied(p.BoughtBefore),
		Categories: emptied(p.Categories), Brands: emptied(p.Brands), PriceBands: emptied(p.PriceBands),
		EventTypes: emptied(p.EventTypes), Searches: emptied(p.Searches),
		Dwell:    Dwell{VisibleItems: emptied(p.Dwell.VisibleItems), FocusedItems: emptied(p.Dwell.FocusedItems)},
		Session:  Session{Items: emptied(p.Session.Items)},
		EventIDs: emptied(p.EventIDs),
	}
}

// emptied is a list without its entries, which nothing holds any more.
func emptied[S ~[]E, E any](list S) S {
	clear(list[:cap(list)])
	return list[:0]
}

func (d *decoder) interactions(memory []Interaction) []Interaction {
	types := typeCodes()
	var last int64
	return list(d, memory, MaxInteractions, func() Interaction {
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
		return in
	})
}
