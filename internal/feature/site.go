package feature

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/event"
)

const (
	// SiteMinutes is how far the ring of minutes goes back from a site's newest event.
	SiteMinutes = 60
	// MaxTopSearches is how many search terms a site counts: enough for a list of twenty with small errors.
	MaxTopSearches = 100
	// MaxTermBytes is where a search term is cut; longer ones are pasted texts.
	MaxTermBytes = 64
	minuteMillis = 60_000
)

// siteTypes are the types that minutes count by name. The position is the place in Minute.Counts: append only, under a new
// Version. The last place counts every other type.
func siteTypes() [17]string {
	return [...]string{event.PageView, event.ViewItemList, event.SelectItem, event.ViewItem, event.Search, event.AddToCart,
		event.RemoveFromCart, event.AddToWishlist, event.BeginCheckout, event.Purchase, event.Refund, event.RateItem,
		event.Engage, event.Identify, event.Logout, event.ConsentChange, "other"}
}

// Minute is the events of one minute, by type.
type Minute struct {
	Minute int64 // Unix minutes
	Counts [17]int64
}

// SiteAggregate is what happened on a site, as far as one partition knows. The aggregates of a site merge.
type SiteAggregate struct {
	LastAt   int64
	Events   int64
	Minutes  []Minute // oldest first, those within SiteMinutes of the newest that had events
	Searches Top      // search terms by their count at the half-life of a day
}

// FeedsSite reports whether an event counts for its site: every one but a robot's.
func FeedsSite(e *event.Event) bool { return !e.IsBot }

// Apply counts an event that FeedsSite.
func (s *SiteAggregate) Apply(e *event.Event) {
	at := e.OccurredAt.UnixMilli()
	s.LastAt = max(s.LastAt, at)
	s.Events++
	m := Minute{Minute: floorDiv(at, minuteMillis)}
	types := siteTypes()
	place := len(types) - 1
	for i := range place {
		if types[i] == e.Type {
			place = i
			break
		}
	}
	m.Counts[place] = 1
	s.addMinute(&m)
	if e.Type != event.Search {
		return
	}
	if term := normalTerm(e.SearchTerm); term != "" {
		s.Searches = s.Searches.add(term, once(at), MaxTopSearches, Day, s.LastAt)
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// addMinute adds counts to their minute and drops what the newest minute leaves behind. What is too old now stays too old,
// so the ring does not depend on the order of events.
func (s *SiteAggregate) addMinute(m *Minute) {
	at := len(s.Minutes)
	for at > 0 && s.Minutes[at-1].Minute > m.Minute {
		at--
	}
	switch n := len(s.Minutes); {
	case at > 0 && s.Minutes[at-1].Minute == m.Minute:
		for i, count := range m.Counts {
			s.Minutes[at-1].Counts[i] += count
		}
		return
	case n > 0 && m.Minute <= s.Minutes[n-1].Minute-SiteMinutes:
		return
	}
	s.Minutes = slices.Insert(s.Minutes, at, *m)
	old := 0
	for s.Minutes[old].Minute <= s.Minutes[len(s.Minutes)-1].Minute-SiteMinutes {
		old++
	}
	s.Minutes = slices.Delete(s.Minutes, 0, old)
}

// Merge adds the aggregate of the same site from another partition.
func (s *SiteAggregate) Merge(o *SiteAggregate) {
	if o.Events == 0 {
		return
	}
	s.LastAt = max(s.LastAt, o.LastAt)
	s.Events += o.Events
	for i := range o.Minutes {
		s.addMinute(&o.Minutes[i])
	}
	s.Searches = s.Searches.merge(o.Searches, MaxTopSearches, Day, s.LastAt)
}

// normalTerm is a search term as it is counted: lower case, single spaces, at most MaxTermBytes. It is a copy.
func normalTerm(term string) string {
	term = strings.Join(strings.Fields(strings.ToLower(term)), " ")
	if len(term) <= MaxTermBytes {
		return strings.Clone(term)
	}
	end := MaxTermBytes
	for !utf8.RuneStart(term[end]) {
		end--
	}
	return strings.Clone(strings.TrimSpace(term[:end]))
}
