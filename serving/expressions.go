package serving

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/filter"
	"github.com/millrace/millrace/internal/httpserver"
)

// ProblemExpression is the type of a filter, boost or condition that does not compile, or that reads what the request does not have.
const ProblemExpression = "invalid-expression"

const (
	// MaxBoosts is how many boosts a request, a placement or a rule has.
	MaxBoosts = 16
	// MinFactor and MaxFactor bound what one boost does to a score, and what all of them do together.
	MinFactor = 0.01
	MaxFactor = 100.0
)

// Boost is a boost of a request, a placement or a rule.
type Boost = control.Boost

// boostTexts are boosts as a record has them: each as the expression of its factor.
func boostTexts(boosts []Boost) []string {
	if len(boosts) == 0 {
		return nil
	}
	texts := make([]string, len(boosts))
	for i, b := range boosts {
		texts[i] = b.Expr
		if b.Filter != "" {
			texts[i] = fmt.Sprintf("(%s) ? %g : 1.0", b.Filter, b.By)
		}
	}
	return texts
}

// boostProgram is a compiled Boost.
type boostProgram struct {
	by      float64
	program *filter.Program // a filter where by is set, else a factor
}

// expressions are the compiled filters and boosts of a request, a placement or a rule.
type expressions struct {
	filter *filter.Program // nil where there is none
	boosts []boostProgram
	user   bool // one of them reads an attribute of the user
}

// fault is what is wrong with one of them, and which: a JSON pointer below where they stand.
type fault struct {
	pointer string
	err     error
}

// compileExpressions compiles a filter and boosts.
func compileExpressions(cache *filter.Cache, text string, boosts []Boost) (x expressions, wrong *fault) {
	var err error
	if text != "" {
		if x.filter, err = cache.Filter(text); err != nil {
			return x, &fault{"/filter", err}
		}
	}
	if len(boosts) > MaxBoosts {
		return x, &fault{"/boost", fmt.Errorf("there are %d boosts, the limit is %d", len(boosts), MaxBoosts)}
	}
	for i, b := range boosts {
		compiled, pointer, err := compileBoost(cache, b)
		if err != nil {
			return x, &fault{"/boost/" + strconv.Itoa(i) + pointer, err}
		}
		x.boosts = append(x.boosts, compiled)
		x.user = x.user || readsUser(compiled.program)
	}
	x.user = x.user || x.filter != nil && readsUser(x.filter)
	return x, nil
}

func readsUser(p *filter.Program) bool {
	return slices.ContainsFunc(p.Names(), func(n filter.Name) bool { return n.User })
}

// attributeTexts are a user's attributes as expressions read them: texts, as the values of context.
func attributeTexts(values map[string]any) map[string]string {
	texts := make(map[string]string, len(values))
	for name, value := range values {
		switch v := value.(type) {
		case string:
			texts[name] = v
		case float64:
			texts[name] = strconv.FormatFloat(v, 'g', -1, 64)
		case bool:
			texts[name] = strconv.FormatBool(v)
		}
	}
	return texts
}

// userOf are the attributes of the visitor, where an expression reads one. Where they cannot be read none can be decided on.
func (s *Serving) userOf(ctx context.Context, q *query, rules []compiledRule) map[string]string {
	reads := q.request.expressions.user || q.settings.expressions.user
	for i := range rules {
		reads = reads || rules[i].user
	}
	if !reads || q.request.UserID == "" {
		return nil
	}
	values, err := s.attributes.of(ctx, q.site, q.request.UserID)
	if err != nil {
		s.lostAttributes.warn(ctx, s.log, "attributes of users cannot be read; filters and rules that ask for them cannot be decided", err)
	}
	return attributeTexts(values)
}

func compileBoost(cache *filter.Cache, b Boost) (compiled boostProgram, pointer string, err error) {
	switch {
	case b.Filter == "" && b.Expr == "":
		return compiled, "", errors.New("a boost has a filter with by, or an expr")
	case b.Filter != "" && b.Expr != "":
		return compiled, "/expr", errors.New("a boost has a filter with by, or an expr, not both")
	case b.Expr != "":
		if b.By != 0 {
			return compiled, "/by", errors.New("by goes with filter; expr is the factor itself")
		}
		compiled.program, err = cache.Factor(b.Expr)
		return compiled, "/expr", err
	case !(b.By >= MinFactor && b.By <= MaxFactor):
		return compiled, "/by", fmt.Errorf("by is %g, it must be %g to %g", b.By, MinFactor, MaxFactor)
	}
	compiled.by = b.By
	compiled.program, err = cache.Filter(b.Filter)
	return compiled, "/filter", err
}

