package filter

import (
	"encoding/json"
	"math"
	"time"
)

// Kind is the type of a value, and of an expression as far as it is known before an item is looked at.
type Kind uint8

// The kinds of values. KindAny is an expression whose values may have any of the others: a shop's own field.
const (
	KindMissing Kind = iota // no value: whatever is asked of it cannot be decided
	KindBool
	KindNumber // every number is a float64
	KindText
	KindTime
	KindDuration
	KindList
	KindAny
)

// Value is one value of an expression. The zero Value is missing. A Value holds no memory of its own: passing one on allocates nothing.
type Value struct {
	kind  Kind
	nanos int32  // of a time, within its second
	bits  uint64 // a bool as 0 or 1, the bits of a number, the Unix seconds of a time, the nanoseconds of a duration
	text  string
	list  any // []any with the scalars of JSON, or *written
}

// Text is a text; the empty one is a value too.
func Text(s string) Value { return Value{kind: KindText, text: s} }

// Number is a number.
func Number(f float64) Value { return Value{kind: KindNumber, bits: math.Float64bits(f)} }

// Bool is true or false.
func Bool(b bool) Value {
	if b {
		return Value{kind: KindBool, bits: 1}
	}
	return Value{kind: KindBool}
}

// Time is a moment.
func Time(t time.Time) Value {
	return Value{kind: KindTime, bits: uint64(t.Unix()), nanos: int32(t.Nanosecond())}
}

func durationValue(d time.Duration) Value { return Value{kind: KindDuration, bits: uint64(d)} }

// Of is the value of decoded JSON: a string, a number (float64 or json.Number), a bool, or a []any of these. Anything else is missing.
func Of(decoded any) Value {
	switch v := decoded.(type) {
	case string:
		return Text(v)
	case float64:
		return Number(v)
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return Number(f)
		}
	case bool:
		return Bool(v)
	case []any:
		return Value{kind: KindList, list: decoded}
	}
	return Value{}
}

// Kind is the value's kind.
func (v *Value) Kind() Kind { return v.kind }

func (v *Value) number() float64         { return math.Float64frombits(v.bits) }
func (v *Value) bool() bool              { return v.bits != 0 }
func (v *Value) time() time.Time         { return time.Unix(int64(v.bits), int64(v.nanos)).UTC() }
func (v *Value) duration() time.Duration { return time.Duration(v.bits) }

// len is the length of a list, 0 for anything else.
func (v *Value) len() int {
	switch list := v.list.(type) {
	case []any:
		return len(list)
	case *written:
		return len(list.values)
	}
	return 0
}

// at is an entry of a list.
func (v *Value) at(i int) Value {
	switch list := v.list.(type) {
	case []any:
		return Of(list[i])
	case *written:
		return list.values[i]
	}
	return Value{}
}

// equal compares as CEL does: values of different kinds are unequal, lists are compared entry by entry.
func equal(a, b *Value) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case KindNumber:
		return a.number() == b.number()
	case KindText:
		return a.text == b.text
	case KindList:
		if a.len() != b.len() {
			return false
		}
		for i := range a.len() {
			x, y := a.at(i), b.at(i)
			if !equal(&x, &y) {
				return false
			}
		}
		return true
	}
	return a.bits == b.bits && a.nanos == b.nanos
}
