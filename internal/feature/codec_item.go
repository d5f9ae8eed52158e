package feature

import (
	"encoding/binary"
	"fmt"
)

// Encode appends the aggregate to b.
func (a *ItemAggregate) Encode(b []byte) []byte {
	b = append(b, Version)
	b = binary.AppendVarint(b, a.FirstAt)
	b = binary.AppendVarint(b, a.LastAt)
	b = binary.AppendVarint(b, a.Events)
	for _, d := range []*Decayed{&a.Views, &a.Clicks, &a.Carts, &a.Purchases, &a.Impressions} {
		b = appendDecayed(b, *d)
	}
	b = binary.AppendUvarint(b, uint64(len(a.Placements)))
	for i := range a.Placements {
		p := &a.Placements[i]
		b = appendText(b, p.Name)
		b = appendDecayed(b, p.Impressions)
		b = appendDecayed(b, p.Examined)
		b = appendDecayed(b, p.Clicks)
	}
	b = appendVisitors(b, &a.Visitors)
	b = appendCounts(b, a.Partners)
	for _, t := range []*Text{&a.Name, &a.Category, &a.Brand} {
		b = appendText(b, t.Value)
		if t.Value != "" {
			b = binary.AppendVarint(b, t.At)
		}
	}
	if !a.Price.Known {
		return append(b, 0)
	}
	return binary.AppendVarint(appendFloat(append(b, 1), a.Price.Value), a.Price.At)
}

// DecodeItemAggregate reads what Encode wrote. It fails with ErrVersion on another version's bytes.
func DecodeItemAggregate(b []byte) (*ItemAggregate, error) {
	a := &ItemAggregate{}
	if err := a.Decode(b); err != nil {
		return nil, err
	}
	return a, nil
}

// Decode is DecodeItemAggregate into an aggregate, whose lists it overwrites.
func (a *ItemAggregate) Decode(b []byte) error {
	d := newDecoder(b)
	*a = ItemAggregate{
		FirstAt:     d.int(),
		LastAt:      d.int(),
		Events:      d.int(),
		Views:       d.decayed(),
		Clicks:      d.decayed(),
		Carts:       d.decayed(),
		Purchases:   d.decayed(),
		Impressions: d.decayed(),
		Placements:  d.placements(a.Placements),
		Visitors:    d.visitors(a.Visitors),
		Partners:    d.counts(a.Partners, MaxPartners),
	}
	for _, t := range []*Text{&a.Name, &a.Category, &a.Brand} {
		if t.Value = d.text(); t.Value != "" {
			t.At = d.int()
		}
	}
	if a.Price.Known = d.flag(); a.Price.Known {
		a.Price.Value = d.float()
		a.Price.At = d.int()
	}
	if err := d.end(); err != nil {
		return fmt.Errorf("decode item aggregate: %w", err)
	}
	return nil
}
