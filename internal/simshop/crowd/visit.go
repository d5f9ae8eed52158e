package crowd

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/event"
)

const (
	maxVisits    = 100            // of a shopper
	opens        = 8 * time.Hour  // the shop's day, in UTC
	closes       = 22 * time.Hour //
	minDwell     = 5 * time.Second
	maxDwell     = 90 * time.Second
	beforeAsking = 2 * time.Hour // the last visits are over so long before lists are asked for, so they are closed
)

// Crowd is a shop with its shoppers and what they did until lists are asked for.
type Crowd struct {
	Truth    Truth
	Items    []Item
	Shoppers []*Shopper
	Now      time.Time // when lists are asked for
	// History are the events of visits that are over, Running those of visits that are not; both in the order of time.
	History, Running []event.Event

	shelves     [][]int // by category
	bestsellers []int
	index       map[string]int
}

// New draws everything. The same truth and time give the same crowd.
func New(t Truth, now time.Time) *Crowd {
	c := &Crowd{Truth: t, Items: t.stock(), Now: now, shelves: make([][]int, t.Shop.Categories), index: map[string]int{}}
	for i := range c.Items {
		c.index[c.Items[i].ID] = i
		c.shelves[c.Items[i].Category] = append(c.shelves[c.Items[i].Category], i)
		c.bestsellers = append(c.bestsellers, i)
	}
	slices.SortStableFunc(c.bestsellers, func(a, b int) int { return cmp.Compare(c.Items[b].exposure, c.Items[a].exposure) })
	c.bestsellers = c.bestsellers[:min(t.Visits.Bestsellers, len(c.bestsellers))]
	c.Shoppers = t.people(c.Items)
	for u, s := range c.Shoppers {
		c.live(u, s)
	}
	for _, events := range [][]event.Event{c.History, c.Running} {
		slices.SortStableFunc(events, func(a, b event.Event) int { return a.OccurredAt.Compare(b.OccurredAt) })
	}
	return c
}

// live plays all visits of a shopper, in the order of time.
func (c *Crowd) live(u int, s *Shopper) {
	if s.Newcomer {
		return
	}
	v, rng := c.Truth.Visits, c.Truth.random("visits", u)
	n := min(max(1, int(math.Round(v.Median*math.Exp(v.Sigma*rng.NormFloat64())))), maxVisits)
	starts := make([]time.Time, 0, n)
	first := c.Now.Truncate(24*time.Hour).AddDate(0, 0, 1-v.Days)
	for range n {
		day := first.AddDate(0, 0, rng.IntN(v.Days))
		starts = append(starts, day.Add(opens+time.Duration(rng.Int64N(int64(closes-opens)))))
	}
	slices.SortFunc(starts, time.Time.Compare)
	for k, start := range starts {
		if k > 0 && start.Sub(starts[k-1]) < beforeAsking || start.After(c.Now.Add(-2*beforeAsking)) {
			continue // it would be the same visit, or not over
		}
		visit := c.visit(rng, s, start, 1+c.views(rng))
		c.History = append(c.History, visit.events...)
	}
	if !s.Running {
		return
	}
	visit := c.visit(rng, s, c.Now.Add(-time.Hour), 1+c.views(rng)/2)
	late := c.Now.Add(-minDwell).Sub(visit.now)
	for i := range visit.events {
		visit.events[i].OccurredAt = visit.events[i].OccurredAt.Add(late)
	}
	s.focus = visit.focus
	c.Running = append(c.Running, visit.events...)
}

// views draws how many views follow the first of a visit.
func (c *Crowd) views(rng *rand.Rand) int {
	n, more := 0, 1-1/c.Truth.Visits.ViewsMean
	for n < c.Truth.Visits.ViewsMax-1 && rng.Float64() < more {
		n++
	}
	return n
}

// visit is one visit while it is played.
type visit struct {
	crowd   *Crowd
	shopper *Shopper
	rng     *rand.Rand
	now     time.Time
	week    int
	focus   int
	seen    map[int]bool
	cart    []int
	shelf   []float64 // by category: how likely a view goes there
	events  []event.Event
}

