package lake

import (
	"fmt"
	"reflect"
	"strings"
	"unsafe"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// Rows are taken apart into columns as Dremel does it, a few rows of one column at a time. The library's writer goes row by row
// and value by value, which takes three times as long as everything else in a landing, most of it for columns that are null;
// it is the oracle of the tests.
//
// A row struct says by its types what its tags say: an optional value is a pointer, an optional list a slice (nil is null), a map
// is never null. newShredder refuses another one.

// slot is where one value of a column may be: at is nil where it, or something around it, is absent. The levels are those
// that hold so far.
type slot struct {
	at       unsafe.Pointer
	rep, def byte
}

// shred takes apart what lies offset bytes behind each slot.
type shred func(slots []slot, offset uintptr)

// shredder takes rows apart into columns.
type shredder[Row any] struct {
	columns []*columnWriter
	row     shred
	scratch *slotStack
}

func newShredder[Row any](schema *parquet.Schema) (*shredder[Row], error) {
	c := &shredCompiler{scratch: &slotStack{}}
	row, err := c.group(reflect.TypeFor[Row](), schema, place{})
	if err != nil {
		return nil, err
	}
	return &shredder[Row]{columns: c.columns, row: row, scratch: c.scratch}, nil
}

func (s *shredder[Row]) write(rows []Row) {
	s.scratch.below(func(slots []slot) []slot {
		for i := range rows {
			slots = append(slots, slot{at: unsafe.Pointer(&rows[i])})
		}
		return slots
	}, s.row)
}

// slotStack is memory that all columns use in turn, so that it stays in the processor's cache.
type slotStack struct{ slots []slot }

// below hands the slots that add appends to what lies below.
func (s *slotStack) below(add func(slots []slot) []slot, below shred) {
	start := len(s.slots)
	s.slots = add(s.slots)
	below(s.slots[start:], 0)
	s.slots = s.slots[:start]
}

// place is where a part of the row lies in the schema.
type place struct {
	path     []string
	rep, def byte // highest levels
}

func (p place) field(name string) place {
	p.path = append(p.path[:len(p.path):len(p.path)], name)
	return p
}

// shredCompiler makes the shred of a row type, and its columns in the order of the schema.
type shredCompiler struct {
	columns []*columnWriter
	scratch *slotStack
}

// node is any part of a row.
func (c *shredCompiler) node(t reflect.Type, n parquet.Node, at place) (shred, error) {
	optional := t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice
	if n.Optional() != optional {
		return nil, fmt.Errorf("column %s: a %s cannot tell whether it is absent, or need not", strings.Join(at.path, "."), t)
	}
	if optional {
		at.def++
	}
	switch t.Kind() {
	case reflect.Pointer:
		return c.pointer(t.Elem(), n, at)
	case reflect.Slice:
		return c.list(t.Elem(), n, at)
	case reflect.Struct:
		return c.group(t, n, at)
	case reflect.Map:
		return c.pairs(t, n, at)
	default:
		return c.leaf(t, n, at, false)
	}
}

func (c *shredCompiler) group(t reflect.Type, n parquet.Node, at place) (shred, error) {
	type part struct {
		offset uintptr
		shred  shred
	}
	var parts []part
	fields := n.Fields()
	if t.Kind() != reflect.Struct || len(fields) != t.NumField() {
		return nil, fmt.Errorf("%s has another number of fields than of columns, %d", t, len(fields))
	}
	for i, column := range fields {
		field := t.Field(i)
		if name, _, _ := strings.Cut(field.Tag.Get("parquet"), ","); name != column.Name() {
			return nil, fmt.Errorf("%s.%s stands where column %s is expected", t, field.Name, column.Name())
		}
		below, err := c.node(field.Type, column, at.field(column.Name()))
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{field.Offset, below})
	}
	return func(slots []slot, offset uintptr) {
		for _, p := range parts {
			p.shred(slots, offset+p.offset)
		}
	}, nil
}

func (c *shredCompiler) pointer(t reflect.Type, n parquet.Node, at place) (shred, error) {
	if n.Leaf() {
		return c.leaf(t, n, at, true)
	}
	below, err := c.group(t, n, at)
	return func(above []slot, offset uintptr) {
		c.scratch.below(func(slots []slot) []slot {
			for _, s := range above {
				if s.at != nil {
					if s.at = *(*unsafe.Pointer)(unsafe.Add(s.at, offset)); s.at != nil {
						s.def++
					}
				}
				slots = append(slots, s)
			}
			return slots
		}, below)
	}, err
}

