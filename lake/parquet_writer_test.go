package lake

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// writeSmall writes rows in pages of a few hundred bytes.
func writeSmall[Row any](t *testing.T, rows []Row) *parquet.File {
	t.Helper()
	var out bytes.Buffer
	w, err := newRowWriter[Row](&out, parquetProfile{codec: landedProfile.codec, pageBytes: 500, dictionaryBytes: 200})
	if err != nil {
		t.Fatal(err)
	}
	for ; len(rows) > 0; rows = rows[min(len(rows), 10):] {
		if err := w.write(rows[:min(len(rows), 10)]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Engines leave out pages, and whole files, by what the index and the statistics say of them.
func TestPageIndex(t *testing.T) {
	rows := make([]eventRow, 1000)
	for i, in := range newSampler(32).landEvents(0, 0, len(rows)).Events {
		if err := rows[i].fill(in); err != nil {
			t.Fatal(err)
		}
	}
	group := writeSmall(t, rows).RowGroups()[0]
	for i, chunk := range group.ColumnChunks() {
		path := strings.Join(group.Schema().Columns()[i], ".")
		index, err := chunk.ColumnIndex()
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		offsets, err := chunk.OffsetIndex()
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if offsets.NumPages() != index.NumPages() || i == 0 && index.NumPages() < 10 {
			t.Fatalf("%s: %d pages in one index, %d in the other", path, offsets.NumPages(), index.NumPages())
		}
		pages := chunk.Pages()
		firstRow := int64(0)
		for n := range index.NumPages() {
			page, err := pages.ReadPage()
			if err != nil {
				t.Fatalf("%s, page %d: %v", path, n, err)
			}
			if offsets.FirstRowIndex(n) != firstRow {
				t.Errorf("%s, page %d begins with row %d, not %d", path, n, firstRow, offsets.FirstRowIndex(n))
			}
			firstRow += page.NumRows()
			checkPageBounds(t, path, page, index, n)
			parquet.Release(page)
		}
		if _, err := pages.ReadPage(); !errors.Is(err, io.EOF) || firstRow != int64(len(rows)) {
			t.Errorf("%s: pages of %d rows, then %v", path, firstRow, err)
		}
		if err := pages.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkPageBounds wants bounds between which all values lie; those of strings may be cut.
func checkPageBounds(t *testing.T, path string, page parquet.Page, index parquet.ColumnIndex, n int) {
	t.Helper()
	values := make([]parquet.Value, page.NumValues())
	if _, err := page.Values().ReadValues(values); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	nulls := int64(0)
	for _, v := range values {
		if v.IsNull() {
			nulls++
			continue
		}
		if page.Type().Compare(index.MinValue(n), v) > 0 || page.Type().Compare(index.MaxValue(n), v) < 0 {
			t.Errorf("%s, page %d: %v is outside of %v to %v", path, n, v, index.MinValue(n), index.MaxValue(n))
		}
	}
	if index.NullCount(n) != nulls || index.NullPage(n) != (nulls == int64(len(values))) {
		t.Errorf("%s, page %d: %d nulls of %d, not %d", path, n, nulls, len(values), index.NullCount(n))
	}
}

// A column with a NaN has no bounds: every one would let an engine leave out rows that are wanted.
func TestNaNHasNoBounds(t *testing.T) {
	type row struct {
		N float64 `parquet:"n,id(1)"`
	}
	rows := make([]row, 500)
	for i := range rows {
		rows[i].N = float64(i)
	}
	for _, tc := range []struct {
		name    string
		bounded bool
		rows    []row
	}{{"numbers", true, rows[:400]}, {"one NaN", false, append(append([]row{}, rows...), row{math.NaN()})}} {
		f := writeSmall(t, tc.rows)
		chunk := f.Metadata().RowGroups[0].Columns[0]
		if bounded := chunk.MetaData.Statistics.MinValue != nil; bounded != tc.bounded {
			t.Errorf("%s: bounds %v", tc.name, bounded)
		}
		if indexed := chunk.ColumnIndexLength > 0; indexed != tc.bounded {
			t.Errorf("%s: column index %v", tc.name, indexed)
		}
	}
}

// A file without rows is a file.
func TestNoRows(t *testing.T) {
	if f := writeSmall[eventRow](t, nil); f.NumRows() != 0 || len(f.RowGroups()) != 0 {
		t.Errorf("%d rows in %d row groups", f.NumRows(), len(f.RowGroups()))
	}
}
