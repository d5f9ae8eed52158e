package filter

import "math"

// Op is what a Condition asks.
type Op uint8

// The operations of conditions.
const (
	OpNothing Op = iota // no item
	OpAll               // every one of Of
	OpAny               // at least one of Of
	OpIn                // the field is, or as a list holds, one of Texts
	OpRange             // Low <= the field <= High, without a bound that is open
	OpTrue              // the field is true
)

// Condition is what an item must fulfil to match, as an index can answer it. An item that fulfils it need not match.
type Condition struct {
	Op    Op
	Field Field    // of OpIn: any text or list, of OpRange: FieldPrice, of OpTrue: FieldAvailable
	Texts []string // of OpIn

	Low, High         float64 // of OpRange; infinite where there is no bound
	LowOpen, HighOpen bool    // the bound itself is outside

	Of []Condition // of OpAll and OpAny
}

// narrowing is a Condition whose values stand in slots.
type narrowing struct {
	op     Op
	field  Field
	slot   int
	isSlot bool // of OpTrue: the slot instead of the field
	order  order
	of     []*narrowing
}

// both is what a && b needs: what either of them does.
func both(a, b *narrowing) *narrowing {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return &narrowing{op: OpAll, of: []*narrowing{a, b}}
}

// either is what a || b needs, which is nothing in particular where one of them needs nothing.
func either(a, b *narrowing) *narrowing {
	if a == nil || b == nil {
		return nil
	}
	return &narrowing{op: OpAny, of: []*narrowing{a, b}}
}

// Narrow gives conditions that every item fulfils that matches. There are none where the filter asks nothing that an index answers.
func (b *Bound) Narrow() []Condition {
	var all []Condition
	for i := range b.program.conjuncts {
		needs := b.program.conjuncts[i].needs
		if needs == nil || needs.isSlot && b.frame.slots[needs.slot].truth() == yes {
			continue
		}
		all = append(all, needs.condition(b.frame.slots))
	}
	return all
}

func (n *narrowing) condition(slots []Value) Condition {
	switch n.op {
	case OpAll, OpAny:
		c := Condition{Op: n.op, Of: make([]Condition, len(n.of))}
		for i, part := range n.of {
			c.Of[i] = part.condition(slots)
		}
		return c
	case OpIn:
		return Condition{Op: OpIn, Field: n.field, Texts: slots[n.slot].texts()}.orNothing()
	case OpRange:
		return rangeOf(n.field, n.order, &slots[n.slot])
	}
	if n.isSlot { // not true, or Narrow would have left it out
		return Condition{Op: OpNothing}
	}
	return Condition{Op: OpTrue, Field: n.field}
}

func (c Condition) orNothing() Condition {
	if len(c.Texts) == 0 {
		return Condition{Op: OpNothing}
	}
	return c
}

// texts are the texts that a value is, or holds.
func (v *Value) texts() (texts []string) {
	if v.kind == KindText {
		return []string{v.text}
	}
	for all := v.entries(); ; {
		entry, ok := all.next()
		if !ok {
			return texts
		}
		if entry.kind == KindText {
			texts = append(texts, entry.text)
		}
	}
}

func rangeOf(field Field, o order, limit *Value) Condition {
	if limit.kind != KindNumber || math.IsNaN(limit.number()) {
		return Condition{Op: OpNothing}
	}
	c := Condition{Op: OpRange, Field: field, Low: math.Inf(-1), High: math.Inf(1)}
	switch o {
	case less:
		c.High, c.HighOpen = limit.number(), true
	case lessEqual:
		c.High = limit.number()
	case greater:
		c.Low, c.LowOpen = limit.number(), true
	case greaterEqual:
		c.Low = limit.number()
	}
	return c
}
