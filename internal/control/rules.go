package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/sqldb"
)

const (
	// MaxRules is how many rules a site has: each is looked at for every list.
	MaxRules = 200
	// MaxRulePriority is the largest priority of a rule, and its negative the smallest.
	MaxRulePriority = 1_000_000
	// maxDocumentBytes bounds the stored form of a rule, and of other documents of operators.
	maxDocumentBytes = 64 << 10
	// maxRuleName bounds what a rule is called.
	maxRuleName = 200
)

var (
	// ErrUnknownRule means that a site has no rule of an id.
	ErrUnknownRule = errors.New("the site has no such rule")
	// ErrTooManyRules means that a site has MaxRules.
	ErrTooManyRules = fmt.Errorf("the site has %d rules, which is the limit", MaxRules)
	// ErrLongRule means that a rule is longer than what is kept of one.
	ErrLongRule = fmt.Errorf("the rule has more than %d bytes", maxDocumentBytes)
)

var ruleTable = documents[Rule]{
	table: "rules", column: "rule", most: MaxRules, tooMany: ErrTooManyRules, tooLong: ErrLongRule,
	restore: func(r *Rule, site, id string, revision int64) { r.Site, r.ID, r.Revision = site, id, revision },
}

// Boost multiplies the scores of items: by By those that Filter matches, or each by the value of Expr. An item that the value
// cannot be computed for keeps its score.
type Boost struct {
	Filter string  `json:"filter,omitempty" maxLength:"2048" doc:"The items whose scores are multiplied, in CEL." example:"item.brand == \"Salewa\""`
	By     float64 `json:"by,omitempty" minimum:"0.01" maximum:"100" doc:"The factor that goes with filter." example:"1.5"`
	Expr   string  `json:"expr,omitempty" maxLength:"2048" doc:"Instead of both, the factor of each item, in CEL; it counts as 0.01 to 100." example:"item.price < 50 ? 1.2 : 1.0"`
}

// Rule is what merchandisers decide about lists. Those that are in force go together: an item must match every filter, and boosts
// multiply. Expressions are those of package filter; they are compiled by whoever applies them.
type Rule struct {
	Site       string    `json:"-"`
	ID         string    `json:"id" doc:"Its name in paths and explanations." example:"summer-sale"`
	Name       string    `json:"name" doc:"What people call it." example:"Summer sale"`
	Placements []string  `json:"placements" doc:"Where it applies; empty is everywhere."`
	Condition  string    `json:"condition,omitempty" doc:"When it applies, in CEL over context, user and now; empty is always."`
	Filter     string    `json:"filter,omitempty" doc:"Which items may be shown, in CEL."`
	Boost      []Boost   `json:"boost,omitempty" doc:"Which items rise or fall."`
	Pin        []Pin     `json:"pin,omitempty" doc:"Which items have which places."`
	Priority   int       `json:"priority" doc:"Rules are listed, and applied, from the highest to the lowest." example:"10"`
	Enabled    bool      `json:"enabled" doc:"Whether it applies at all."`
	StartsAt   time.Time `json:"starts_at,omitzero" doc:"From when on it applies."`
	EndsAt     time.Time `json:"ends_at,omitzero" doc:"From when on it does not apply any more."`
	Revision   int64     `json:"revision" doc:"Counts its changes." example:"3"`
	UpdatedAt  time.Time `json:"updated_at" doc:"When it was last changed."`
}

// ETag identifies the revision of a rule.
func (r Rule) ETag() string { return strconv.FormatInt(r.Revision, 10) }

// InForce reports whether a rule applies to a placement at a time, apart from its condition.
func (r *Rule) InForce(placement string, now time.Time) bool {
	return r.Enabled && !now.Before(r.StartsAt) && (r.EndsAt.IsZero() || now.Before(r.EndsAt)) &&
		(len(r.Placements) == 0 || slices.Contains(r.Placements, placement))
}

