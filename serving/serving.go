// Package serving answers recommendation requests and owns the live catalogue. A request takes five steps in this one
// folder: handleRecommend (recommend.go) reads it and its visitor, candidates.go gathers proposals, rank.go joins them,
// rerank.go decides on the live catalogue what may be shown, respond.go answers and records the exposure. Serving meets
// the other roles only in the online store, the model registry, the control store and Kafka.
package serving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feed"
	"github.com/millrace/millrace/internal/filter"
	"github.com/millrace/millrace/internal/model/content"
	"github.com/millrace/millrace/internal/ratelimit"
)

// Config is what an operator decides.
type Config struct {
	// Dir is where the last list of each site is kept, a few kilobytes each.
	Dir string
	// FullShare is the share of lists, 0 to 1, of which everything is recorded that they were made from: evidence for `millrace
	// replay`. Lists that were asked to be explained are always recorded so.
	FullShare float64
	// Exploration is the share of lists, 0 to 1, of placements that recommend and do not say it themselves, that give one place to an item
	// that hardly anybody has met.
	Exploration float64
	// Feeds are the places that catalogue feeds may be read from.
	Feeds feed.Source
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	if c.Dir == "" {
		return errors.New("serving: no directory configured")
	}
	if !(c.FullShare >= 0 && c.FullShare <= 1) {
		return fmt.Errorf("serving: the share of full exposures is %v; it is 0 to 1", c.FullShare)
	}
	if !(c.Exploration >= 0 && c.Exploration <= 1) {
		return fmt.Errorf("serving: the share of lists that explore is %v; it is 0 to 1", c.Exploration)
	}
	return nil
}

// Deps are the outside worlds of serving.
type Deps struct {
	Log      *slog.Logger
	Metrics  prometheus.Registerer
	Control  Control
	Online   OnlineStore
	Registry Registry
	Producer Producer
	Exporter Exporter         // nil where this process does not read the lake
	Lists    Lists            // likewise
	Limits   *ratelimit.Guard // nil for none
	Items    Log              // the items topic, which must exist, and that of closed sessions
	Now      func() time.Time // nil means time.Now
	Version  string           // of the program, for its status
}

// Serving is the role. New makes it, Run runs it, Routes and AdminRoutes mount it.
type Serving struct {
	log     *slog.Logger
	now     func() time.Time
	control Control
	online  OnlineStore
	export  Exporter
	lists   Lists
	topics  Log
	reg     Registry
	metrics *metrics

	base         *base
	catalogue    *Catalogue
	models       *models
	overlay      *overlay
	trends       *trends
	similar      *similarItems
	visitors     *visitors
	static       *staticLists
	feeds        *feeds
	exposures    *exposures
	recent       *recentLists
	rotation     *rotation
	looking      chan struct{} // one token a request that looks further than recent for the list to go on with
	fullShare    float64
	exploration  float64
	filters      *filter.Cache // compiled expressions of all sites
	rules        *rules
	experiments  *experiments
	scratches    *scratches
	settings     *settingsCache
	lostProfiles rarely
	lostSites    rarely

	lostAttributes rarely
	lostLists      rarely
	lostSigning    rarely
	limits         *ratelimit.Guard
	attributes     *attributes
	controlSeen    health
	version        string
	startedAt      time.Time

	baseLoaded   atomic.Bool
	modelsPolled atomic.Bool
}

