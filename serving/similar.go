package serving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/model/content"
	"github.com/millrace/millrace/internal/parallel"
)

const (
	// unmetFactor is what similarity counts more for a new item that hardly anybody has met: no other family can know of it yet.
	unmetFactor = 2
	// renewalPoll is how often it is asked whether a site's items have changed so much that they should be taken in anew.
	renewalPoll = time.Second
	// maxLifted is how many items of a list it lifts: a new collection must not push out what visitors go on to.
	maxLifted = 2
)

// similarItems keeps, for every site, which items are alike by what the catalogue says of them, or events where it has no row. It
// follows both, so that an item is found in the request after the one that made it.
type similarItems struct {
	log       *slog.Logger
	catalogue *Catalogue
	full      rarely

	mu    sync.RWMutex // guards sites and said
	sites map[string]*content.Live
	said  map[string]map[string]*said // by site and id: the items that are in it by what events said
}

// of returns a site's index; it is never nil.
func (s *similarItems) of(site string) *content.Live {
	s.mu.RLock()
	live := s.sites[site]
	s.mu.RUnlock()
	if live != nil {
		return live
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if live = s.sites[site]; live == nil {
		live, _ = content.NewLive(content.Default(), s.source(site), s.catalogue.numbers(site)) // the default is valid
		s.sites[site], s.said[site] = live, map[string]*said{}
	}
	return live
}

// source lists what a site's index has: the rows of the catalogue, and what events say of items that have none.
func (s *similarItems) source(site string) content.Source {
	return func(yield func(*Item) bool) {
		going := true
		s.catalogue.all(site, func(row *Row) bool {
			going = row.Deleted || yield(row.Item())
			return going
		})
		if !going {
			return
		}
		s.mu.RLock()
		known := slices.Collect(maps.Values(s.said[site]))
		s.mu.RUnlock()
		for _, it := range known {
			if !yield(viewOf(it)) {
				return
			}
		}
	}
}

// fill takes in the whole catalogue as it was loaded, but for sites that a version in force has taken in already.
func (s *similarItems) fill(ctx context.Context) error {
	for _, site := range s.catalogue.siteNames() {
		live := s.of(site)
		if live.Len() > 0 {
			continue
		}
		err := live.Renew(ctx)
		if err != nil && !errors.Is(err, content.ErrFull) {
			return fmt.Errorf("find similar items of site %s: %w", site, err)
		}
		s.report(ctx, site, err)
	}
	return nil
}

// run takes in anew what has changed so much that it pays, until ctx ends. That is seconds of gentle work in a large catalogue, for which
// no row may wait.
func (s *similarItems) run(ctx context.Context) {
	for pause(ctx, renewalPoll) == nil {
		s.mu.RLock()
		sites := maps.Clone(s.sites)
		s.mu.RUnlock()
		for site, live := range sites {
			if live.Due() {
				if err := live.Renew(ctx); err != nil && ctx.Err() == nil {
					s.report(ctx, site, err)
				}
			}
		}
	}
}

// take follows a row that came into force.
func (s *similarItems) take(ctx context.Context, row *Row) {
	live := s.of(row.Site())
	if row.Deleted {
		live.Remove(row.ItemID)
		return
	}
	s.report(ctx, row.Site(), live.Put(row.Item()))
}

// learn takes in what events say of items without a row, and forgets what they say no more.
func (s *similarItems) learn(ctx context.Context, site string, t *siteTrends) {
	live := s.of(site)
	s.mu.RLock()
	known := s.said[site] // changed by the one goroutine that reads trends, which is this one
	s.mu.RUnlock()
	var gently parallel.Gently
	for id, it := range t.items {
		gently.Step()
		if it.name == "" && it.category == "" && it.brand == "" || s.catalogue.row(site, id) != nil || live.Has(id) && saysTheSame(known[id], it) {
			continue
		}
		s.mu.Lock()
		known[id] = it
		s.mu.Unlock()
		s.report(ctx, site, live.Put(viewOf(it)))
		if row := s.catalogue.row(site, id); row != nil { // it came meanwhile, and has the last word
			s.take(ctx, row)
		}
	}
	for id := range known {
		gently.Step()
		if row := s.catalogue.row(site, id); row != nil || t.items[id] == nil {
			s.mu.Lock()
			delete(known, id)
			s.mu.Unlock()
			if row == nil {
				live.Remove(id)
			}
		}
	}
}

// saysTheSame reports whether events say of an item now what they said before; before is nil where they said nothing.
func saysTheSame(before, now *said) bool {
	if before == nil || before.name != now.name || before.category != now.category || before.brand != now.brand || (before.price == nil) != (now.price == nil) {
		return false
	}
	return before.price == nil || *before.price == *now.price
}

// use compares a site's items as a version in force does; one without such a model leaves it to the catalogue.
func (s *similarItems) use(ctx context.Context, site string, loaded *loadedModel) {
	trained, _ := loaded.Scorers[content.Name].(*content.Model)
	if err := s.of(site).Use(ctx, trained); err != nil && ctx.Err() == nil {
		s.report(ctx, site, err)
	}
}

func (s *similarItems) report(ctx context.Context, site string, err error) {
	if err != nil {
		s.full.warn(ctx, s.log, "similar items of site "+site+" lack some items", err)
	}
}

// fromContent brings items that are like those that the list follows from, by what is said of them. For a product page that is
// what was asked for; elsewhere it stands in for what visitors do.
func (q *query) fromContent(weight float64) source {
	s := source{family: content.Name, weight: weight}
	if q.placement.Kind != control.KindItem {
		s.rung = rungCategory
	}
	reach := q.reach()
	found := q.similar.Similar(q.mem.similar[:0], content.Query{Items: q.items, Set: q.set, Skip: q.skip(), Now: q.now}, reach)
	q.mem.similar = found
	if len(found) == 0 {
		return s
	}
	s.items, s.scale = q.mem.proposals.take(len(found)), float64(found[0].Score)
	lifted := 0
	q.catalogue.read(q.site, func(row func(string) *Row) {
		groups := q.currentGroups(row)
		for _, f := range found {
			p := proposal{id: f.ID, score: float64(f.Score), origin: f.Because}
			if len(groups) == 0 && lifted == maxLifted {
				s.items = append(s.items, p)
				continue
			}
			r := row(f.ID)
			if r != nil && slices.Contains(groups, r.ItemGroupID()) {
				continue // the product itself in another colour
			}
			if lifted < maxLifted && r != nil && q.isUnmet(r) {
				p.score *= unmetFactor
				lifted++
			}
			s.items = append(s.items, p)
		}
	})
	return s
}

// currentGroups are the item groups that the visitor is looking at.
func (q *query) currentGroups(row func(string) *Row) (groups []string) {
	for _, id := range q.current() {
		if r := row(id); r != nil && r.ItemGroupID() != "" {
			groups = append(groups, r.ItemGroupID())
		}
	}
	return groups
}

// besideThin is content beside the first n sources, where those have something to say, but little. Those with much to say do not need
// it, and where all are silent the place is left to the next stage.
func (q *query) besideThin(n int, weight float64) {
	most := 0
	for i := range q.mem.sources[:n] {
		most = max(most, len(q.mem.sources[i].items))
	}
	if most > 0 && most < q.reach()/2 {
		q.propose(q.fromContent(weight))
	}
}
