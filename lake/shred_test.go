package lake

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// Taken apart by columns, rows become what the library's writer makes of them row by row: every value and every level.
func TestShredAgainstLibrary(t *testing.T) {
	s := newSampler(31)
	events, exposures := make([]eventRow, 3000), make([]exposureRow, 1000)
	for i, in := range s.landEvents(0, 0, len(events)).Events {
		if err := events[i].fill(in); err != nil {
			t.Fatal(err)
		}
		keepOne(events[i].Props)
	}
	for i, in := range s.landExposures(0, 0, len(exposures)).Exposures {
		if err := exposures[i].fill(in); err != nil {
			t.Fatal(err)
		}
		keepOne(exposures[i].Features)
		keepOne(exposures[i].Request.Context)
		for _, c := range exposures[i].Candidates {
			keepOne(c.Scores)
			keepOne(c.Features)
		}
	}
	events[3].Items, events[4].Items = []itemRow{}, nil
	exposures[3].Items, exposures[4].Request.Boosts = []shownRow{}, []string{}
	small := parquetProfile{codec: landedProfile.codec, pageBytes: 1000, dictionaryBytes: 100} // many pages, dictionaries that fail
	for name, profile := range map[string]parquetProfile{"landed": landedProfile, "small": small} {
		t.Run("events "+name, func(t *testing.T) { checkShred(t, events, profile) })
		t.Run("exposures "+name, func(t *testing.T) { checkShred(t, exposures, profile) })
	}
}

// keepOne leaves a map with one entry, since the order of more is nobody's.
func keepOne[V any](m map[string]V) {
	for name := range m {
		if len(m) > 1 {
			delete(m, name)
		}
	}
}

func checkShred[Row any](t *testing.T, rows []Row, profile parquetProfile) {
	t.Helper()
	var ours, library bytes.Buffer
	w, err := newRowWriter[Row](&ours, profile)
	if err != nil {
		t.Fatal(err)
	}
	for from := 0; from < len(rows); from += encodeChunkRows {
		if err := w.write(rows[from:min(len(rows), from+encodeChunkRows)]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	schema := parquet.SchemaOf(new(Row))
	oracle := parquet.NewGenericWriter[Row](&library, schema, parquet.DataPageVersion(1))
	if _, err := oracle.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := oracle.Close(); err != nil {
		t.Fatal(err)
	}
	gotFile, wantFile := openGroup(t, ours.Bytes()), openGroup(t, library.Bytes())
	got, want := columnValues(t, gotFile), columnValues(t, wantFile)
	for i, path := range schema.Columns() {
		present := 0
		for _, v := range want[i] {
			if !v.IsNull() {
				present++
			}
		}
		if present == 0 {
			t.Errorf("the sample has no %s", strings.Join(path, "."))
		}
		if !equalValues(got[i], want[i]) {
			t.Errorf("%s: %d values differ from the library's %d", strings.Join(path, "."), len(got[i]), len(want[i]))
		}
		ours, library := gotFile.Metadata().RowGroups[0].Columns[i].MetaData, wantFile.Metadata().RowGroups[0].Columns[i].MetaData
		if ours.NumValues != library.NumValues || !reflect.DeepEqual(ours.Statistics, library.Statistics) {
			t.Errorf("%s: %d values with statistics %+v, the library's %d with %+v",
				strings.Join(path, "."), ours.NumValues, ours.Statistics, library.NumValues, library.Statistics)
		}
	}
}

func openGroup(t *testing.T, content []byte) *parquet.File {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.RowGroups()) != 1 {
		t.Fatalf("%d row groups", len(f.RowGroups()))
	}
	return f
}

// columnValues reads every column of a file of one row group, level by level.
func columnValues(t *testing.T, f *parquet.File) (out [][]parquet.Value) {
	t.Helper()
	for _, chunk := range f.RowGroups()[0].ColumnChunks() {
		var column []parquet.Value
		pages := chunk.Pages()
		for {
			page, err := pages.ReadPage()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			values := make([]parquet.Value, page.NumValues())
			if n, err := page.Values().ReadValues(values); n != len(values) || err != nil && !errors.Is(err, io.EOF) {
				t.Fatalf("%d of %d values: %v", n, len(values), err)
			}
			for _, v := range values {
				column = append(column, v.Clone())
			}
			parquet.Release(page)
		}
		if err := pages.Close(); err != nil {
			t.Fatal(err)
		}
		out = append(out, column)
	}
	return out
}

func equalValues(a, b []parquet.Value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !parquet.DeepEqual(a[i], b[i]) {
			return false
		}
	}
	return true
}

// A row struct that cannot say what its tags say is refused, instead of being written with wrong levels.
func TestShredRefuses(t *testing.T) {
	for name, row := range map[string]func() error{
		"optional value": refused[struct {
			N int64 `parquet:"n,optional,id(1)"`
		}],
		"required list": refused[struct {
			N []string `parquet:"n,list,id(1)" parquet-element:",id(2)"`
		}],
		"other map": refused[struct {
			N map[string]int64 `parquet:"n,id(1)" parquet-key:",id(2)" parquet-value:",id(3)"`
		}],
		"other number": refused[struct {
			N float32 `parquet:"n,id(1)"`
		}],
	} {
		if row() == nil {
			t.Errorf("%s is not refused", name)
		}
	}
}

func refused[Row any]() error {
	schema := parquet.SchemaOf(new(Row))
	_, err := newShredder[Row](schema)
	return err
}
