package filter

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// path is a place that an expression reads: item.price, item.fields.size, context.budget.
type path struct {
	root string // varItem, varContext or varUser
	name string
	own  bool // item.fields.name
}

// pathOf recognises what reads one of the variables: a selection, or an index with a literal text.
func pathOf(e ast.Expr) (path, bool) {
	operand, name, ok := selected(e)
	if !ok {
		return path{}, false
	}
	if operand.Kind() == ast.IdentKind {
		switch root := operand.AsIdent(); root {
		case varItem, varContext, varUser:
			return path{root: root, name: name}, true
		}
		return path{}, false
	}
	outer, fields, ok := selected(operand)
	if ok && fields == fieldOwn && outer.Kind() == ast.IdentKind && outer.AsIdent() == varItem {
		return path{root: varItem, name: name, own: true}, true
	}
	return path{}, false
}

// selected takes apart x.name and x["name"].
func selected(e ast.Expr) (operand ast.Expr, name string, ok bool) {
	switch e.Kind() {
	case ast.SelectKind:
		return e.AsSelect().Operand(), e.AsSelect().FieldName(), true
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() == operators.Index && call.Args()[1].Kind() == ast.LiteralKind {
			text, isText := call.Args()[1].AsLiteral().(types.String)
			return call.Args()[0], string(text), isText
		}
	}
	return nil, "", false
}

// normalise makes every number a double, and refuses what CEL would let pass and this language does not have.
func normalise(tree *ast.AST, e ast.Expr, inMacro bool) *Error {
	if p, ok := pathOf(e); ok {
		if p.root == varItem && p.name == fieldOwn && !p.own {
			return at(tree, e, "write item.fields.NAME", "item.fields is not a value by itself")
		}
		return nil
	}
	switch e.Kind() {
	case ast.LiteralKind:
		return normaliseLiteral(tree, e)
	case ast.IdentKind:
		if name := e.AsIdent(); name == varItem || name == varContext || name == varUser {
			return at(tree, e, "write "+name+".NAME", "%s is not a value by itself", name)
		}
	case ast.SelectKind:
		return normaliseSelect(tree, e, inMacro)
	case ast.CallKind:
		return normaliseCall(tree, e.AsCall(), inMacro)
	case ast.ListKind:
		return normaliseAll(tree, e.AsList().Elements(), inMacro)
	case ast.ComprehensionKind:
		return normaliseMacro(tree, e, inMacro)
	default:
		return at(tree, e, "", "maps and objects cannot be written here")
	}
	return nil
}

func normaliseAll(tree *ast.AST, all []ast.Expr, inMacro bool) *Error {
	for _, e := range all {
		if err := normalise(tree, e, inMacro); err != nil {
			return err
		}
	}
	return nil
}

func normaliseLiteral(tree *ast.AST, e ast.Expr) *Error {
	var number float64
	switch v := e.AsLiteral().(type) {
	case types.Int:
		number = float64(v)
	case types.Uint:
		number = float64(v)
	case types.Bytes:
		return at(tree, e, "leave out the b before the quotes", "there are no bytes here")
	case types.Null:
		return at(tree, e, "has(item.price) tells whether there is one", "there is no null here")
	default:
		return nil
	}
	e.SetKindCase(ast.NewExprFactory().NewLiteral(e.ID(), types.Double(number)))
	return nil
}

// normaliseSelect is about a selection that reads no variable: a part of a value, or something unknown that CEL's checker names.
func normaliseSelect(tree *ast.AST, e ast.Expr, inMacro bool) *Error {
	operand := e.AsSelect().Operand()
	if _, ok := pathOf(operand); ok {
		return at(tree, e, "", "%q: a value has no parts of its own", e.AsSelect().FieldName())
	}
	return normalise(tree, operand, inMacro)
}

func normaliseCall(tree *ast.AST, call ast.CallExpr, inMacro bool) *Error {
	if call.IsMemberFunction() {
		if err := normalise(tree, call.Target(), inMacro); err != nil {
			return err
		}
	}
	if call.FunctionName() == operators.Index {
		if operand := call.Args()[0]; operand.Kind() == ast.IdentKind && operand.AsIdent() != varNow {
			if name := operand.AsIdent(); name == varContext || name == varUser || name == varItem {
				return at(tree, call.Args()[1], `write context["name"]`, "the name must be a text in quotes")
			}
		}
	}
	return normaliseAll(tree, call.Args(), inMacro)
}

// normaliseMacro looks into exists and all. One in another could run as often as the product of two lists.
func normaliseMacro(tree *ast.AST, e ast.Expr, inMacro bool) *Error {
	c := e.AsComprehension()
	if inMacro {
		return at(tree, e, "", "exists and all cannot stand inside one another")
	}
	switch c.IterVar() {
	case varItem, varContext, varUser, varNow:
		return at(tree, e, "use another name, such as x", "%s has a meaning already and cannot stand for an entry", c.IterVar())
	}
	if err := normalise(tree, c.IterRange(), inMacro); err != nil {
		return err
	}
	return normalise(tree, predicate(c), true)
}

// predicate is the condition of exists or all, which the macro has put into acc || p or acc && p.
func predicate(c ast.ComprehensionExpr) ast.Expr { return c.LoopStep().AsCall().Args()[1] }
