package serving

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/parallel"
)

const (
	// trendsInterval is the shortest time between two readings of the item aggregates. Trends move over hours, but a new
	// item should not wait long to be known.
	trendsInterval = 2 * time.Second
	// trendsDuty bounds the share of a processor spent reading them: the pause is this many times the reading, which works a quarter of
	// its time, so that it is 5 %.
	trendsDuty = 4
	// maxTrackedItems bounds the items of one site held with what events said of them, the most wanted first: about
	// 50 MiB. Others are read one by one where they are asked for.
	maxTrackedItems = 200_000
	// maxTrending and maxPerCategory bound the lists; a request looks at some hundreds of candidates.
	maxTrending    = 1_000
	maxPerCategory = 200
)

// said is what events said of an item, and how much visitors wanted it.
type said struct {
	id       string
	interest float64 // decayed views, clicks, carts and purchases, half-life a fortnight, at the site's clock
	trend    float64 // above 1 for a rising item
	name     string
	category string
	brand    string
	price    *float64
	events   int64 // that named the item, of any type
	firstAt  int64
	lastAt   int64
	place    int32 // of its row: the number, and 1; 0 where it had none when this was read
}

// siteTrends are the item aggregates of one site at one moment. Nothing in it changes once it is published.
type siteTrends struct {
	clock      int64                     // newest occurred_at of the site
	items      map[string]*said          // by id, at most maxTrackedItems
	popular    []*said                   // most wanted first
	places     []int32                   // of the rows of those
	trending   []*said                   // rising ones only, fastest first
	unmet      []unmet                   // the newest first, at most maxUnmet
	categories map[string]categoryItems  // most wanted first, with catalogue items that nobody met yet at the end
	wanted     map[string]float64        // by category: the interest in all its items together
	brands     map[string]*brandInterest // by category
}

// categoryItems are the items of a category, with the places of their rows as in said.
type categoryItems struct {
	ids    []string
	places []int32
}

// trends keeps a periodic reading of the item aggregates of every site in memory.
type trends struct {
	online    OnlineStore
	base      *base
	catalogue *Catalogue
	now       func() time.Time

	mu    sync.RWMutex // guards sites
	sites map[string]*siteTrends
}

// of returns the newest reading of a site; it is never nil.
func (t *trends) of(site string) *siteTrends {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s := t.sites[site]; s != nil {
		return s
	}
	return &siteTrends{}
}

// run reads the aggregates again and again until ctx ends; saved is called after each reading of a site.
func (t *trends) run(ctx context.Context, log *slog.Logger, sites func(context.Context) []string, saved func(site string, s *siteTrends)) {
	for {
		start := time.Now()
		for _, site := range sites(ctx) {
			read, err := t.refresh(ctx, site)
			if err != nil {
				if ctx.Err() == nil {
					log.WarnContext(ctx, "item aggregates were not readable; trends stay as they were", "site", site, "error", err)
				}
				continue
			}
			saved(site, read)
		}
		if pause(ctx, max(trendsInterval, trendsDuty*time.Since(start))) != nil {
			return
		}
	}
}

