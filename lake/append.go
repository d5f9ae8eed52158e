package lake

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// appendRows moves the next n rows of a column from its pages to its builder, leaving out those that keep refuses. kept
// is the number of true entries in keep[:n]; a nil reader stands for a column that the file does not have.
func (c column) appendRows(b array.Builder, r *leafReader, n, kept int, keep []bool) error {
	b.Reserve(kept)
	if r == nil {
		b.AppendNulls(kept)
		return nil
	}
	if !c.list {
		add, err := appender(b, r)
		if err != nil {
			return err
		}
		return r.rows(n, func(row, value int) {
			if keep[row] {
				add(value)
			}
		})
	}
	list, ok := b.(*array.ListBuilder)
	if !ok {
		return fmt.Errorf("builder of a list column is a %T", b)
	}
	add := func(int) { list.ValueBuilder().AppendNull() }
	if !r.absent {
		var err error
		if add, err = appender(list.ValueBuilder(), r); err != nil {
			return err
		}
	}
	return r.lists(n, func(row int, entry listEntry, value int) {
		switch {
		case !keep[row]:
		case entry == listNull:
			list.AppendNull()
		case entry == listEmpty:
			list.Append(true)
		case entry == listFirst:
			list.Append(true)
			add(value)
		default:
			add(value)
		}
	})
}

// appender returns a function that appends the value at an index of the reader's current page, or null for -1.
func appender(b array.Builder, r *leafReader) (func(value int), error) {
	switch b := b.(type) {
	case *array.StringBuilder:
		return func(i int) {
			if i < 0 {
				b.AppendNull()
				return
			}
			b.BinaryBuilder.Append(r.values.text(i))
		}, nil
	case *array.TimestampBuilder:
		return func(i int) {
			if i < 0 {
				b.AppendNull()
				return
			}
			b.Append(arrow.Timestamp(r.values.int64s[i]))
		}, nil
	case *array.Int64Builder:
		return appendNumber(b, &r.values.int64s), nil
	case *array.Int32Builder:
		return appendNumber(b, &r.values.int32s), nil
	case *array.Float64Builder:
		return appendNumber(b, &r.values.doubles), nil
	case *array.BooleanBuilder:
		return func(i int) {
			if i < 0 {
				b.AppendNull()
				return
			}
			b.Append(r.values.bool(i))
		}, nil
	default:
		return nil, fmt.Errorf("no way to append to a %T", b)
	}
}

// numberBuilder is what the builders of numbers have in common.
type numberBuilder[N any] interface {
	Append(N)
	AppendNull()
}

func appendNumber[N any](b numberBuilder[N], page *[]N) func(int) {
	return func(i int) {
		if i < 0 {
			b.AppendNull()
			return
		}
		b.Append((*page)[i])
	}
}
