package feature

import (
	"encoding/binary"
	"fmt"
)

// Encode appends the aggregate to b.
func (s *SiteAggregate) Encode(b []byte) []byte {
	b = append(b, Version)
	b = binary.AppendVarint(b, s.LastAt)
	b = binary.AppendVarint(b, s.Events)
	b = binary.AppendUvarint(b, uint64(len(s.Minutes)))
	var last int64
	for i := range s.Minutes {
		m := &s.Minutes[i]
		b = binary.AppendVarint(b, m.Minute-last)
		last = m.Minute
		for _, n := range m.Counts {
			b = binary.AppendVarint(b, n)
		}
	}
	return appendCounts(b, s.Searches)
}

// DecodeSiteAggregate reads what Encode wrote. It fails with ErrVersion on another version's bytes.
func DecodeSiteAggregate(b []byte) (*SiteAggregate, error) {
	d := newDecoder(b)
	s := &SiteAggregate{LastAt: d.int(), Events: d.int()}
	var last int64
	s.Minutes = list(d, nil, SiteMinutes, func() Minute {
		m := Minute{Minute: last + d.int()}
		last = m.Minute
		for i := range m.Counts {
			m.Counts[i] = d.int()
		}
		return m
	})
	s.Searches = d.counts(nil, MaxTopSearches)
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("decode site aggregate: %w", err)
	}
	return s, nil
}
