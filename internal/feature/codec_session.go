package feature

import "encoding/binary"

func appendSession(b []byte, s *Session) []byte {
	b = appendText(b, s.ID)
	if s.ID == "" {
		return b
	}
	b = binary.AppendVarint(b, s.StartedAt)
	b = binary.AppendVarint(b, s.LastAt-s.StartedAt)
	b = appendSeen(b, s.Items)
	b = appendText(b, s.Entry)
	for _, n := range []int64{s.Events, s.Pages, s.Views, s.Clicks, s.Carts, s.Purchases, s.Searches, s.VisibleMs, s.FocusedMs} {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func (d *decoder) session(items []Seen) Session {
	s := Session{ID: d.text()}
	if s.ID == "" {
		return s
	}
	s.StartedAt = d.int()
	s.LastAt = s.StartedAt + d.int()
	s.Items = d.seen(items, MaxSessionItems)
	s.Entry = d.text()
	for _, n := range []*int64{&s.Events, &s.Pages, &s.Views, &s.Clicks, &s.Carts, &s.Purchases, &s.Searches, &s.VisibleMs, &s.FocusedMs} {
		*n = d.int()
	}
	return s
}
