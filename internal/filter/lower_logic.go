package filter

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// call lowers an operator or a function.
func (l *lowering) call(e ast.Expr) (node, *Error) {
	call := e.AsCall()
	name, args := call.FunctionName(), call.Args()
	if call.IsMemberFunction() {
		args = append([]ast.Expr{call.Target()}, args...)
	}
	operands, free, constant, err := l.all(args...)
	if err != nil {
		return node{}, err
	}
	n, err := l.apply(e, name, operands)
	if err != nil {
		return node{}, err
	}
	for i := range operands {
		n.cost += operands[i].cost
	}
	n.free, n.constant = free, constant
	return n, nil
}

func (l *lowering) apply(e ast.Expr, name string, o []node) (node, *Error) {
	switch name {
	case operators.LogicalAnd:
		return and(o[0], o[1]), nil
	case operators.LogicalOr:
		return or(o[0], o[1]), nil
	case operators.LogicalNot:
		return not(o[0]), nil
	case operators.Conditional:
		return choose(o[0], o[1], o[2]), nil
	case operators.Equals, operators.NotEquals:
		return compareEqual(name == operators.Equals, o[0], o[1]), nil
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return compareOrder(orders[name], o[0], o[1]), nil
	case operators.In:
		return member(o[0], o[1]), nil
	case operators.Index:
		return index(o[0], o[1], kindOf(l.tree.GetType(e.ID()))), nil
	case funcSize:
		return size(o[0]), nil
	case funcAlike:
		return alikeNode(o[0], o[1]), nil
	case operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Negate:
		return calculate(name, o, kindOf(l.tree.GetType(e.ID()))), nil
	case "double", "bool", "timestamp", "duration":
		return convert(name, o[0]), nil
	case "contains", "startsWith", "endsWith":
		return textTest(name, o[0], o[1]), nil
	case "matches":
		return l.matches(e, o[0])
	}
	if slices.Contains(getters, name) {
		return l.timePart(e, name, o)
	}
	return node{}, at(l.tree, e, "", "%s is not part of the language", name)
}

// and is no as soon as one side is, also where the other cannot be decided.
func and(a, b node) node {
	if b.cost < a.cost {
		a, b = b, a
	}
	x, y := a.test, b.test
	n := testNode(1, func(f *frame) truth {
		first := x(f)
		if first == no {
			return no
		}
		if second := y(f); second != yes {
			return second
		}
		return first
	})
	n.needs = a.needs.and(b.needs)
	return n
}

// or is yes as soon as one side is.
func or(a, b node) node {
	if b.cost < a.cost {
		a, b = b, a
	}
	x, y := a.test, b.test
	n := testNode(1, func(f *frame) truth {
		first := x(f)
		if first == yes {
			return yes
		}
		if second := y(f); second != no {
			return second
		}
		return first
	})
	n.needs = a.needs.or(b.needs)
	return n
}

func not(a node) node {
	x := a.test
	n := testNode(0, func(f *frame) truth {
		switch x(f) {
		case yes:
			return no
		case no:
			return yes
		}
		return unknown
	})
	n.needs = a.needs.not()
	return n
}

// choose is condition ? a : b.
func choose(condition, a, b node) node {
	test := condition.test
	if a.kind == KindBool && b.kind == KindBool {
		x, y := a.test, b.test
		n := testNode(1, func(f *frame) truth {
			switch test(f) {
			case yes:
				return x(f)
			case no:
				return y(f)
			}
			return unknown
		})
		n.needs = condition.needs.choose(a.needs, b.needs)
		return n
	}
	kind := a.kind
	if a.kind != b.kind {
		kind = KindAny
	}
	x, y := a.value, b.value
	return valueNode(kind, 1, func(f *frame) Value {
		switch test(f) {
		case yes:
			return x(f)
		case no:
			return y(f)
		}
		return Value{}
	})
}

// macro lowers exists and all.
func (l *lowering) macro(e ast.Expr) (node, *Error) {
	c := e.AsComprehension()
	over, err := l.lower(c.IterRange())
	if err != nil {
		return node{}, err
	}
	over = l.settled(over)
	p, err := l.lower(predicate(c))
	if err != nil {
		return node{}, err
	}
	p = l.settled(p)
	decisive := yes // for exists
	if c.LoopStep().AsCall().FunctionName() == operators.LogicalAnd {
		decisive = no
	}
	return testNode(costEach+p.cost, each(over.value, p.test, decisive)), nil
}

// each asks every entry: one that is decisive decides, else one that cannot be decided leaves it open.
func each(list func(*frame) Value, test func(*frame) truth, decisive truth) func(*frame) truth {
	return func(f *frame) truth {
		v := list(f)
		if v.kind != KindList {
			return unknown
		}
		result := 1 - decisive
		for all := v.entries(); ; {
			entry, ok := all.next()
			if !ok {
				return result
			}
			f.entry = entry
			switch test(f) {
			case decisive:
				return decisive
			case unknown:
				result = unknown
			}
		}
	}
}
