package filter

import (
	"cmp"
	"math"
	"slices"

	"cel.dev/cel-go/common/operators"
)

// order is an operator that compares by size.
type order uint8

const (
	less order = iota
	lessEqual
	greater
	greaterEqual
)

var orders = map[string]order{
	operators.Less: less, operators.LessEquals: lessEqual, operators.Greater: greater, operators.GreaterEquals: greaterEqual,
}

// mirrored is the operator with its sides exchanged.
func (o order) mirrored() order { return [...]order{greater, greaterEqual, less, lessEqual}[o] }

// opposite is the operator that holds where this one does not.
func (o order) opposite() order { return [...]order{greaterEqual, greater, lessEqual, less}[o] }

// holds reports whether the operator holds for what cmp.Compare says of its sides.
func (o order) holds(compared int) bool {
	switch o {
	case less:
		return compared < 0
	case lessEqual:
		return compared <= 0
	case greater:
		return compared > 0
	}
	return compared >= 0
}

// compareEqual is == or !=. Values of different kinds are unequal, as in CEL.
func compareEqual(wanted bool, a, b node) node {
	if b.isField {
		a, b = b, a
	}
	if a.isField && a.kind == KindText && b.slot != noSlot {
		return equalField(wanted, a.field, b.slot)
	}
	x, y := a.value, b.value
	n := testNode(costCall, func(f *frame) truth {
		v, w := x(f), y(f)
		if v.kind == KindMissing || w.kind == KindMissing {
			return unknown
		}
		return truthOf(equal(&v, &w) == wanted)
	})
	if a.isField && a.kind != KindList && b.slot != noSlot {
		n.needs = equalNeeds(wanted, a.field, b.slot)
	}
	return n
}

func equalNeeds(wanted bool, field Field, slot int) needs {
	if wanted {
		return asked(narrowEqual, narrowUnequal, field, slot)
	}
	return asked(narrowUnequal, narrowEqual, field, slot)
}

// equalField compares a text field with a slot.
func equalField(wanted bool, field Field, slot int) node {
	n := testNode(costCall, func(f *frame) truth {
		text, v := f.subject.TextOf(field), &f.slots[slot]
		if text == "" || v.kind == KindMissing {
			return unknown
		}
		return truthOf((v.kind == KindText && text == v.text) == wanted)
	})
	n.needs = equalNeeds(wanted, field, slot)
	return n
}

func compareOrder(o order, a, b node) node {
	if b.isField {
		a, b, o = b, a, o.mirrored()
	}
	if a.isField && a.kind == KindNumber && b.slot != noSlot {
		return orderField(o, a.field, b.slot)
	}
	x, y := a.value, b.value
	n := testNode(costCall, func(f *frame) truth {
		v, w := x(f), y(f)
		switch {
		case areNumbers(&v, &w):
			return orderNumbers(o, v.number(), w.number())
		case v.isNaN() && w.hasOrder() || w.isNaN() && v.hasOrder():
			return no // whatever it is compared with
		}
		compared, ok := compareValues(&v, &w)
		if !ok {
			return unknown
		}
		return truthOf(o.holds(compared))
	})
	if a.isField && a.kind == KindTime && b.slot != noSlot {
		n.needs = orderNeeds(o, a.field, b.slot)
	}
	return n
}

func orderNeeds(o order, field Field, slot int) needs {
	return needs{
		&narrowing{op: narrowOrder, exact: true, field: field, slot: slot, order: o},
		&narrowing{op: narrowDisorder, exact: true, field: field, slot: slot, order: o},
	}
}

// orderField compares a number field with a slot.
func orderField(o order, field Field, slot int) node {
	n := testNode(costCall, func(f *frame) truth {
		number, ok := f.subject.NumberOf(field)
		v := &f.slots[slot]
		if !ok || v.kind != KindNumber {
			return unknown
		}
		return orderNumbers(o, number, v.number())
	})
	n.needs = orderNeeds(o, field, slot)
	return n
}

// orderNumbers orders as IEEE 754 does: nothing holds for what is not a number.
func orderNumbers(o order, a, b float64) truth {
	switch o {
	case less:
		return truthOf(a < b)
	case lessEqual:
		return truthOf(a <= b)
	case greater:
		return truthOf(a > b)
	}
	return truthOf(a >= b)
}

func (v *Value) isNaN() bool { return v.kind == KindNumber && math.IsNaN(v.number()) }

func (v *Value) hasOrder() bool { return v.kind != KindMissing && v.kind != KindList }

// compareValues orders two values of one kind that are no numbers. Lists have no order.
func compareValues(a, b *Value) (compared int, ok bool) {
	if a.kind != b.kind {
		return 0, false
	}
	switch a.kind {
	case KindText:
		return cmp.Compare(a.text, b.text), true
	case KindTime, KindDuration:
		return cmp.Or(cmp.Compare(int64(a.bits), int64(b.bits)), cmp.Compare(a.nanos, b.nanos)), true
	case KindBool:
		return cmp.Compare(a.bits, b.bits), true
	}
	return 0, false
}

// member is x in list.
func member(x, list node) node {
	if list.isField && x.slot != noSlot {
		return slotInField(x.slot, list.field)
	}
	value, in := x.value, list.value
	n := testNode(costCall, func(f *frame) truth {
		v, l := value(f), in(f)
		if v.kind == KindMissing || l.kind != KindList {
			return unknown
		}
		return truthOf(l.holds(&v))
	})
	if x.isField && x.kind == KindText && list.slot != noSlot {
		n.needs = asked(narrowIn, narrowNotIn, x.field, list.slot)
	}
	return n
}

// slotInField looks for a slot's value in a list of the item.
func slotInField(slot int, field Field) node {
	n := testNode(costCall, func(f *frame) truth {
		v := &f.slots[slot]
		if v.kind == KindMissing {
			return unknown
		}
		list := f.subject.ListOf(field)
		return truthOf(list.holds(v))
	})
	n.needs = asked(narrowHolds, narrowLacks, field, slot)
	return n
}

// holds reports whether the list has a value equal to x.
func (v *Value) holds(x *Value) bool {
	switch list := v.list.(type) {
	case *[]string:
		return x.kind == KindText && slices.Contains(*list, x.text)
	case *written:
		if list.texts != nil {
			_, found := list.texts[x.text]
			return found && x.kind == KindText
		}
	}
	for all := v.entries(); ; {
		entry, ok := all.next()
		if !ok {
			return false
		}
		if equal(&entry, x) {
			return true
		}
	}
}