// New checks the configuration, registers the metrics and reads the static lists. It starts nothing.
func New(cfg Config, deps Deps) (*Serving, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	m, err := newMetrics(deps.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Serving{
		version: deps.Version, startedAt: time.Now(),
		log: deps.Log, now: deps.Now, control: deps.Control, online: deps.Online, export: deps.Exporter, lists: deps.Lists, limits: deps.Limits, topics: deps.Items, reg: deps.Registry, metrics: m,
		catalogue: &Catalogue{
			sites: map[string]*siteItems{}, shared: newSharedTexts(), log: deps.Items, online: deps.Online, control: deps.Control,
			produce: deps.Producer, now: deps.Now,
		},
		models: &models{
			registry: deps.Registry, log: deps.Log, now: deps.Now, refreshes: make(chan chan struct{}), sites: map[string]*siteModel{},
		},
		visitors: &visitors{online: deps.Online, control: deps.Control, waiting: make(chan struct{}, maxWaiting)},
		static: &staticLists{
			dir: filepath.Join(cfg.Dir, "static"), log: deps.Log, lists: map[string][]string{}, written: map[string]time.Time{},
		},
		exposures: newExposures(deps.Producer, m.dropped, deps.Log), recent: newRecentLists(), rotation: newRotation(), looking: make(chan struct{}, maxMore), fullShare: cfg.FullShare, exploration: cfg.Exploration,
		filters: filter.NewCache(), scratches: newScratches(),
		settings: &settingsCache{log: deps.Log, parsed: map[settingsName]parsedSettings{}},
	}
	s.attributes = &attributes{store: deps.Control}
	s.rules = &rules{store: deps.Control, cache: s.filters, log: deps.Log, skipped: m.rulesSkipped, sites: map[string]*siteRules{}}
	s.experiments = &experiments{store: deps.Control, log: deps.Log}
	s.overlay = &overlay{log: deps.Log, topic: deps.Items, models: s.models, sites: map[string]*freshSessions{}}
	s.models.over = s.overlay.over
	s.similar = &similarItems{log: deps.Log, catalogue: s.catalogue, sites: map[string]*content.Live{}, said: map[string]map[string]*said{}}
	s.models.compare, s.catalogue.changed = s.similar.use, s.similar.take
	counts, err := newFeedMetrics(deps.Metrics)
	if err != nil {
		return nil, err
	}
	s.feeds = &feeds{
		log: deps.Log, now: deps.Now, control: deps.Control, catalogue: s.catalogue, source: cfg.Feeds, metrics: counts,
		holder: fmt.Sprintf("serving, pid %d", os.Getpid()), asked: make(chan struct{}, 1),
	}
	s.base = &base{online: deps.Online, control: deps.Control}
	s.trends = &trends{online: deps.Online, base: s.base, catalogue: s.catalogue, now: deps.Now, sites: map[string]*siteTrends{}}
	if err := deps.Metrics.Register(newModelAge(s.models, deps.Now)); err != nil {
		return nil, wrap(err, "register metrics of serving")
	}
	return s, s.static.load()
}

// Run loads the catalogue and then follows catalogue, models and trends until ctx ends. It returns an error only where
// going on would serve a wrong catalogue.
func (s *Serving) Run(ctx context.Context) error {
	if err := s.loadCatalogue(ctx); err != nil {
		return ignoreEnd(ctx, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.catalogue.follow(ctx, s.log) })
	group.Go(func() error {
		s.base.watch(ctx, s.log, s.catalogue)
		return nil
	})
	group.Go(func() error {
		s.models.run(ctx, s.sites, sync.OnceFunc(func() { s.modelsPolled.Store(true) }))
		return nil
	})
	group.Go(func() error {
		s.overlay.run(ctx)
		return nil
	})
	group.Go(func() error {
		s.trends.run(ctx, s.log, s.sites, func(site string, t *siteTrends) {
			s.similar.learn(ctx, site, t)
			s.static.save(site, t, s.now())
			s.catalogue.forgetSearch(site)
		})
		return nil
	})
	group.Go(func() error {
		s.similar.run(ctx)
		return nil
	})
	group.Go(func() error {
		s.feeds.run(ctx)
		return nil
	})
	group.Go(func() error {
		s.exposures.run(ctx)
		return nil
	})
	return group.Wait()
}

// sitesLimit bounds the question which sites there are: models and trends of those that are known must not wait for a control store
// that hangs.
const sitesLimit = time.Second

// sites are those that have a key or a catalogue row.
func (s *Serving) sites(ctx context.Context) []string {
	names := s.knownSites()
	asking, cancel := context.WithTimeout(ctx, sitesLimit)
	defer cancel()
	keys, err := s.control.Keys(asking, "")
	s.controlSeen.saw(ctx, err)
	if err != nil && ctx.Err() == nil {
		s.lostSites.warn(ctx, s.log, "the control store does not list the sites", err)
	}
	for _, key := range keys {
		names = append(names, key.Site)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// knownSites are those that this node knows without asking.
func (s *Serving) knownSites() []string {
	names := append(s.catalogue.siteNames(), event.DefaultSite)
	slices.Sort(names)
	return slices.Compact(names)
}

// Ready reports whether requests are answered as they should be: the catalogue is whole, the online store has had every
// profile and aggregate, the registry was asked once, so that a model is in force or the ladder is, and what was closed since
// is over it. It does not depend on Kafka being up, unless the online store was lost, and a node stays ready when the store is
// lost later.
func (s *Serving) Ready() error {
	switch {
	case !s.baseLoaded.Load():
		return errors.New("serving: the catalogue is not loaded yet")
	case !s.catalogue.complete():
		return errors.New("serving: the online store lacks a part of the catalogue; the items topic is being read")
	case !s.base.reached.Load():
		return fmt.Errorf("serving: the online store has the features of %d of %d partitions; this waits for `millrace stream` to publish "+
			"the others: start one if none is running", s.base.filled.Load(), s.base.partitions.Load())
	case !s.modelsPolled.Load():
		return errors.New("serving: the model registry was not asked yet")
	case !s.overlay.reached.Load():
		return errors.New("serving: the sessions that were closed since the models were trained are being read")
	}
	return nil
}

// AdminRoutes mounts what the command line asks of a running process. The caller authorises every request.
func (s *Serving) AdminRoutes(r chi.Router) {
	r.Post("/admin/items:bulk", s.handleAdminBulk)
	r.Post("/admin/models:refresh", s.handleRefreshModels)
	r.Post("/admin/recommendations:replay", s.handleReplay)
	r.Post("/admin/recommendations:users", s.handleUserLists)
}
