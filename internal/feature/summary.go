package feature

import "strings"

// ItemSummary is what lists need of an item's aggregate: how much it is wanted, and what events said of it. It is a twentieth of the
// aggregate. Its texts are parts of the bytes that it was read from, until Own.
type ItemSummary struct {
	FirstAt, LastAt int64 // as in ItemAggregate
	Events          int64
	Interest        Decayed
	Name            Text
	Category        Text
	Brand           Text
	Price           Number
}

// Merge adds the summary of the same item from another partition.
func (s *ItemSummary) Merge(o *ItemSummary) {
	if s.Events == 0 || o.Events > 0 && o.FirstAt < s.FirstAt {
		s.FirstAt = o.FirstAt
	}
	s.LastAt = max(s.LastAt, o.LastAt)
	s.Events += o.Events
	s.Interest.Merge(o.Interest)
	s.Name.say(o.Name.Value, o.Name.At)
	s.Category.say(o.Category.Value, o.Category.At)
	s.Brand.say(o.Brand.Value, o.Brand.At)
	if o.Price.Known {
		s.Price.say(o.Price.Value, o.Price.At)
	}
}

// Own copies the texts, so that the summary may be kept without the bytes that it was read from.
func (s *ItemSummary) Own() {
	for _, t := range []*Text{&s.Name, &s.Category, &s.Brand} {
		t.Value = strings.Clone(t.Value)
	}
}

// Trend is ItemAggregate.Trend.
func (s *ItemSummary) Trend(now int64) float64 { return trend(s.Interest, now) }

// SummaryReader reads encoded aggregates one after the other, with one memory for what is not kept.
type SummaryReader struct{ whole ItemAggregate }

// Read is the summary of an encoded aggregate; errors are those of DecodeItemAggregate.
func (r *SummaryReader) Read(b []byte) (ItemSummary, error) {
	a := &r.whole
	if err := a.Decode(b); err != nil {
		return ItemSummary{}, err
	}
	return ItemSummary{
		FirstAt: a.FirstAt, LastAt: a.LastAt, Events: a.Events, Interest: a.Interest(),
		Name: a.Name, Category: a.Category, Brand: a.Brand, Price: a.Price,
	}, nil
}