// Check reports what is wrong with a rule, apart from its expressions.
func (r *Rule) Check() error {
	if err := event.CheckSite(r.Site); err != nil {
		return err
	}
	if !placementName.MatchString(r.ID) {
		return fmt.Errorf("id %q is not 1 to 64 characters of a-z, 0-9, _ and -", clip(r.ID))
	}
	if len(r.Name) > maxRuleName {
		return fmt.Errorf("name has %d bytes, the limit is %d", len(r.Name), maxRuleName)
	}
	for _, name := range r.Placements {
		if !placementName.MatchString(name) {
			return fmt.Errorf("placement %q is not 1 to 64 characters of a-z, 0-9, _ and -", clip(name))
		}
	}
	if !r.EndsAt.IsZero() && !r.EndsAt.After(r.StartsAt) {
		return errors.New("ends_at is not after starts_at")
	}
	if r.Priority < -MaxRulePriority || r.Priority > MaxRulePriority {
		return fmt.Errorf("priority %d is not within -%d to %d", r.Priority, MaxRulePriority, MaxRulePriority)
	}
	return checkPins(r.Pin)
}

// Rules are those of a site, the highest priority first, ties by id. The answer is at most CacheAge old, and shared: callers only
// read it.
func (s *Store) Rules(ctx context.Context, site string) ([]Rule, error) {
	stored, err := s.rules.get(ctx)
	return stored[site], err
}

// Rule is one rule, as it stands now; ErrUnknownRule where there is none.
func (s *Store) Rule(ctx context.Context, site, id string) (Rule, error) {
	rule, err := ruleTable.find(ctx, s.db, site, id)
	if err != nil {
		return Rule{}, err
	}
	if rule == nil {
		return Rule{}, ErrUnknownRule
	}
	return *rule, nil
}

// PutRule stores a rule under its id and returns it with its revision, if it stands as the caller knows it: ifMatch is its ETag,
// NoETag for none, or empty for whatever stands; else it is ErrChanged.
func (s *Store) PutRule(ctx context.Context, r Rule, ifMatch string) (Rule, error) {
	if err := r.Check(); err != nil {
		return r, fmt.Errorf("put rule: %w", err)
	}
	if r.Placements == nil {
		r.Placements = []string{}
	}
	err := s.changeRule(ctx, r.Site, r.ID, ifMatch, func(tx *sqldb.Tx, before *Rule) error {
		r.Revision, r.UpdatedAt = 1, time.Now().UTC().Truncate(time.Millisecond)
		if before != nil {
			r.Revision = before.Revision + 1
		}
		if err := ruleTable.put(ctx, tx, r, r.Site, r.ID, r.Revision, r.UpdatedAt); err != nil {
			return err
		}
		return s.audit(ctx, tx, AuditEntry{Site: r.Site, Action: "rule.put", Target: r.ID, Before: orNil(before), After: r})
	})
	if err != nil {
		return r, fmt.Errorf("put rule %s: %w", clip(r.ID), err)
	}
	return r, nil
}

// DeleteRule removes a rule; ErrUnknownRule where there is none, ErrChanged as PutRule.
func (s *Store) DeleteRule(ctx context.Context, site, id, ifMatch string) error {
	err := s.changeRule(ctx, site, id, ifMatch, func(tx *sqldb.Tx, before *Rule) error {
		if before == nil {
			return ErrUnknownRule
		}
		if err := ruleTable.remove(ctx, tx, site, id); err != nil {
			return err
		}
		return s.audit(ctx, tx, AuditEntry{Site: site, Action: "rule.delete", Target: id, Before: *before})
	})
	if err != nil {
		return fmt.Errorf("delete rule %s: %w", clip(id), err)
	}
	return nil
}

func (s *Store) changeRule(ctx context.Context, site, id, ifMatch string, change func(tx *sqldb.Tx, before *Rule) error) error {
	defer s.rules.drop()
	return changeRow(ctx, s.db, ifMatch, func(tx *sqldb.Tx) (*Rule, error) { return ruleTable.find(ctx, tx, site, id) }, change)
}

func (s *Store) loadRules(ctx context.Context) (map[string][]Rule, error) {
	all, err := ruleTable.read(ctx, s.db, "")
	for _, list := range all {
		slices.SortFunc(list, func(a, b Rule) int { return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.ID, b.ID)) })
	}
	return all, err
}
