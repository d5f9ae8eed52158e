package filter

import (
	"math"
	"time"
)

// Op is what a Condition asks.
type Op uint8

// The operations of conditions.
const (
	OpNothing Op = iota // no item
	OpEvery             // every item
	OpAll               // every one of Of
	OpAny               // at least one of Of
	OpIn                // the field is, or as a list holds, one of Texts
	OpOut               // the field is there and is, or as a list holds, none of Texts
	OpRange             // Low <= the key of the field <= High
	OpTrue              // the field is true
	OpFalse             // the field is false
)

// Condition is what an item must fulfil to match, as an index can answer it that has item_id, categories, brand, labels, price, available,
// published_at and expires_at.
type Condition struct {
	Op    Op
	Exact bool  // whoever fulfils it matches; else an item that fulfils it need not match
	Field Field // of OpIn and OpOut: any text or list, of OpRange: a number or a time, of OpTrue and OpFalse: FieldAvailable
	Texts []string

	Low, High int64 // of OpRange: see KeyOfNumber and KeyOfTime
	Of        []Condition
}

// NoKey is less than the key of any number or time.
const NoKey int64 = math.MinInt64

// KeyOfNumber gives numbers keys that are ordered as they are, one for each: the next larger number has the next larger key. It is not
// for what is not a number.
func KeyOfNumber(number float64) int64 {
	key := int64(math.Float64bits(number + 0)) // no -0, which equals 0
	if key < 0 {
		key ^= math.MaxInt64
	}
	return key
}

// The moments whose nanoseconds since 1970 are keys; all that are later have one key, and all earlier ones.
const (
	lastKeyedSecond  = math.MaxInt64/int64(time.Second) - 1
	firstKeyedSecond = -lastKeyedSecond
)

// KeyOfTime gives moments keys that are ordered as they are: those of the years 1678 to 2261 one for each nanosecond.
func KeyOfTime(t time.Time) int64 {
	switch seconds := t.Unix(); {
	case seconds > lastKeyedSecond:
		return math.MaxInt64
	case seconds < firstKeyedSecond:
		return NoKey + 1
	}
	return t.UnixNano()
}

// Narrow gives the condition of each part of the filter, all of which an item that matches fulfils, and as rest the parts that its
// condition does not decide; nil where all do.
func (b *Bound) Narrow() (conditions []Condition, rest *Bound) {
	var left []conjunct
	conditions = make([]Condition, 0, len(b.program.conjuncts))
	for _, part := range b.program.conjuncts {
		c := part.needs.condition(b.frame.slots)
		if c.Op != OpEvery {
			conditions = append(conditions, c)
		}
		if !c.Exact {
			left = append(left, part)
		}
	}
	if len(left) > 0 {
		program := *b.program
		program.conjuncts = left
		rest = &Bound{program: &program, frame: b.frame}
	}
	return conditions, rest
}

// needs are what an item fulfils for which a part of an expression is yes, and for which it is no; nil where that is nothing in
// particular.
type needs struct{ yes, no *narrowing }

// narrowing is a Condition whose values stand in slots.
type narrowing struct {
	op    narrowOp
	exact bool // as of Condition, as far as it does not depend on values
	field Field
	slot  int
	order order
	of    []*narrowing
}

type narrowOp uint8

const (
	narrowAll narrowOp = iota
	narrowAny
	narrowEqual      // the field equals the slot
	narrowUnequal    // the field is there and does not
	narrowHolds      // the field, a list, holds the slot
	narrowLacks      // and does not
	narrowIn         // the field is in the slot, a list
	narrowNotIn      // the field is there and is not
	narrowOrder      // the field is less, say, than the slot
	narrowDisorder   // the field is there and is not
	narrowPresent    // the field is there
	narrowAbsent     // and is not
	narrowAvailable  // the field is true
	narrowOutOfStock // and is not
	narrowSlot       // the slot is true
	narrowNoSlot     // the slot is false
)

// asked are the needs of a condition of one field and one slot; none where no index has the field.
func asked(yes, no narrowOp, field Field, slot int) needs {
	if !fields[field].indexed {
		return needs{}
	}
	return needs{&narrowing{op: yes, exact: true, field: field, slot: slot}, &narrowing{op: no, exact: true, field: field, slot: slot}}
}

func (n needs) not() needs { return needs{n.no, n.yes} }

func (n needs) and(o needs) needs { return needs{both(n.yes, o.yes), either(n.no, o.no)} }

func (n needs) or(o needs) needs { return needs{either(n.yes, o.yes), both(n.no, o.no)} }

// choose are the needs of n ? a : b.
func (n needs) choose(a, b needs) needs {
	return needs{either(both(n.yes, a.yes), both(n.no, b.yes)), either(both(n.yes, a.no), both(n.no, b.no))}
}

// both is what a && b needs: what either of them does.
func both(a, b *narrowing) *narrowing {
	if a == nil {
		a, b = b, a
	}
	switch {
	case a == nil:
		return nil
	case b == nil:
		return &narrowing{op: narrowAll, of: []*narrowing{a}}
	}
	return &narrowing{op: narrowAll, exact: a.exact && b.exact, of: []*narrowing{a, b}}
}

// either is what a || b needs, which is nothing in particular where one of them needs nothing.
func either(a, b *narrowing) *narrowing {
	if a == nil || b == nil {
		return nil
	}
	return &narrowing{op: narrowAny, exact: a.exact && b.exact, of: []*narrowing{a, b}}
}

// condition fills in the values.
func (n *narrowing) condition(slots []Value) Condition {
	if n == nil {
		return Condition{Op: OpEvery}
	}
	var c Condition
	switch n.op {
	case narrowAll, narrowAny:
		c = n.compound(slots)
	case narrowPresent:
		c = present(n.field)
	case narrowAbsent:
		c = Condition{Op: OpRange, Exact: true, Field: n.field, Low: NoKey, High: NoKey}
	case narrowAvailable:
		c = Condition{Op: OpTrue, Exact: true, Field: n.field}
	case narrowOutOfStock:
		c = Condition{Op: OpFalse, Exact: true, Field: n.field}
	default:
		c = n.compared(&slots[n.slot])
	}
	c.Exact = c.Exact && n.exact
	return c
}

func (n *narrowing) compound(slots []Value) Condition {
	c := Condition{Op: OpAll, Exact: true}
	if n.op == narrowAny {
		c.Op = OpAny
	}
	for _, part := range n.of {
		one := part.condition(slots)
		c.Exact = c.Exact && one.Exact
		c.Of = append(c.Of, one)
	}
	return c
}
