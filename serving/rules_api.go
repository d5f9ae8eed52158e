package serving

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
)

// ProblemUnknownRule is the type of a request for a rule that the site does not have.
const ProblemUnknownRule = "unknown-rule"

// MaxRuleBytes has room for a rule with all its boosts.
const MaxRuleBytes = 128 << 10

func (s *Serving) ruleEndpoints(a *api.API) {
	admin := string(control.ScopeAdmin)
	secretEndpoint(s, a, api.Endpoint{
		ID: "listRules", Method: http.MethodGet, Path: "/v1/rules", Tag: api.TagPlacements, Scope: admin, Summary: "List rules",
		Description: "The rules of the site, the highest priority first.",
	}, s.listRules)
	secretEndpoint(s, a, api.Endpoint{
		ID: "getRule", Method: http.MethodGet, Path: "/v1/rules/{id}", Tag: api.TagPlacements, Scope: admin, Summary: "Read a rule",
		Description: "A rule with its ETag.", Problems: []string{ProblemUnknownRule},
	}, s.getRule)
	secretEndpoint(s, a, api.Endpoint{
		ID: "putRule", Method: http.MethodPut, Path: "/v1/rules/{id}", Tag: api.TagPlacements, Scope: admin, Summary: "Write a rule",
		Description: "The rule becomes what the body says. Filters of rules in force go together, boosts multiply, and pinned items stand where they are pinned, unless they may not be shown. In force at once here, within a second " +
			"elsewhere. With If-Match only where it stands as it was read; `If-None-Match: *` only where there is none. docs/filters.md has the language.",
		MaxBodyBytes: MaxRuleBytes, Body: `{"name":"Summer sale","condition":"context.sale","boost":[{"filter":"\"sale\" in item.labels","by":2}],"enabled":true}`,
		Problems: []string{ProblemChanged, ProblemExpression},
	}, s.putRule)
	secretEndpoint(s, a, api.Endpoint{
		ID: "deleteRule", Method: http.MethodDelete, Path: "/v1/rules/{id}", Tag: api.TagPlacements, Scope: admin, Summary: "Delete a rule",
		Description: "The next list knows nothing of it; other nodes follow within a second.", Problems: []string{ProblemUnknownRule, ProblemChanged},
	}, s.deleteRule)
}

type ruleList struct {
	Rules []control.Rule `json:"rules" doc:"The highest priority first."`
}

type rulesOutput struct{ Body ruleList }

// RuleInput names a rule.
type RuleInput struct {
	ID string `path:"id" maxLength:"64" pattern:"^[a-z0-9][a-z0-9_-]{0,63}$" doc:"The rule." example:"summer-sale"`
}

type ruleOutput struct {
	ETag string `header:"ETag" doc:"The rule's revision."`
	Body control.Rule
}

// ruleWrite is what a rule may be written with.
type ruleWrite struct {
	Name       string        `json:"name,omitempty" maxLength:"200" doc:"What people call it." example:"Summer sale"`
	Placements []string      `json:"placements,omitempty" maxItems:"100" doc:"Where it applies; empty is everywhere." example:"[\"home\"]"`
	Condition  string        `json:"condition,omitempty" maxLength:"2048" doc:"When it applies, in CEL over context, user and now; empty is always." example:"context.sale"`
	Filter     string        `json:"filter,omitempty" maxLength:"2048" doc:"Which items may be shown, in CEL." example:"item.available"`
	Boost      []Boost       `json:"boost,omitempty" maxItems:"16" doc:"Which items rise or fall."`
	Pin        []control.Pin `json:"pin,omitempty" maxItems:"20" doc:"Which items have which places."`
	Priority   int           `json:"priority,omitempty" minimum:"-1000000" maximum:"1000000" doc:"The highest is listed first." example:"10"`
	Enabled    *bool         `json:"enabled,omitempty" doc:"Whether it applies at all; one that does not say does." example:"true"`
	StartsAt   time.Time     `json:"starts_at,omitzero" required:"false" doc:"From when on it applies."`
	EndsAt     time.Time     `json:"ends_at,omitzero" required:"false" doc:"From when on it does not apply any more."`
}

type putRuleInput struct {
	RuleInput
	WriteCondition
	api.JSON[ruleWrite]
}

type deleteRuleInput struct {
	RuleInput
	Condition
}

func (s *Serving) listRules(ctx context.Context, site string, _ *struct{}) (*rulesOutput, *httpserver.Problem) {
	list, err := s.control.Rules(ctx, site)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	return &rulesOutput{Body: ruleList{Rules: append([]control.Rule{}, list...)}}, nil
}

func (s *Serving) getRule(ctx context.Context, site string, in *RuleInput) (*ruleOutput, *httpserver.Problem) {
	rule, err := s.control.Rule(ctx, site, in.ID)
	if err != nil {
		return nil, ruleProblem(err)
	}
	return &ruleOutput{ETag: quoteETag(rule.ETag()), Body: rule}, nil
}

func (s *Serving) putRule(ctx context.Context, site string, in *putRuleInput) (*ruleOutput, *httpserver.Problem) {
	w := in.Value
	rule := control.Rule{
		Site: site, ID: in.ID, Name: w.Name, Placements: w.Placements, Condition: w.Condition, Filter: w.Filter, Boost: w.Boost, Pin: w.Pin, Priority: w.Priority,
		Enabled: w.Enabled == nil || *w.Enabled, StartsAt: w.StartsAt.UTC(), EndsAt: w.EndsAt.UTC(),
	}
	if err := rule.Check(); err != nil {
		return nil, invalid("", "the rule: %v", err)
	}
	if rule.Filter == "" && len(rule.Boost) == 0 && len(rule.Pin) == 0 {
		p := invalid("", "the rule has neither a filter nor a boost nor a pin")
		p.Hint = "a rule says which items may be shown (filter), which count more (boost), or which have which places (pin)"
		return nil, p
	}
	if _, wrong := compileRule(s.filters, &rule); wrong != nil {
		return nil, wrong.problem()
	}
	rule, err := s.control.PutRule(ctx, rule, in.tag())
	if err != nil {
		return nil, ruleProblem(err)
	}
	return &ruleOutput{ETag: quoteETag(rule.ETag()), Body: rule}, nil
}

func (s *Serving) deleteRule(ctx context.Context, site string, in *deleteRuleInput) (*struct{}, *httpserver.Problem) {
	if err := s.control.DeleteRule(ctx, site, in.ID, in.tag()); err != nil {
		return nil, ruleProblem(err)
	}
	return &struct{}{}, nil
}

func ruleProblem(err error) *httpserver.Problem {
	switch {
	case errors.Is(err, control.ErrUnknownRule):
		return &httpserver.Problem{
			Type: ProblemUnknownRule, Title: "Unknown rule", Status: http.StatusNotFound,
			Detail: control.ErrUnknownRule.Error(), Hint: "GET /v1/rules lists them",
		}
	case errors.Is(err, control.ErrTooManyRules):
		return atLimit(control.ErrTooManyRules, "delete one, or put several into one")
	case errors.Is(err, control.ErrLongRule):
		return invalid("", "%v", control.ErrLongRule)
	}
	return placementProblem(err)
}