// sliceHeader is what a slice is in memory.
type sliceHeader struct {
	first    unsafe.Pointer
	len, cap int
}

func (c *shredCompiler) list(t reflect.Type, n parquet.Node, at place) (shred, error) {
	element, err := onlyChildren(n, 1)
	if err != nil {
		return nil, err
	}
	at = at.field(n.Fields()[0].Name()).field(element[0].Name())
	at.rep, at.def = at.rep+1, at.def+1
	below, err := c.node(t, element[0], at)
	return func(above []slot, offset uintptr) {
		c.scratch.below(func(slots []slot) []slot {
			for _, s := range above {
				if s.at == nil {
					slots = append(slots, s)
					continue
				}
				list := (*sliceHeader)(unsafe.Add(s.at, offset))
				if list.first != nil {
					s.def++
				}
				if list.len == 0 {
					slots = append(slots, slot{rep: s.rep, def: s.def})
					continue
				}
				s.def++
				for i := range list.len {
					s.at = unsafe.Add(list.first, uintptr(i)*t.Size())
					slots = append(slots, s)
					s.rep = at.rep
				}
			}
			return slots
		}, below)
	}, err
}

func (c *shredCompiler) pairs(t reflect.Type, n parquet.Node, at place) (shred, error) {
	switch t {
	case reflect.TypeFor[map[string]string]():
		return shredPairs[string](c, n, at)
	case reflect.TypeFor[map[string]float64]():
		return shredPairs[float64](c, n, at)
	default:
		return nil, fmt.Errorf("column %s: no way to take a %s apart", strings.Join(at.path, "."), t)
	}
}

// shredPairs copies keys and values, which have no place of their own in a map.
func shredPairs[V any](c *shredCompiler, n parquet.Node, at place) (shred, error) {
	pair, err := onlyChildren(n, 2)
	if err != nil {
		return nil, err
	}
	at = at.field(n.Fields()[0].Name())
	at.rep, at.def = at.rep+1, at.def+1
	below, err := c.node(reflect.TypeFor[string](), pair[0], at.field(pair[0].Name()))
	if err != nil {
		return nil, err
	}
	belowValues, err := c.node(reflect.TypeFor[V](), pair[1], at.field(pair[1].Name()))
	var keys []string
	var values []V
	return func(above []slot, offset uintptr) {
		keys, values = keys[:0], values[:0]
		c.scratch.below(func(slots []slot) []slot {
			for _, s := range above {
				absent := slot{rep: s.rep, def: s.def}
				if s.at != nil {
					s.def++
					for key, value := range *(*map[string]V)(unsafe.Add(s.at, offset)) {
						keys, values, slots = append(keys, key), append(values, value), append(slots, s)
						s.rep = at.rep
					}
				}
				if s.rep == absent.rep {
					slots = append(slots, absent)
				}
			}
			return slots
		}, func(slots []slot, _ uintptr) {
			pointAt(slots, keys)
			below(slots, 0)
			pointAt(slots, values)
			belowValues(slots, 0)
		})
	}, err
}

// pointAt lets the slots that are present point at the values, in turn.
func pointAt[V any](slots []slot, values []V) {
	next := 0
	for i := range slots {
		if slots[i].at != nil {
			slots[i].at = unsafe.Pointer(&values[next])
			next++
		}
	}
}

// leaf ends at a column; pointer says that there is a pointer to its value.
func (c *shredCompiler) leaf(t reflect.Type, n parquet.Node, at place, pointer bool) (shred, error) {
	column := &columnWriter{columnShape: columnShape{path: at.path, typ: n.Type(), maxRep: at.rep, maxDef: at.def}}
	switch kind := n.Type().Kind(); {
	case t.Kind() == reflect.String && kind == parquet.ByteArray:
		column.dictionary = n.Encoding() != nil && n.Encoding().Encoding() == format.RLEDictionary
	case t.Kind() == reflect.Bool && kind == parquet.Boolean:
	case t.Kind() == reflect.Int32 && kind == parquet.Int32:
	case t.Kind() == reflect.Int64 && kind == parquet.Int64:
	case t.Kind() == reflect.Float64 && kind == parquet.Double:
	default:
		return nil, fmt.Errorf("column %s: no way to write a %s as %s", strings.Join(at.path, "."), t, kind)
	}
	c.columns = append(c.columns, column)
	return func(slots []slot, offset uintptr) { column.add(slots, offset, pointer) }, nil
}
