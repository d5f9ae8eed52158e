package lake

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// An older version of Millrace, for tests of what became of its tables: its events lack some columns of today, by their paths
// without the element of a list: one flat, one inside a struct, one inside a list.
var olderLacks = []string{"rating", "rec.token", "items.item_variant"}

// olderRow is the struct of rows that the older version has.
func olderRow() reflect.Type { return without(reflect.TypeFor[eventRow](), olderLacks) }

// without is a row struct that lacks some of its fields.
func without(row reflect.Type, paths []string) reflect.Type {
	switch row.Kind() {
	case reflect.Pointer:
		return reflect.PointerTo(without(row.Elem(), paths))
	case reflect.Slice:
		return reflect.SliceOf(without(row.Elem(), paths))
	case reflect.Struct:
	default:
		return row
	}
	var fields []reflect.StructField
	for i := range row.NumField() {
		f := row.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		var inside []string
		for _, path := range paths {
			if rest, ok := strings.CutPrefix(path, name+"."); ok {
				inside = append(inside, rest)
			}
		}
		if len(inside) > 0 {
			f.Type = without(f.Type, inside)
		}
		if !slices.Contains(paths, name) {
			fields = append(fields, f)
		}
	}
	return reflect.StructOf(fields)
}

// asOlder takes from an event what the older version did not know.
func asOlder(r EventRow) EventRow {
	e := *r.Event
	e.Rating = nil
	if e.Rec != nil {
		rec := *e.Rec
		rec.Token, e.Rec = "", &rec
	}
	e.Items = slices.Clone(e.Items)
	for i := range e.Items {
		e.Items[i].ItemVariant = ""
	}
	return EventRow{Event: &e, At: r.At}
}

// olderTables are the tables of the older version.
func olderTables() []tableSpec {
	specs := tables()
	for i := range specs {
		if specs[i].name == TableEvents {
			specs[i].file = parquet.SchemaOf(reflect.New(olderRow()).Interface())
		}
	}
	return specs
}

// openOlder opens a lake as the older version does: it makes tables of its columns, and its files have no others.
func openOlder(t testing.TB, cfg Config) *Lake {
	t.Helper()
	l, err := open(t.Context(), cfg, olderTables())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	l.files = olderFiles{l.files}
	return l
}

// olderFiles leaves out of files of events what the older version does not know.
type olderFiles struct{ files }

func (o olderFiles) create(ctx context.Context, at string) (newFile, error) {
	f, err := o.files.create(ctx, at)
	if err != nil || !strings.Contains(at, "/"+TableEvents+"/data/") {
		return f, err
	}
	return &olderFile{newFile: f}, nil
}

type olderFile struct {
	newFile
	today bytes.Buffer
}

func (f *olderFile) Write(p []byte) (int, error) { return f.today.Write(p) }

func (f *olderFile) Close() error {
	if err := f.convert(); err != nil {
		return fmt.Errorf("%w (%w)", err, f.abandon())
	}
	return f.newFile.Close()
}

func (f *olderFile) convert() error {
	data, err := parquet.OpenFile(bytes.NewReader(f.today.Bytes()), int64(f.today.Len()))
	if err != nil {
		return err
	}
	schema := parquet.SchemaOf(reflect.New(olderRow()).Interface())
	conversion, err := parquet.Convert(schema, data.Schema())
	if err != nil {
		return err
	}
	out := parquet.NewWriter(f.newFile, schema, parquet.DataPageVersion(1), parquet.Compression(landedProfile.codec))
	for _, group := range data.RowGroups() {
		rows := group.Rows()
		if _, err := parquet.CopyRows(out, parquet.ConvertRowReader(rows, conversion)); err != nil {
			return err
		}
		if err := rows.Close(); err != nil {
			return err
		}
	}
	return out.Close()
}