func (c *Crowd) visit(rng *rand.Rand, s *Shopper, start time.Time, views int) *visit {
	days := c.Truth.Visits.Days - 1 - int(c.Now.Truncate(24*time.Hour).Sub(start.Truncate(24*time.Hour))/(24*time.Hour))
	v := &visit{crowd: c, shopper: s, rng: rng, now: start.Truncate(time.Millisecond), week: days / daysPerWeek, seen: map[int]bool{}}
	v.focus = s.chooseInterest(rng, v.week)
	v.shelf = make([]float64, len(c.shelves))
	for category, shelf := range c.shelves {
		for _, i := range shelf {
			v.shelf[category] += c.Items[i].exposure * math.Exp(v.utility(i))
		}
	}
	for range views {
		v.view()
	}
	if len(v.cart) > 0 && rng.Float64() < c.Truth.Visits.CheckoutShare {
		v.add(event.Purchase, v.cart...)
		for _, i := range v.cart {
			s.bought[i] = true
		}
	}
	return v
}

// utility is the item's for the shopper, in this visit.
func (v *visit) utility(i int) float64 {
	u, category := v.shopper.liking[i], v.crowd.Items[i].Category
	u += v.shopper.interests[v.week][category]
	if category == v.focus {
		u += v.crowd.Truth.Visits.FocusUtility
	}
	return u
}

// view looks at the next item.
func (v *visit) view() {
	rules := v.crowd.Truth.Visits
	i := v.next()
	if p := v.rng.Float64(); p < rules.StrayShare {
		i = v.stray()
	} else if p < rules.StrayShare+rules.BestsellerShare {
		i = v.bestseller()
		v.add(event.SelectItem, i)
	}
	v.add(event.ViewItem, i)
	v.seen[i], v.shopper.viewed[i] = true, true
	if !slices.Contains(v.cart, i) && v.rng.Float64() < sigmoid(v.utility(i)+rules.CartOffset) {
		v.add(event.AddToCart, i)
		v.cart = append(v.cart, i)
	}
}

// next chooses by exposure and utility: a category, then an item of it. What was seen in this visit or bought is refused so often
// that its chance is as its utility says.
func (v *visit) next() int {
	for {
		shelf := v.crowd.shelves[draw(v.rng, v.shelf)]
		weights := make([]float64, len(shelf))
		for k, i := range shelf {
			weights[k] = v.crowd.Items[i].exposure * math.Exp(v.utility(i))
		}
		i := shelf[draw(v.rng, weights)]
		less := 0.0
		if v.seen[i] {
			less += v.crowd.Truth.Visits.AgainInVisitUtility
		}
		if v.shopper.bought[i] {
			less += v.crowd.Truth.Clicks.BoughtUtility
		}
		if v.rng.Float64() < math.Exp(less) {
			return i
		}
	}
}

func (v *visit) stray() int {
	weights := make([]float64, len(v.crowd.Items))
	for i := range weights {
		weights[i] = v.crowd.Items[i].exposure
	}
	return draw(v.rng, weights)
}

func (v *visit) bestseller() int {
	weights := make([]float64, len(v.crowd.bestsellers))
	for position, i := range v.crowd.bestsellers {
		weights[position] = positionBias(position) * math.Exp(v.utility(i))
	}
	return v.crowd.bestsellers[draw(v.rng, weights)]
}

func (v *visit) add(kind string, which ...int) {
	v.now = v.now.Add(minDwell + time.Duration(v.rng.Int64N(int64(maxDwell-minDwell)))).Truncate(time.Millisecond)
	e := event.Event{
		EventID: uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "%s/%d/%d", v.shopper.ID, v.now.UnixMilli(), len(v.events))).String(),
		Site:    event.DefaultSite, Type: kind, OccurredAt: v.now, ReceivedAt: v.now, AnonymousID: v.shopper.ID,
	}
	if kind == event.Purchase {
		e.TransactionID = e.EventID
	}
	for _, i := range which {
		it := &v.crowd.Items[i]
		e.Items = append(e.Items, event.Item{
			ItemID: it.ID, ItemName: it.Title, ItemCategory: CategoryName(it.Category), ItemBrand: BrandName(it.Brand), Price: &it.Price,
		})
	}
	v.events = append(v.events, e)
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
