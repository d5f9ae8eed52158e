package historyfile

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// plain turns what the library makes of a column into what JSON has: texts, numbers, lists and objects. Times become RFC
// 3339, decimals and UUIDs their texts; NaN is absent, as it is where the file comes from a data frame.
func plain(node parquet.Node, value any) (any, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil //nolint:nilnil // null is a value
	case map[string]any:
		return plainFields(node, v)
	case []any:
		return plainList(node, v)
	case *big.Float: // a decimal
		return v.Text('f', scale(node)), nil
	}
	if v := reflect.ValueOf(value); v.Kind() == reflect.Pointer { // the library has one for an optional value of a map
		if v.IsNil() {
			return nil, nil //nolint:nilnil // null is a value
		}
		return plain(node, v.Elem().Interface())
	}
	return plainLeaf(node, value)
}

// scale is how many digits of a decimal stand behind the point.
func scale(node parquet.Node) int {
	if t, ok := logical(node).(*format.DecimalType); ok {
		return int(t.Scale)
	}
	return 0
}

func plainFields(node parquet.Node, fields map[string]any) (any, error) {
	inner := func(string) parquet.Node { return mapValue(node) }
	if !annotated[*format.MapType](node) {
		byName := make(map[string]parquet.Node, len(fields))
		for _, f := range node.Fields() {
			byName[f.Name()] = f
		}
		inner = func(name string) parquet.Node { return byName[name] }
	}
	for name, value := range fields {
		of := inner(name)
		if of == nil {
			return nil, fmt.Errorf("column %q is not in the file's schema", name)
		}
		v, err := plain(of, value)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", name, err)
		}
		fields[name] = v
	}
	return fields, nil
}

func plainList(node parquet.Node, list []any) (any, error) {
	element := node
	if annotated[*format.ListType](node) {
		if element = listElement(node); element == nil {
			return nil, errors.New("a list of a form that is not known")
		}
	}
	for i, value := range list {
		v, err := plain(element, value)
		if err != nil {
			return nil, err
		}
		list[i] = v
	}
	return list, nil
}

// mapValue and listElement are the columns inside the repeated group of a map or a list, nil where there is none.
func mapValue(node parquet.Node) parquet.Node {
	if pair := node.Fields(); len(pair) == 1 && !pair[0].Leaf() && len(pair[0].Fields()) == 2 {
		return pair[0].Fields()[1]
	}
	return nil
}

func listElement(node parquet.Node) parquet.Node {
	if list := node.Fields(); len(list) == 1 && !list[0].Leaf() && len(list[0].Fields()) == 1 {
		return list[0].Fields()[0]
	}
	return nil
}

// logical returns the annotation of a column, nil where it has none.
func logical(node parquet.Node) format.LogicalTypeValue {
	if t := node.Type().LogicalType(); t != nil {
		return t.Value
	}
	return nil
}

func annotated[T format.LogicalTypeValue](node parquet.Node) bool {
	_, ok := logical(node).(T)
	return ok
}

func plainLeaf(node parquet.Node, value any) (any, error) {
	switch v := value.(type) {
	case int64:
		switch t := logical(node).(type) {
		case *format.TimestampType:
			return timestamp(v, t.Unit), nil
		case *format.IntType:
			if !t.IsSigned {
				return uint64(v), nil
			}
		}
	case int32:
		switch t := logical(node).(type) {
		case *format.DateType:
			return time.Unix(int64(v)*24*60*60, 0).UTC().Format(time.RFC3339), nil
		case *format.IntType:
			if !t.IsSigned {
				return uint32(v), nil
			}
		}
	case float64:
		return number(node, v, 64)
	case float32:
		return number(node, float64(v), 32)
	case deprecated.Int96: // nanoseconds of the day, then the Julian day
		const julian1970 = 2_440_588
		nanos := int64(v[0]) | int64(v[1])<<32
		return time.Unix((int64(v[2])-julian1970)*24*60*60, nanos).UTC().Format(time.RFC3339Nano), nil
	case []byte:
		return plainBytes(node, v)
	case string:
		return text(v)
	}
	return value, nil
}

func plainBytes(node parquet.Node, b []byte) (any, error) {
	if annotated[*format.UUIDType](node) {
		id, err := uuid.FromBytes(b)
		return id.String(), err
	}
	return text(string(b))
}

func text(s string) (any, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("it is not valid UTF-8")
	}
	return s, nil
}

// number takes a number that was one of so many bits.
func number(node parquet.Node, f float64, bits int) (any, error) {
	switch {
	case math.IsNaN(f):
		return nil, nil //nolint:nilnil // null is a value
	case math.IsInf(f, 0):
		return nil, errors.New("an infinite number")
	case annotated[*format.DecimalType](node):
		return strconv.FormatFloat(f, 'f', scale(node), bits), nil
	case bits == 32:
		return float32(f), nil // whose shortest text is another
	}
	return f, nil
}

func timestamp(v int64, unit format.TimeUnit) string {
	t := time.UnixMilli(v)
	switch unit.Value.(type) {
	case *format.MicroSeconds:
		t = time.UnixMicro(v)
	case *format.NanoSeconds:
		t = time.Unix(0, v)
	}
	return t.UTC().Format(time.RFC3339Nano)
}
