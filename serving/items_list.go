package serving

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/millrace/millrace/internal/filter"
	"github.com/millrace/millrace/internal/httpserver"
)

// sortShare says when the items of a list are sorted by themselves: when they are fewer than one in so many. Of more it is quicker to
// walk through the listing of all.
const sortShare = 20

// listItems shows rows of the catalogue: those that fulfil all that the request asks, by item_id or, in a search, the best first.
func (s *Serving) listItems(_ context.Context, site string, in *listItemsInput) (*listItemsOutput, *httpserver.Problem) {
	among, p := s.listed(site, in)
	if p != nil {
		return nil, p
	}
	token, err := base64.RawURLEncoding.DecodeString(in.PageToken)
	wrongToken := invalid("/page_token", "page_token is not one that an answer gave")
	if err != nil {
		return nil, wrongToken
	}
	var page itemPage
	if in.Query == "" {
		page = s.listByID(site, among, string(token), in.Limit)
		return &listItemsOutput{Body: page}, nil
	}
	from := 0
	if len(token) > 0 {
		if from, err = strconv.Atoi(string(token)); err != nil || from < 0 {
			return nil, wrongToken
		}
	}
	found := s.catalogue.search(site, in.Query, among)
	page.Total = len(found)
	found = found[min(from, len(found)):]
	if len(found) > in.Limit {
		found = found[:in.Limit]
		page.NextPageToken = pageToken(strconv.Itoa(from + in.Limit))
	}
	page.show(found)
	return &listItemsOutput{Body: page}, nil
}

func pageToken(place string) string { return base64.RawURLEncoding.EncodeToString([]byte(place)) }

func (page *itemPage) show(rows []*Row) {
	page.Items = make([]itemAnswer, len(rows))
	for i, row := range rows {
		page.Items[i] = answerRow(row)
	}
}

// listed are the items that a list may have, nil for all.
func (s *Serving) listed(site string, in *listItemsInput) (*roaring.Bitmap, *httpserver.Problem) {
	conditions, p := in.conditions()
	if p != nil {
		return nil, p
	}
	var matching *filter.Bound
	if in.Filter != "" {
		program, err := filter.Compile(in.Filter)
		if err != nil {
			return nil, wrongFilter(err)
		}
		var narrow []filter.Condition
		narrow, matching = program.Bind(&filter.Values{Now: s.now()}).Narrow()
		conditions = append(conditions, narrow...)
	}
	among := s.catalogue.narrow(site, conditions)
	if in.Available == "false" {
		if among == nil {
			among = s.catalogue.liveItems(site)
		}
		if available := s.catalogue.set(site, facet{field: facetAvailable}); available != nil {
			among = roaring.AndNot(among, available)
		}
	}
	if matching == nil {
		return among, nil
	}
	if among == nil {
		among = s.catalogue.liveItems(site)
	}
	return s.catalogue.matching(site, among, matching), nil
}

func wrongFilter(err error) *httpserver.Problem {
	p := invalid("/filter", "%s", err)
	if wrong := (*filter.Error)(nil); errors.As(err, &wrong) {
		p.Hint = wrong.Hint
	}
	return p
}

// conditions are what the plain parameters of a list ask.
func (in *listItemsInput) conditions() (all []filter.Condition, p *httpserver.Problem) {
	if in.Category != "" {
		all = append(all, filter.Condition{Op: filter.OpIn, Field: filter.FieldCategories, Texts: []string{in.Category}})
	}
	if in.Brand != "" {
		all = append(all, filter.Condition{Op: filter.OpIn, Field: filter.FieldBrand, Texts: []string{in.Brand}})
	}
	switch in.Available {
	case "", "false":
	case "true":
		all = append(all, filter.Condition{Op: filter.OpTrue, Field: filter.FieldAvailable})
	default:
		return nil, invalid("/available", "available is %q, it must be true or false", in.Available)
	}
	return all, nil
}

// liveItems are the items of a site that are not deleted.
func (c *Catalogue) liveItems(site string) *roaring.Bitmap {
	if set := c.set(site, facet{field: facetLive}); set != nil {
		return set
	}
	return roaring.New()
}

// matching asks a filter about each of some items.
func (c *Catalogue) matching(site string, among *roaring.Bitmap, match *filter.Bound) *roaring.Bitmap {
	matching := roaring.New()
	numbers, rows := make([]uint32, allStep), make([]*Row, 0, allStep)
	for it := among.ManyIterator(); ; {
		n := it.NextMany(numbers)
		if n == 0 {
			return matching
		}
		for _, row := range c.numbered(rows[:0], site, numbers[:n]) {
			if !row.Deleted && match.Match(row) {
				matching.Add(row.number)
			}
		}
	}
}

// listByID is a page of the items, nil for all, whose ids come after one.
func (s *Serving) listByID(site string, among *roaring.Bitmap, after string, limit int) (page itemPage) {
	var rows []*Row
	var more bool
	all := s.catalogue.size(site)
	if page.Total = all; among != nil {
		page.Total = int(among.GetCardinality())
	}
	if among == nil || page.Total > all/sortShare {
		rows, more = s.catalogue.page(site, after, limit, among)
	} else {
		rows, more = s.catalogue.sorted(site, among, after, limit)
	}
	if page.show(rows); more {
		page.NextPageToken = pageToken(rows[len(rows)-1].ItemID)
	}
	return page
}

// sorted is page for few items.
func (c *Catalogue) sorted(site string, among *roaring.Bitmap, after string, limit int) (rows []*Row, more bool) {
	rows = slices.DeleteFunc(c.numbered(nil, site, among.ToArray()), func(r *Row) bool { return r.Deleted || r.ItemID <= after })
	slices.SortFunc(rows, func(a, b *Row) int { return cmp.Compare(a.ItemID, b.ItemID) })
	return rows[:min(len(rows), limit)], len(rows) > limit
}
