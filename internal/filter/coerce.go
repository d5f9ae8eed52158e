package filter

import (
	"strconv"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Values of context and user are texts, as in a query string. Where one meets a value of another type it is read as that: coercion
// puts double(...), bool(...), timestamp(...) or duration(...) around it. So an expression means the same for a number of JSON, for the
// text of a query parameter, and for what a record of the request says later. The types of the shop's own fields are known only when
// an item is looked at: there @alike(text, value) reads the text as what the value is.

// coercion rewrites a tree that was checked once, whose types it asks.
type coercion struct {
	tree *ast.AST
	next int64 // an id that no expression has
}

func newCoercion(tree *ast.AST) *coercion {
	c := &coercion{tree: tree}
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) { c.next = max(c.next, e.ID()) }))
	c.next++
	return c
}

func (c *coercion) fresh() int64 {
	c.next++
	return c.next
}

// isLoose reports whether an expression is a value of context or user, or a choice between two.
func isLoose(e ast.Expr) bool {
	if p, ok := pathOf(e); ok {
		return p.root != varItem && (e.Kind() != ast.SelectKind || !e.AsSelect().IsTestOnly())
	}
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Conditional {
		args := e.AsCall().Args()
		return isLoose(args[1]) && isLoose(args[2])
	}
	return false
}

func (c *coercion) kind(e ast.Expr) Kind { return kindOf(c.tree.GetType(e.ID())) }

// rewrite coerces what is below e.
func (c *coercion) rewrite(e ast.Expr) *Error {
	switch e.Kind() {
	case ast.ListKind:
		return c.rewriteAll(e.AsList().Elements())
	case ast.ComprehensionKind:
		comprehension := e.AsComprehension()
		if over := comprehension.IterRange(); isLoose(over) {
			return c.notAList(over)
		} else if err := c.rewrite(over); err != nil {
			return err
		}
		p := predicate(comprehension)
		c.as(p, KindBool)
		return c.rewrite(p)
	case ast.CallKind:
		return c.rewriteCall(e)
	}
	return nil
}

func (c *coercion) rewriteAll(all []ast.Expr) *Error {
	for _, e := range all {
		if err := c.rewrite(e); err != nil {
			return err
		}
	}
	return nil
}

func (c *coercion) rewriteCall(e ast.Expr) *Error {
	if _, ok := pathOf(e); ok {
		return nil
	}
	call := e.AsCall()
	args := call.Args()
	if call.IsMemberFunction() {
		args = append([]ast.Expr{call.Target()}, args...)
	}
	if err := c.rewriteAll(args); err != nil {
		return err
	}
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot:
		for _, arg := range args {
			c.as(arg, KindBool)
		}
	case operators.Conditional:
		c.as(args[0], KindBool)
		if a, b := isLoose(args[1]), isLoose(args[2]); a != b {
			return c.meet(args[1], args[2])
		}
	case operators.Equals, operators.NotEquals:
		return c.meet(args[0], args[1])
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return c.order(e, args[0], args[1])
	case operators.Add, operators.Subtract, operators.Multiply, operators.Divide:
		return c.calculate(e, args[0], args[1])
	case operators.Negate:
		c.as(args[0], KindNumber)
	case operators.Index:
		if isLoose(args[0]) {
			return c.notAList(args[0])
		}
		c.as(args[1], KindNumber)
	case operators.In:
		return c.member(args[0], args[1])
	}
	if len(args) > 0 && len(call.FunctionName()) > 3 && call.FunctionName()[:3] == "get" {
		c.as(args[0], KindTime)
	}
	return nil
}

// meet makes two operands comparable, of which one or none is loose.
func (c *coercion) meet(a, b ast.Expr) *Error {
	switch looseA, looseB := isLoose(a), isLoose(b); {
	case looseA && looseB:
		return nil // two texts
	case looseA:
		return c.like(a, b)
	case looseB:
		return c.like(b, a)
	}
	for _, pair := range [][2]ast.Expr{{a, b}, {b, a}} {
		if k := c.kind(pair[1]); c.kind(pair[0]) == KindAny && (k == KindTime || k == KindDuration) {
			return at(c.tree, pair[0], "write "+conversion(k)+"(...) around it", "an item's own field is a text, a number, a bool or a list, never a %s", k)
		}
	}
	return nil
}

