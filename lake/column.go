package lake

import (
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/iceberg-go"
	"github.com/parquet-go/parquet-go"
)

// column is one leaf of the table that a scan returns: a value per row, or a list of values per row where one list lies
// on the way to it.
type column struct {
	path string // as asked for: "user_id", "rec.rec_id", "items.item_id"
	id   int    // Iceberg field id of the leaf, by which it is found in every file
	list bool
	in   int            // field id of the list's element, which is the leaf or has it inside
	typ  arrow.DataType // of a value
}

// resolveColumn finds a dotted path in the table's schema. A list is passed through without naming its element.
func resolveColumn(schema *iceberg.Schema, path string) (column, error) {
	c := column{path: path}
	var at iceberg.Type = &iceberg.StructType{FieldList: schema.Fields()}
	for _, name := range strings.Split(path, ".") {
		group, ok := at.(*iceberg.StructType)
		if !ok {
			return column{}, fmt.Errorf("column %s: nothing lies inside a %s", path, at)
		}
		field, ok := fieldNamed(group, name)
		if !ok {
			return column{}, fmt.Errorf("column %s: no field %q", path, name)
		}
		c.id, at = field.ID, field.Type
		if list, ok := at.(*iceberg.ListType); ok {
			if c.list {
				return column{}, fmt.Errorf("column %s: a list within a list can be read with whole rows only", path)
			}
			c.list, c.id, c.in, at = true, list.ElementID, list.ElementID, list.Element
		}
	}
	typ, ok := arrowType(at)
	if !ok {
		return column{}, fmt.Errorf("column %s is a %s; name one of the fields inside", path, at)
	}
	c.typ = typ
	return c, nil
}

func fieldNamed(group *iceberg.StructType, name string) (iceberg.NestedField, bool) {
	for _, f := range group.FieldList {
		if f.Name == name {
			return f, true
		}
	}
	return iceberg.NestedField{}, false
}

func arrowType(t iceberg.Type) (arrow.DataType, bool) {
	switch t {
	case iceberg.PrimitiveTypes.Bool:
		return arrow.FixedWidthTypes.Boolean, true
	case iceberg.PrimitiveTypes.Int32:
		return arrow.PrimitiveTypes.Int32, true
	case iceberg.PrimitiveTypes.Int64:
		return arrow.PrimitiveTypes.Int64, true
	case iceberg.PrimitiveTypes.Float64:
		return arrow.PrimitiveTypes.Float64, true
	case iceberg.PrimitiveTypes.String:
		return arrow.BinaryTypes.String, true
	case iceberg.PrimitiveTypes.TimestampTz:
		return arrow.FixedWidthTypes.Timestamp_us, true
	default:
		return nil, false
	}
}

// field is the column as the record batches show it. Every column is nullable: a file older than the column lacks it.
func (c column) field() arrow.Field {
	if c.list {
		return arrow.Field{Name: c.path, Type: arrow.ListOf(c.typ), Nullable: true}
	}
	return arrow.Field{Name: c.path, Type: c.typ, Nullable: true}
}

// leaf is a column as one file stores it.
type leaf struct {
	index   int  // of the column chunk in a row group
	maxDef  byte // definition level of a value that is present
	listDef byte // definition level from which a list has an element; 0 where there is no list
	kind    parquet.Kind
	absent  bool // it is another leaf of the same list, whose elements all lack the column
}

// findLeaf looks the column up in a file by its field id; ok is false when the file is older than the column. Where it is older
// than a column inside a list, the list's other leaves tell how many elements lack it.
func (c column) findLeaf(file *parquet.File) (l leaf, ok bool, err error) {
	var walk func(node *parquet.Column, listDef byte, inList bool)
	walk = func(node *parquet.Column, listDef byte, inList bool) {
		if node.Repeated() {
			listDef = byte(node.MaxDefinitionLevel())
		}
		inList = inList || c.list && node.ID() == c.in
		if node.Leaf() {
			here := leaf{index: node.Index(), maxDef: byte(node.MaxDefinitionLevel()), listDef: listDef, kind: node.Type().Kind(), absent: node.ID() != c.id}
			switch level := node.MaxRepetitionLevel(); {
			case here.absent && inList && level == 1 && !ok:
				l, ok = here, true
			case !here.absent && (level > 1 || (level == 1) != c.list):
				err = fmt.Errorf("column %s has repetition level %d in the file", c.path, level)
			case !here.absent:
				l, ok = here, true
			}
		}
		for _, child := range node.Columns() {
			walk(child, listDef, inList)
		}
	}
	walk(file.Root(), 0, false)
	if err == nil && ok && !l.absent && l.kind != parquetKind(c.typ) {
		err = fmt.Errorf("column %s is a %s in the file and a %s in the table", c.path, l.kind, c.typ)
	}
	return l, ok, err
}

func parquetKind(t arrow.DataType) parquet.Kind {
	switch t.ID() {
	case arrow.BOOL:
		return parquet.Boolean
	case arrow.INT32:
		return parquet.Int32
	case arrow.FLOAT64:
		return parquet.Double
	case arrow.STRING:
		return parquet.ByteArray
	default: // INT64 and TIMESTAMP
		return parquet.Int64
	}
}
