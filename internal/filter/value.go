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
	bits  uint64 // a bool as 0 or 1, the bits of a number, the Unix seconds of a time, the nanoseconds of a duration, a packed list's length
	text  string // a text, or what is packed
	list  any    // of a list: []any with the scalars of JSON, *[]string, *written, or the Decoder of text
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

// Texts is a list of texts. It stays the caller's, who must not change it while an expression looks at it; a pointer to the list of
// an item that is on the heap anyway costs nothing.
func Texts(list *[]string) Value { return Value{kind: KindList, list: list} }

// Decoder reads a list that its owner keeps packed: the first entry of what is left, and what is left behind it.
type Decoder interface {
	Next(rest string) (entry Value, left string)
}

// Packed is a list of n entries that stand in a text, as d reads them.
func Packed(n int, text string, d Decoder) Value {
	return Value{kind: KindList, bits: uint64(n), text: text, list: d}
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
	case *[]string:
		return len(*list)
	case *written:
		return len(list.values)
	case Decoder:
		return int(v.bits)
	}
	return 0
}

// entries goes through a list.
type entries struct {
	list  any
	left  string
	place int
	n     int
}

func (v *Value) entries() entries { return entries{list: v.list, left: v.text, n: v.len()} }

// next is the next entry, and whether there is one.
func (e *entries) next() (entry Value, ok bool) {
	if e.place == e.n {
		return entry, false
	}
	switch list := e.list.(type) {
	case []any:
		entry = Of(list[e.place])
	case *[]string:
		entry = Text((*list)[e.place])
	case *written:
		entry = list.values[e.place]
	case Decoder:
		entry, e.left = list.Next(e.left)
	}
	e.place++
	return entry, true
}

// at is an entry of a list that has so many.
func (v *Value) at(i int) (entry Value) {
	all := v.entries()
	if all.left == "" {
		all.place = i
		entry, _ = all.next()
		return entry
	}
	for range i + 1 {
		entry, _ = all.next()
	}
	return entry
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
		return equalLists(a, b)
	}
	return a.bits == b.bits && a.nanos == b.nanos
}

func equalLists(a, b *Value) bool {
	x, y := a.entries(), b.entries()
	if x.n != y.n {
		return false
	}
	for range x.n {
		v, _ := x.next()
		w, _ := y.next()
		if !equal(&v, &w) {
			return false
		}
	}
	return true
}
