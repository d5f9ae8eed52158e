package filter

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// language is the environment that every compilation uses.
var language = sync.OnceValues(func() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	return newEnvironment(&provider{Registry: registry})
})

// Name is a value of context or user that an expression reads.
type Name struct {
	User  bool // of user instead of context
	Name  string
	Asked bool // has(...) asks whether it is there, so it may be missing
}

func compile(text string, wanted Kind, overItems bool) (*Program, error) {
	env, err := language()
	if err != nil {
		return nil, err
	}
	checked, failed := check(env, text, wanted)
	if failed != nil {
		return nil, failed
	}
	tree := checked.NativeRep()
	l := &lowering{tree: tree}
	p := &Program{text: text, names: namesOf(tree)}
	if wanted == KindBool {
		p.conjuncts, failed = l.conjuncts(tree.Expr())
	} else {
		var n node
		if n, failed = l.lower(tree.Expr()); failed == nil {
			p.factor = l.settled(n).value
		}
	}
	if failed != nil {
		return nil, failed
	}
	if l.usesItem && !overItems {
		return nil, &Error{Message: "a condition is asked before any item is looked at", Hint: "use context, user and now; what depends on the item goes into filter"}
	}
	p.slots, p.bound = l.slots, l.bound
	return p, nil
}

// check parses a text, makes its numbers doubles, and its texts of context what they are compared with.
func check(env *cel.Env, text string, wanted Kind) (*cel.Ast, *Error) {
	if len(text) > MaxBytes {
		return nil, &Error{Message: fmt.Sprintf("the expression has %d bytes, the limit is %d", len(text), MaxBytes), Hint: "say less in one expression"}
	}
	if strings.TrimSpace(text) == "" {
		return nil, &Error{Message: "the expression is empty"}
	}
	if !utf8.ValidString(text) {
		return nil, &Error{Message: "the expression is not UTF-8"}
	}
	parsed, issues := env.Parse(text)
	if issues.Err() != nil {
		return nil, explain(issues)
	}
	tree := parsed.NativeRep()
	if err := normalise(tree, tree.Expr(), false); err != nil {
		return nil, err
	}
	first, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, explain(issues)
	}
	c := newCoercion(first.NativeRep())
	if err := c.rewrite(tree.Expr()); err != nil {
		return nil, err
	}
	c.as(tree.Expr(), wanted)
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, explain(issues)
	}
	if got := kindOf(checked.OutputType()); got != wanted && got != KindAny {
		return nil, at(tree, tree.Expr(), "", "the expression is a %s, but a %s is needed here", got, wanted)
	}
	return checked, nil
}

// namesOf are the values of context and user that a tree reads.
func namesOf(tree *ast.AST) []Name {
	var names []Name
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		p, ok := pathOf(e)
		if !ok || p.root == varItem {
			return
		}
		asked := e.Kind() == ast.SelectKind && e.AsSelect().IsTestOnly()
		i := slices.IndexFunc(names, func(n Name) bool { return n.User == (p.root == varUser) && n.Name == p.name })
		if i < 0 {
			i = len(names)
			names = append(names, Name{User: p.root == varUser, Name: p.name})
		}
		names[i].Asked = names[i].Asked || asked
	}))
	return names
}