// problem is the fault as an answer.
func (f *fault) problem() *httpserver.Problem {
	p := &httpserver.Problem{
		Type: ProblemExpression, Title: "Expression not understood", Status: http.StatusBadRequest, Pointer: f.pointer, Detail: f.err.Error(),
	}
	var wrong *filter.Error
	if errors.As(f.err, &wrong) {
		p.Hint = wrong.Hint
		told := *wrong
		told.Hint = ""
		p.Detail = told.Error()
	}
	return p
}

// compile compiles the expressions of a request, and refuses those that read what it does not say: in a list they could only leave
// everything out.
func (q *Request) compile(cache *filter.Cache) *httpserver.Problem {
	var wrong *fault
	if q.expressions, wrong = compileExpressions(cache, q.Filter, q.Boost); wrong != nil {
		return wrong.problem()
	}
	programs := []*filter.Program{q.expressions.filter}
	for _, b := range q.expressions.boosts {
		programs = append(programs, b.program)
	}
	for i, p := range programs {
		if p == nil {
			continue
		}
		for _, name := range p.Names() {
			if _, given := q.Context[name.Name]; given || name.Asked || name.User {
				continue
			}
			pointer := "/filter"
			if i > 0 {
				pointer = "/boost/" + strconv.Itoa(i-1)
			}
			return &httpserver.Problem{
				Type: ProblemExpression, Title: "Context is missing", Status: http.StatusBadRequest, Pointer: pointer,
				Detail: "the expression reads context." + name.Name + ", but the request's context has no " + strconv.Quote(name.Name),
				Hint:   "add it to context, or ask has(context." + name.Name + ") first",
			}
		}
	}
	return nil
}

// restriction is what filters leave of a list and boosts do to its order, bound to one request: those of the request, of the placement
// and of the rules in force.
type restriction struct {
	filters []*filter.Bound // every one of which an item must match
	boosts  []boundBoost
	rules   []*control.Rule // those that are in force
	user    map[string]string
	unknown hearsay // the item at hand, where it has no row
}

type boundBoost struct {
	by    float64
	bound *filter.Bound
}

func (r *restriction) reset() {
	clear(r.filters)
	clear(r.boosts)
	clear(r.rules)
	*r = restriction{filters: r.filters[:0], boosts: r.boosts[:0], rules: r.rules[:0]}
}

// add binds expressions to what they read.
func (r *restriction) add(x *expressions, values *filter.Values) {
	if x.filter != nil {
		r.filters = append(r.filters, x.filter.Bind(values))
	}
	for _, b := range x.boosts {
		r.boosts = append(r.boosts, boundBoost{b.by, b.program.Bind(values)})
	}
}

// subject is an item as expressions look at it.
func (r *restriction) subject(id string, row *Row, t *siteTrends) filter.Subject {
	if row != nil {
		return row
	}
	r.unknown = hearsay{id: id, it: t.items[id]}
	return &r.unknown
}

func (r *restriction) allows(item filter.Subject) bool {
	for _, f := range r.filters {
		if !f.Match(item) {
			return false
		}
	}
	return true
}

// factor is what an item's score is multiplied by.
func (r *restriction) factor(item filter.Subject) float64 {
	product := 1.0
	for _, b := range r.boosts {
		if b.by != 0 {
			if b.bound.Match(item) {
				product *= b.by
			}
		} else if f, ok := b.bound.Factor(item); ok && !math.IsNaN(f) {
			product *= max(MinFactor, min(MaxFactor, f))
		}
	}
	return max(MinFactor, min(MaxFactor, product))
}

// restrict gathers the filters and boosts of the rules in force, of the placement and of the request.
func (q *query) restrict(rules []compiledRule, user map[string]string) {
	r := &q.mem.restriction
	values := &filter.Values{Context: q.request.Context, User: user, Now: q.now}
	r.user = user
	r.apply(rules, q.placement.Name, values)
	r.add(&q.settings.expressions, values)
	r.add(&q.request.expressions, values)
	q.filtered, q.boosted = len(r.filters) > 0, len(r.boosts) > 0
}
