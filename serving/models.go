package serving

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/basket"
	"github.com/millrace/millrace/internal/model/blend"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/registry"
)

const (
	// modelPoll is how often the registry is asked for a new champion: one small file a site and second.
	modelPoll = time.Second
	// modelRetry is the pause before a version that could not be loaded is tried again: its file may be restored.
	modelRetry = 30 * time.Second
)

// sessionFamilies are the session models in the order of preference: a version serves the first that it holds.
var sessionFamilies = []string{"vstan", "vmisknn"}

// loadedModel is one version in force. It never changes; a swap replaces the pointer, and requests that hold the old
// one finish with it.
type loadedModel struct {
	*registry.Bundle
	session     model.Scorer // nil where the version has none
	transitions model.Scorer // nil where the version has none
	blend       *blend.Model // nil where the version has none
	baskets     model.Scorer // nil where the version has none
	pages       *pageLists   // of session and transitions
	placing     *placing     // where its items are in the catalogue

	trained *loadedModel // the version as it was trained, where closed sessions lie over it (overlay); else nil
	fresh   int          // how many do
	changes int64        // of the site's closed sessions that they are as of
}

// whole is the version as it was trained.
func (m *loadedModel) whole() *loadedModel {
	if m.trained != nil {
		return m.trained
	}
	return m
}

func newLoadedModel(b *registry.Bundle) *loadedModel {
	m := &loadedModel{Bundle: b, transitions: b.Scorers[transitions.Name], baskets: b.Scorers[basket.Name], pages: newPageLists(b.Vocabulary.Len()), placing: &placing{}}
	for _, name := range sessionFamilies {
		if m.session = b.Scorers[name]; m.session != nil {
			break
		}
	}
	m.blend, _ = b.Scorers[blend.Name].(*blend.Model)
	return m
}

// siteModel is a site's model. Only the poll loop touches the fields below current.
type siteModel struct {
	current atomic.Pointer[loadedModel]
	failed  string    // the version that could not be loaded, which is reported once
	retryAt time.Time // when to try it again
}

// models follows the champions of every site.
type models struct {
	registry Registry
	health   health // of the registry
	log      *slog.Logger
	now      func() time.Time

	// over puts closed sessions over a model that comes into force.
	over func(ctx context.Context, site string, trained *loadedModel) *loadedModel
	// compare says how similar items are told by a model that comes into force.
	compare func(ctx context.Context, site string, trained *loadedModel)

	refreshes chan chan struct{} // who waits for a poll that begins after asking

	mu    sync.RWMutex // guards sites
	sites map[string]*siteModel
}

// of returns the model in force on a site, nil where there is none.
func (m *models) of(site string) *loadedModel {
	m.mu.RLock()
	s := m.sites[site]
	m.mu.RUnlock()
	if s == nil {
		return nil
	}
	return s.current.Load()
}

// all calls f with every site that has a model in force.
func (m *models) all(f func(site string, loaded *loadedModel)) {
	m.mu.RLock()
	sites := maps.Clone(m.sites)
	m.mu.RUnlock()
	for site, s := range sites {
		if loaded := s.current.Load(); loaded != nil {
			f(site, loaded)
		}
	}
}

// replace puts another form of the model in force, unless another version has come meanwhile.
func (m *models) replace(site string, old, by *loadedModel) {
	m.mu.RLock()
	s := m.sites[site]
	m.mu.RUnlock()
	s.current.CompareAndSwap(old, by)
}

// run polls the champions until ctx ends, and at once when refresh asks; the first poll is done before ready is called.
func (m *models) run(ctx context.Context, sites func(context.Context) []string, ready func()) {
	tick := time.NewTicker(modelPoll)
	defer tick.Stop()
	var asked chan struct{}
	for {
		m.pollAll(ctx, sites(ctx))
		ready()
		if asked != nil {
			close(asked)
		}
		select {
		case <-tick.C:
			asked = nil
		case asked = <-m.refreshes:
		case <-ctx.Done():
			return
		}
	}
}

func (m *models) pollAll(ctx context.Context, sites []string) {
	for _, site := range sites {
		m.poll(ctx, site)
	}
}

// refresh returns when a poll that began after the call has ended: the champions of this moment are in force, where they
// can be.
func (m *models) refresh(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case m.refreshes <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// poll loads the champion of a site when it is not the version in force. Whatever goes wrong, the version in force
// stays, or where there is none the champion's predecessor comes into force; the request path never waits.
func (m *models) poll(ctx context.Context, site string) {
	m.mu.Lock()
	s := m.sites[site]
	if s == nil {
		s = &siteModel{}
		m.sites[site] = s
	}
	m.mu.Unlock()
	version, err := m.registry.ChampionVersion(ctx, site)
	m.health.saw(ctx, answersOf(err, registry.ErrNoChampion))
	if err != nil {
		if !isNoChampion(err) {
			m.report(ctx, site, s, "champion", err)
		}
		return
	}
	current := s.current.Load()
	if current != nil && current.Manifest.Version == version {
		s.failed = ""
		return
	}
	if s.failed == version && m.now().Before(s.retryAt) {
		return
	}
	bundle, err := m.registry.Load(ctx, site, version)
	if err == nil {
		m.use(ctx, site, s, bundle)
		s.failed = ""
		return
	}
	if current == nil {
		err = errors.Join(err, m.fallBack(ctx, site, s))
	}
	m.report(ctx, site, s, version, err)
}

// use puts a version in force.
func (m *models) use(ctx context.Context, site string, s *siteModel, b *registry.Bundle) {
	trained := newLoadedModel(b)
	m.compare(ctx, site, trained)
	next := m.over(ctx, site, trained)
	next.warm(ctx, s.current.Load(), m.now())
	s.current.Store(next)
	m.log.InfoContext(ctx, "model is in force", "site", site, "version", b.Manifest.Version,
		"items", b.Vocabulary.Len(), "trained_at", b.Manifest.CreatedAt)
}

// fallBack puts the newest predecessor of the champion that can be loaded in force: after a restart it serves better
// lists than the ladder. It returns what is wrong with those that it passed over.
func (m *models) fallBack(ctx context.Context, site string, s *siteModel) (problem error) {
	versions, err := m.registry.Predecessors(ctx, site)
	if err != nil {
		return err
	}
	for _, version := range versions {
		bundle, err := m.registry.Load(ctx, site, version)
		if err == nil {
			m.use(ctx, site, s, bundle)
			return problem
		}
		if !errors.Is(err, registry.ErrUnknownVersion) { // removed since: nothing that anybody could mend
			problem = errors.Join(problem, err)
		}
	}
	return problem
}

// report says once what is wrong with a version and what is served meanwhile. The error itself says what to do.
func (m *models) report(ctx context.Context, site string, s *siteModel, version string, err error) {
	s.retryAt = m.now().Add(modelRetry)
	if ctx.Err() != nil || s.failed == version {
		return
	}
	s.failed = version
	meanwhile := "lists come from the ladder: categories, trends, the last list on disk"
	if current := s.current.Load(); current != nil {
		meanwhile = "version " + current.Manifest.Version + " is in force instead"
	}
	m.log.ErrorContext(ctx, "model cannot be loaded", "site", site, "version", version, "error", err, "meanwhile", meanwhile)
}

// isNoChampion reports that nothing was promoted yet, which is no fault.
func isNoChampion(err error) bool { return errors.Is(err, registry.ErrNoChampion) }