// refresh reads a site's aggregates and puts the reading in force. One of a store that was lost and is being filled again
// does not replace an earlier one.
func (t *trends) refresh(ctx context.Context, site string) (read *siteTrends, err error) {
	err = t.base.steady(ctx, func() error {
		read, err = t.read(ctx, site)
		return err
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(err, errFilling) && t.sites[site] == nil {
		err = nil // a little is better than nothing
	}
	if err != nil {
		return nil, err
	}
	t.sites[site] = read
	return read, nil
}

// read merges the shares of every item of a site and orders those that are wanted most.
func (t *trends) read(ctx context.Context, site string) (*siteTrends, error) {
	var gently *parallel.Gently
	if len(t.of(site).items) > 0 { // lists have something to follow from meanwhile
		gently = &parallel.Gently{}
	}
	most := mostWanted{limit: maxTrackedItems}
	if err := readHeard(ctx, gently, t.online, onlinestore.ItemSitePrefix(site), most.take); err != nil {
		return nil, err
	}
	s := &siteTrends{clock: most.clock, categories: map[string]categoryItems{}, wanted: map[string]float64{}, brands: map[string]*brandInterest{}}
	s.popular = most.said(gently, func(id string) *Row { return t.catalogue.row(site, id) })
	parallel.SortGently(gently, s.popular, func(a, b *said) int {
		return cmp.Or(cmp.Compare(b.interest, a.interest), cmp.Compare(b.lastAt, a.lastAt), cmp.Compare(a.id, b.id))
	})
	s.items = itemsByID(gently, s.popular)
	for _, it := range s.popular {
		if it.trend > 1 {
			s.trending = append(s.trending, it)
		}
	}
	parallel.SortGently(gently, s.trending, func(a, b *said) int {
		return cmp.Or(cmp.Compare(b.trend, a.trend), cmp.Compare(b.interest, a.interest), cmp.Compare(a.id, b.id))
	})
	s.trending = s.trending[:min(len(s.trending), maxTrending)]
	t.sortIntoCategories(gently, site, s)
	s.sortUnmet(gently, t.catalogue, site, t.now())
	return s, nil
}

func itemsByID(gently *parallel.Gently, items []*said) map[string]*said {
	byID := make(map[string]*said, len(items))
	for _, it := range items {
		gently.Step()
		byID[it.id] = it
	}
	return byID
}

// sortIntoCategories fills the list of each category: the most wanted items first, then catalogue items that no event
// named yet, newest first, so that a new item can be met at all.
func (t *trends) sortIntoCategories(gently *parallel.Gently, site string, s *siteTrends) {
	t.catalogue.read(site, func(row func(string) *Row) {
		for _, it := range s.popular {
			gently.Step()
			r := row(it.id)
			if r != nil {
				it.place = int32(r.number) + 1
			}
			s.places = append(s.places, it.place)
			for _, category := range categoriesOf(r, it) {
				s.addToCategory(category, it.id, it.place)
				s.wanted[category] += it.interest
				s.addToBrand(category, it)
			}
		}
	})
	var unmet []*Row
	t.catalogue.all(site, func(row *Row) bool {
		gently.Step()
		if s.items[row.ItemID] == nil && !row.Deleted && len(row.Categories()) > 0 {
			unmet = append(unmet, row)
		}
		return true
	})
	parallel.SortGently(gently, unmet, newestRow)
	for _, row := range unmet {
		for _, category := range row.Categories() {
			s.addToCategory(category, row.ItemID, int32(row.number)+1)
		}
	}
}

func newestRow(a, b *Row) int {
	return cmp.Or(cmp.Compare(b.published, a.published), cmp.Compare(a.ItemID, b.ItemID))
}

func (s *siteTrends) addToCategory(category, id string, place int32) {
	if list := s.categories[category]; len(list.ids) < maxPerCategory {
		s.categories[category] = categoryItems{append(list.ids, id), append(list.places, place)}
	}
}

// categoriesOf are an item's categories: those of the catalogue, else the one that events named.
func categoriesOf(row *Row, it *said) []string {
	switch {
	case row != nil && len(row.Categories()) > 0:
		return row.Categories()
	case it != nil && it.category != "":
		return []string{it.category}
	default:
		return nil
	}
}

// viewOf is an item without a row as it is shown: by what events said.
func viewOf(it *said) *Item {
	return &Item{ItemID: it.id, Title: it.name, Brand: it.brand, Price: it.price, Categories: categoriesOf(nil, it), Available: true}
}

// field is one field of an item without a row by its JSON name; ok is false where no event said it.
func (s *said) field(name string) (value any, ok bool) {
	switch {
	case name == "available":
		return true, true
	case s == nil:
		return nil, false
	}
	switch name {
	case "item_id":
		return s.id, true
	case "title":
		return textField(s.name)
	case "categories":
		return []string{s.category}, s.category != ""
	case "brand":
		return textField(s.brand)
	case "price":
		return s.price, s.price != nil
	}
	return nil, false
}
