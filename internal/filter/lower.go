package filter

import (
	"slices"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// truth is what a condition comes to. The zero truth is no.
type truth uint8

const (
	no truth = iota
	yes
	unknown // cannot be decided
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// truth is the value as a condition.
func (v *Value) truth() truth {
	if v.kind != KindBool {
		return unknown
	}
	return truthOf(v.bool())
}

// value is a truth as a value.
func (t truth) value() Value {
	if t == unknown {
		return Value{}
	}
	return Bool(t == yes)
}

// frame is what closures read: one item, and what was bound for all.
type frame struct {
	subject Subject
	slots   []Value
	entry   Value   // of the list that exists or all goes through
	values  *Values // while slots are filled in
}

// node is a lowered part of an expression. Either test or value is made first, the other follows from it.
type node struct {
	kind  Kind
	test  func(*frame) truth
	value func(*frame) Value

	free     bool // does not depend on the item
	constant bool // nor on what is bound
	cost     int  // about how many nanoseconds it takes

	isField bool
	field   Field
	slot    int // where its value stands, or noSlot
	needs   needs
}

const noSlot = -1

// About how long the parts of an expression take, for the order in which conditions are asked.
const (
	costSlot    = 1
	costField   = 2
	costList    = 6
	costOwn     = 12
	costCall    = 4
	costPattern = 60
	costEach    = 40
)

func valueNode(kind Kind, cost int, value func(*frame) Value) node {
	return node{
		kind: kind, cost: cost, slot: noSlot, value: value,
		test: func(f *frame) truth {
			v := value(f)
			return v.truth()
		},
	}
}

func testNode(cost int, test func(*frame) truth) node {
	return node{kind: KindBool, cost: cost, slot: noSlot, test: test, value: func(f *frame) Value { return test(f).value() }}
}

// lowering makes closures of a checked tree.
type lowering struct {
	tree     *ast.AST
	slots    []Value
	bound    []boundSlot
	usesItem bool
}

// boundSlot is a slot that depends on what is bound.
type boundSlot struct {
	index int
	value func(*frame) Value
}

// lower makes a node of an expression.
func (l *lowering) lower(e ast.Expr) (node, *Error) {
	if p, ok := pathOf(e); ok {
		return l.path(e, p), nil
	}
	switch e.Kind() {
	case ast.LiteralKind:
		return l.literal(e)
	case ast.IdentKind:
		return l.ident(e), nil
	case ast.ListKind:
		return l.list(e)
	case ast.ComprehensionKind:
		return l.macro(e)
	case ast.CallKind:
		return l.call(e)
	}
	return node{}, at(l.tree, e, "", "this is not part of the language")
}

func (l *lowering) path(e ast.Expr, p path) node {
	present := e.Kind() == ast.SelectKind && e.AsSelect().IsTestOnly()
	switch {
	case p.root != varItem:
		return l.boundPath(p, present)
	case p.own:
		l.usesItem = true
		if present {
			return testNode(costOwn, func(f *frame) truth {
				v := f.subject.OwnOf(p.name)
				return truthOf(v.kind != KindMissing)
			})
		}
		return valueNode(KindAny, costOwn, func(f *frame) Value { return f.subject.OwnOf(p.name) })
	}
	l.usesItem = true
	field, _ := fieldNamed(p.name) // the checker knows it
	if present {
		return presentNode(field)
	}
	return fieldNode(field)
}

// boundPath reads a value of context or user.
func (l *lowering) boundPath(p path, present bool) node {
	read := func(f *frame) (string, bool) {
		if p.root == varUser {
			text, ok := f.values.User[p.name]
			return text, ok
		}
		text, ok := f.values.Context[p.name]
		return text, ok
	}
	n := valueNode(KindAny, costSlot, func(f *frame) Value {
		if text, ok := read(f); ok {
			return Text(text)
		}
		return Value{}
	})
	if present {
		n = testNode(costSlot, func(f *frame) truth {
			_, ok := read(f)
			return truthOf(ok)
		})
	}
	n.free = true
	return n
}

// presentNode asks whether the item has a value in a standard field.
func presentNode(field Field) node {
	n := testNode(costField, func(f *frame) truth { return truthOf(has(f.subject, field)) })
	if kind := fields[field].kind; kind == KindNumber || kind == KindTime {
		n.needs = asked(narrowPresent, narrowAbsent, field, noSlot)
	}
	return n
}

// fieldNode reads a standard field.
func fieldNode(field Field) (n node) {
	switch kind := fields[field].kind; kind {
	case KindText:
		n = valueNode(kind, costField, func(f *frame) Value {
			if text := f.subject.TextOf(field); text != "" {
				return Text(text)
			}
			return Value{}
		})
	case KindNumber:
		n = valueNode(kind, costField, func(f *frame) Value {
			if number, ok := f.subject.NumberOf(field); ok {
				return Number(number)
			}
			return Value{}
		})
	case KindTime:
		n = valueNode(kind, costField, func(f *frame) Value {
			if t := f.subject.TimeOf(field); !t.IsZero() {
				return Time(t)
			}
			return Value{}
		})
	case KindBool:
		n = testNode(costField, func(f *frame) truth { return truthOf(f.subject.BoolOf(field)) })
		n.needs = asked(narrowAvailable, narrowOutOfStock, field, noSlot)
	default:
		n = valueNode(kind, costList, func(f *frame) Value { return f.subject.ListOf(field) })
	}
	n.isField, n.field = true, field
	return n
}

func (l *lowering) literal(e ast.Expr) (node, *Error) {
	v, ok := fromCEL(e.AsLiteral())
	if !ok {
		return node{}, at(l.tree, e, "", "this value is not part of the language")
	}
	n := valueNode(v.kind, costSlot, func(*frame) Value { return v })
	n.free, n.constant = true, true
	return n, nil
}

// fromCEL is a literal as a Value.
func fromCEL(v ref.Val) (Value, bool) {
	switch v := v.(type) {
	case types.Double:
		return Number(float64(v)), true
	case types.String:
		return Text(string(v)), true
	case types.Bool:
		return Bool(bool(v)), true
	}
	return Value{}, false
}

// ident reads now, or the entry that exists or all is at.
func (l *lowering) ident(e ast.Expr) node {
	if e.AsIdent() == varNow {
		n := valueNode(KindTime, costSlot, func(f *frame) Value { return Time(f.values.Now) })
		n.free = true
		return n
	}
	return valueNode(kindOf(l.tree.GetType(e.ID())), costSlot, func(f *frame) Value { return f.entry })
}

// list makes a list of what does not depend on the item: others would be made anew for every one.
func (l *lowering) list(e ast.Expr) (node, *Error) {
	elements := e.AsList().Elements()
	nodes := make([]node, len(elements))
	constant := true
	for i, element := range elements {
		n, err := l.lower(element)
		if err != nil {
			return node{}, err
		}
		if !n.free {
			return node{}, at(l.tree, element, "compare one by one, with == and ||", "a list may hold constants and values of context alone")
		}
		if n.kind == KindList {
			return node{}, at(l.tree, element, "", "a list cannot hold lists")
		}
		nodes[i], constant = n, constant && n.constant
	}
	n := valueNode(KindList, costList, func(f *frame) Value { return listOf(f, nodes) })
	n.free, n.constant = true, constant
	return n, nil
}

// manyEntries is how many texts a list has that is searched by hash.
const manyEntries = 8

// written is a list of an expression.
type written struct {
	values []Value
	texts  map[string]struct{} // of a list of many texts
}

func listOf(f *frame, nodes []node) Value {
	list := &written{values: make([]Value, len(nodes))}
	texts := 0
	for i := range nodes {
		v := nodes[i].value(f)
		if v.kind == KindMissing {
			return Value{}
		}
		if v.kind == KindText {
			texts++
		}
		list.values[i] = v
	}
	if texts == len(nodes) && texts >= manyEntries {
		list.texts = make(map[string]struct{}, texts)
		for i := range list.values {
			list.texts[list.values[i].text] = struct{}{}
		}
	}
	return Value{kind: KindList, list: list}
}

// all lowers operands. Where one depends on the item, the others are given slots, so that what they come to is known before.
func (l *lowering) all(expressions ...ast.Expr) (operands []node, free, constant bool, err *Error) {
	free, constant = true, true
	for _, e := range expressions {
		n, err := l.lower(e)
		if err != nil {
			return nil, false, false, err
		}
		operands = append(operands, n)
		free, constant = free && n.free, constant && n.constant
	}
	if !free {
		for i := range operands {
			operands[i] = l.settled(operands[i])
		}
	}
	return operands, free, constant, nil
}

// settled gives a node that does not depend on the item a slot.
func (l *lowering) settled(n node) node {
	if !n.free {
		return n
	}
	i := len(l.slots)
	if n.constant {
		l.slots = append(l.slots, n.value(&frame{}))
	} else {
		l.slots = append(l.slots, Value{})
		l.bound = append(l.bound, boundSlot{i, n.value})
	}
	s := node{
		kind: n.kind, slot: i, cost: costSlot, needs: asked(narrowSlot, narrowNoSlot, 0, i),
		value: func(f *frame) Value { return f.slots[i] }, test: func(f *frame) truth { return f.slots[i].truth() },
	}
	return s
}

// Values are what expressions read besides items. A name that is missing cannot be decided on.
type Values struct {
	Context, User map[string]string
	Now           time.Time
}

// conjunct is a condition of which every one must hold.
type conjunct struct {
	test  func(*frame) truth
	cost  int
	needs *narrowing
}

// conjuncts takes a condition apart at its outermost &&, the cheapest first.
func (l *lowering) conjuncts(e ast.Expr) ([]conjunct, *Error) {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "_&&_" {
		var all []conjunct
		for _, arg := range e.AsCall().Args() {
			some, err := l.conjuncts(arg)
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		}
		slices.SortStableFunc(all, func(a, b conjunct) int { return a.cost - b.cost })
		return all, nil
	}
	n, err := l.lower(e)
	if err != nil {
		return nil, err
	}
	n = l.settled(n)
	return []conjunct{{n.test, n.cost, n.needs.yes}}, nil
}
