package serving

import (
	"context"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/filter"
)

// rules are what merchandisers decided, compiled. A rule of the control store is in force within control.CacheAge on every node.
type rules struct {
	store   Control
	cache   *filter.Cache
	log     *slog.Logger
	skipped prometheus.Counter
	lost    rarely

	mu    sync.RWMutex // guards sites
	sites map[string]*siteRules
}

// siteRules are the rules of a site as they were read last.
type siteRules struct {
	read     *control.Rule // the first of what was read, which says whether it is the same still
	compiled []compiledRule
}

type compiledRule struct {
	rule      *control.Rule
	condition *filter.Program // nil where it applies always
	expressions
}

// of returns a site's rules, the highest priority first. Where the control store does not answer it returns those that were read last.
func (r *rules) of(ctx context.Context, site string) []compiledRule {
	read, err := r.store.Rules(ctx, site)
	r.mu.RLock()
	known := r.sites[site]
	r.mu.RUnlock()
	if err != nil {
		r.lost.warn(ctx, r.log, "rules cannot be read; those that were read last stay in force", err)
		if known == nil {
			return nil
		}
		return known.compiled
	}
	if len(read) == 0 && known == nil {
		return nil
	}
	var first *control.Rule
	if len(read) > 0 {
		first = &read[0]
	}
	if known != nil && known.read == first {
		return known.compiled
	}
	fresh := &siteRules{read: first, compiled: r.compile(ctx, known, read)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sites[site] = fresh
	return fresh.compiled
}

// compile compiles rules. One that this version does not understand is left out, which the log says once for each of its revisions.
func (r *rules) compile(ctx context.Context, known *siteRules, read []control.Rule) []compiledRule {
	var compiled []compiledRule
	for i := range read {
		c, wrong := compileRule(r.cache, &read[i])
		if wrong == nil {
			compiled = append(compiled, c)
			continue
		}
		if !known.has(&read[i]) {
			r.skipped.Inc()
			r.log.WarnContext(ctx, "a rule is not understood and left out", "site", read[i].Site, "rule", read[i].ID, "at", wrong.pointer, "error", wrong.err)
		}
		compiled = append(compiled, compiledRule{rule: &control.Rule{ID: read[i].ID, Revision: read[i].Revision}}) // is in force nowhere
	}
	return compiled
}

// has reports whether a revision of a rule was read before.
func (s *siteRules) has(rule *control.Rule) bool {
	if s == nil {
		return false
	}
	for i := range s.compiled {
		if before := s.compiled[i].rule; before.ID == rule.ID && before.Revision == rule.Revision {
			return true
		}
	}
	return false
}

// compileRule compiles the expressions of a rule.
func compileRule(cache *filter.Cache, rule *control.Rule) (c compiledRule, wrong *fault) {
	c.rule = rule
	if rule.Condition != "" {
		var err error
		if c.condition, err = cache.Condition(rule.Condition); err != nil {
			return c, &fault{"/condition", err}
		}
	}
	if c.expressions, wrong = compileExpressions(cache, rule.Filter, rule.Boost); wrong != nil {
		return c, wrong
	}
	c.user = c.user || c.condition != nil && readsUser(c.condition)
	return c, nil
}

// apply adds the rules that are in force for a query.
func (r *restriction) apply(all []compiledRule, placement string, values *filter.Values) {
	for i := range all {
		c := &all[i]
		if !c.rule.InForce(placement, values.Now) || c.condition != nil && !c.condition.Bind(values).Match(nil) {
			continue
		}
		r.rules = append(r.rules, c.rule)
		r.add(&c.expressions, values)
	}
}

// ruleIDs are the rules in force, the highest priority first.
func (r *restriction) ruleIDs() []string {
	ids := make([]string, len(r.rules))
	for i, rule := range r.rules {
		ids[i] = rule.ID
	}
	return ids
}
