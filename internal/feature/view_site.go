package feature

import "time"

// SiteView is a site aggregate in JSON. Counts of searches are as of UpdatedAt.
type SiteView struct {
	Site      string       `json:"site"`
	UpdatedAt time.Time    `json:"updated_at"` // newest occurred_at applied
	Events    int64        `json:"events"`
	Minutes   []MinuteView `json:"minutes"`  // oldest first
	Searches  []TermView   `json:"searches"` // most asked at the half-life of a day first
}

// MinuteView is the events of the minute that begins at a time, by type.
type MinuteView struct {
	At     time.Time        `json:"at"`
	Events map[string]int64 `json:"events"`
}

// TermView is a search term and how often it was asked.
type TermView struct {
	Term   string    `json:"term"`
	Counts HalfLives `json:"counts"`
}

// View shows the aggregate of a site.
func (s *SiteAggregate) View(site string) SiteView {
	v := SiteView{Site: site, UpdatedAt: instant(s.LastAt), Events: s.Events, Minutes: make([]MinuteView, len(s.Minutes)),
		Searches: make([]TermView, len(s.Searches))}
	for i := range s.Minutes {
		m := MinuteView{At: instant(s.Minutes[i].Minute * minuteMillis), Events: map[string]int64{}}
		for place, name := range siteTypes() {
			if n := s.Minutes[i].Counts[place]; n > 0 {
				m.Events[name] = n
			}
		}
		v.Minutes[i] = m
	}
	for i, c := range s.Searches.strongest(nil, Day, s.LastAt) {
		v.Searches[i] = TermView{Term: c.Name, Counts: valuesAt(&c.Decayed, s.LastAt)}
	}
	return v
}
