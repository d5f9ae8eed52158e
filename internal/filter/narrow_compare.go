package filter

import (
	"math"
	"time"
)

var (
	nothing = Condition{Op: OpNothing, Exact: true}
	every   = Condition{Op: OpEvery, Exact: true}
)

// compared is the condition of a field that is compared with a value. What the value makes undecidable no item fulfils.
func (n *narrowing) compared(v *Value) Condition {
	switch n.op {
	case narrowSlot, narrowNoSlot:
		return everyIf(v.truth() == truthOf(n.op == narrowSlot))
	case narrowIn, narrowNotIn:
		if v.kind != KindList {
			return nothing
		}
		return texts(n.op == narrowIn, n.field, v.texts()...)
	}
	if v.kind == KindMissing {
		return nothing
	}
	switch n.op {
	case narrowHolds, narrowLacks:
		if v.kind != KindText {
			return everyIf(n.op == narrowLacks) // lists are of texts
		}
		return texts(n.op == narrowHolds, n.field, v.text)
	case narrowEqual, narrowUnequal:
		return equals(n.op == narrowEqual, n.field, v)
	}
	return ordered(n.op == narrowOrder, n.order, n.field, v)
}

func everyIf(is bool) Condition {
	if is {
		return every
	}
	return nothing
}

// texts is a condition that a field has, or has not, one of some texts.
func texts(wanted bool, field Field, list ...string) Condition {
	c := Condition{Op: OpOut, Exact: true, Field: field, Texts: list}
	if wanted {
		c.Op = OpIn
	}
	return c
}

// texts are the texts that a list holds.
func (v *Value) texts() (texts []string) {
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

// present is the condition that a field has a value.
func present(field Field) Condition {
	if fields[field].kind == KindText {
		return texts(false, field)
	}
	return between(field, NoKey+1, math.MaxInt64)
}

func between(field Field, low, high int64) Condition {
	return Condition{Op: OpRange, Exact: true, Field: field, Low: low, High: high}
}

// equals is the condition that a field equals a value, or is there and does not.
func equals(wanted bool, field Field, v *Value) Condition {
	switch kind := fields[field].kind; {
	case kind == KindBool:
		if v.kind != KindBool {
			return everyIf(!wanted) // it is always there
		}
		if v.bool() == wanted {
			return Condition{Op: OpTrue, Exact: true, Field: field}
		}
		return Condition{Op: OpFalse, Exact: true, Field: field}
	case v.kind != kind || v.isNaN():
		if wanted {
			return nothing
		}
		return present(field)
	case kind == KindText:
		return texts(wanted, field, v.text)
	}
	key, exact := v.key()
	if wanted {
		c := between(field, key, key)
		c.Exact = exact
		return c
	}
	if !exact {
		c := present(field)
		c.Exact = false
		return c
	}
	return Condition{Op: OpAny, Exact: true, Of: []Condition{between(field, NoKey+1, key-1), between(field, key+1, math.MaxInt64)}}
}

// key is the key of a number or time, and whether no other value has it.
func (v *Value) key() (key int64, exact bool) {
	if v.kind == KindNumber {
		return KeyOfNumber(v.number()), true
	}
	key = KeyOfTime(time.Unix(int64(v.bits), int64(v.nanos)))
	return key, key != math.MaxInt64 && key != NoKey+1
}

// ordered is the condition that a field is less, say, than a value, or is there and is not.
func ordered(wanted bool, o order, field Field, v *Value) Condition {
	if v.isNaN() { // nothing is less, greater or equal
		if wanted {
			return nothing
		}
		return present(field)
	}
	if v.kind != fields[field].kind {
		return nothing // it cannot be decided
	}
	if !wanted {
		o = o.opposite()
	}
	key, exact := v.key()
	if !exact && (o == less || o == greater) {
		o = [...]order{less: lessEqual, greater: greaterEqual}[o] // others that have the key may be less or greater
	}
	c := between(field, NoKey+1, math.MaxInt64)
	switch o {
	case less:
		c.High = key - 1
	case lessEqual:
		c.High = key
	case greater:
		c.Low = key + 1
	case greaterEqual:
		c.Low = key
	}
	c.Exact = exact
	return c
}
