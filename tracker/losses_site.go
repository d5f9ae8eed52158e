package tracker

import (
	"cmp"
	"slices"
	"strings"
)

const (
	// maxFamilies and maxPages bound what is told apart of a site: both are what clients say. The rest is otherName.
	maxFamilies = 30
	maxPages    = 500
	otherName   = "other"
	maxPageName = 200 // bytes
)

// siteLosses are the counts of a site.
type siteLosses struct {
	total    Tally
	families map[string]*Tally
	pages    map[string]*Tally
}

func (l *losses) site(name string) *siteLosses {
	s := l.sites[name]
	if s == nil {
		s = &siteLosses{families: map[string]*Tally{}, pages: map[string]*Tally{}}
		l.sites[name] = s
	}
	return s
}

// count adds to the counts of a family and a page, and answers the name that the family is counted under.
func (s *siteLosses) count(family, page string, t Tally) string {
	s.total.add(t)
	countOf(s.pages, page, maxPages, t)
	return countOf(s.families, family, maxFamilies, t)
}

// countOf adds to the count of a name, or to that of all others.
func countOf(counts map[string]*Tally, name string, limit int, t Tally) string {
	if counts[name] == nil && len(counts) >= limit {
		name = otherName
	}
	if counts[name] == nil {
		counts[name] = new(Tally)
	}
	counts[name].add(t)
	return name
}

// pageName is a page as losses tells it apart: host and path, without what is different at every visit.
func pageName(address string) string {
	address, _, _ = strings.Cut(address, "#")
	address, _, _ = strings.Cut(address, "?")
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	return strings.ToValidUTF8(address[:min(len(address), maxPageName)], "")
}

// namedTally is the count of a browser family or a page.
type namedTally struct {
	Name string `json:"name" doc:"A browser family, or host and path of a page; 'other' is all beyond the limit." example:"Firefox"`
	Tally
}

// worst lists counts, those with most loss first.
func worst(counts map[string]*Tally, limit int) []namedTally {
	list := make([]namedTally, 0, len(counts))
	for name, t := range counts {
		list = append(list, namedTally{name, *t})
	}
	slices.SortFunc(list, func(a, b namedTally) int {
		return cmp.Or(cmp.Compare(b.Lost+b.Missing, a.Lost+a.Missing), cmp.Compare(b.Replays, a.Replays), cmp.Compare(b.Events, a.Events), cmp.Compare(a.Name, b.Name))
	})
	return list[:min(len(list), limit)]
}