func (c *coercion) order(e, a, b ast.Expr) *Error {
	if isLoose(a) && isLoose(b) {
		return at(c.tree, e, "write double(...) around each", "what is to be compared here, texts or numbers?")
	}
	return c.meet(a, b)
}

func (c *coercion) calculate(e, a, b ast.Expr) *Error {
	for _, pair := range [][2]ast.Expr{{a, b}, {b, a}} {
		if c.kind(pair[0]) != KindAny {
			continue
		}
		if c.kind(pair[1]) != KindNumber {
			return at(c.tree, e, "write double(...), timestamp(...) or duration(...) around it", "what is to be calculated with here, numbers or times?")
		}
		c.as(pair[0], KindNumber)
	}
	return nil
}

// member is x in list.
func (c *coercion) member(x, list ast.Expr) *Error {
	if isLoose(list) {
		return c.notAList(list)
	}
	if list.Kind() == ast.ListKind {
		elements := list.AsList().Elements()
		for _, element := range elements {
			if isLoose(element) && !isLoose(x) {
				if err := c.like(element, x); err != nil {
					return err
				}
			}
		}
	}
	if !isLoose(x) {
		return nil
	}
	if t := c.tree.GetType(list.ID()); t.Kind() == types.ListKind && len(t.Parameters()) == 1 {
		c.as(x, kindOf(t.Parameters()[0]))
		return nil
	}
	c.alike(x, list)
	return nil
}

func (c *coercion) notAList(e ast.Expr) *Error {
	return at(c.tree, e, "compare it with ==", "a value of context or user is one text, not a list")
}

// like reads the loose a as what b is.
func (c *coercion) like(a, b ast.Expr) *Error {
	switch k := c.kind(b); k {
	case KindList:
		return c.notAList(a)
	case KindAny:
		c.alike(a, b)
	default:
		c.as(a, k)
	}
	return nil
}

// as reads e as a value of a kind, if it is loose.
func (c *coercion) as(e ast.Expr, k Kind) {
	if name := conversion(k); name != "" && isLoose(e) {
		c.wrap(e, name)
	}
}

// alike reads e as what another expression turns out to be.
func (c *coercion) alike(e, other ast.Expr) {
	c.wrap(e, funcAlike, c.copy(other))
}

func (c *coercion) copy(e ast.Expr) ast.Expr {
	copied := ast.NewExprFactory().CopyExpr(e)
	copied.RenumberIDs(func(int64) int64 { return c.fresh() })
	return copied
}

func (c *coercion) wrap(e ast.Expr, function string, more ...ast.Expr) {
	e.SetKindCase(ast.NewExprFactory().NewCall(e.ID(), function, append([]ast.Expr{c.copy(e)}, more...)...))
}

// conversion is the function that makes a value of a kind of a text.
func conversion(k Kind) string {
	switch k {
	case KindBool:
		return "bool"
	case KindNumber:
		return "double"
	case KindTime:
		return "timestamp"
	case KindDuration:
		return "duration"
	}
	return ""
}

// String is what the kind is called in messages.
func (k Kind) String() string {
	return [...]string{"missing", "bool", "number", "text", "time", "duration", "list", "any value"}[k]
}

// alike reads a text as what another value is: a list says it by its first entry.
func alike(text string, as *Value) Value {
	kind := as.kind
	if kind == KindList {
		if as.len() == 0 {
			return Text(text)
		}
		first := as.at(0)
		kind = first.kind
	}
	switch kind {
	case KindNumber:
		return textToNumber(text)
	case KindBool:
		return textToBool(text)
	case KindText:
		return Text(text)
	}
	return Value{}
}

// alikeInCEL is alike where CEL's own interpreter evaluates.
func alikeInCEL(text, as ref.Val) ref.Val {
	if list, ok := as.(interface {
		Get(ref.Val) ref.Val
		Size() ref.Val
	}); ok {
		if list.Size() == types.IntZero {
			return text
		}
		as = list.Get(types.IntZero)
	}
	switch as.Type() {
	case types.DoubleType, types.BoolType, types.StringType:
		return text.ConvertToType(as.Type())
	}
	return types.NewErr("no such overload")
}

func textToNumber(text string) Value {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return Value{}
	}
	return Number(f)
}

func textToBool(text string) Value {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return Value{}
	}
	return Bool(b)
}
