package lake

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// leafReader walks one column chunk level by level, holding one page at a time. A level is a value, a null or the mark of
// an empty list; Parquet stores only the values that are present.
type leafReader struct {
	leaf
	pages parquet.Pages

	page   parquet.Page
	defs   []byte // empty where nothing can be null
	reps   []byte // empty where there is no list
	levels int    // of the page
	level  int    // the next one
	value  int    // index of the next present value of the page

	values values
}

// newLeafReader opens the column in a row group. While a page is being read the next one is fetched and decoded beside it, so that
// the pages of all columns are decoded on all processors.
func newLeafReader(l leaf, group parquet.RowGroup) *leafReader {
	return &leafReader{leaf: l, pages: parquet.AsyncPages(group.ColumnChunks()[l.index].Pages())}
}

func (r *leafReader) close() error {
	if r.page != nil {
		parquet.Release(r.page)
		r.page = nil
	}
	return r.pages.Close()
}

// fill makes sure that a level is ready; more is false at the end of the chunk.
func (r *leafReader) fill() (more bool, err error) {
	for r.level == r.levels {
		if r.page != nil {
			parquet.Release(r.page)
			r.page = nil
		}
		page, err := r.pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("read page: %w", err)
		}
		r.page, r.defs, r.reps = page, page.DefinitionLevels(), page.RepetitionLevels()
		r.levels, r.level, r.value = int(page.NumValues()), 0, 0
		if (len(r.defs) != 0 && len(r.defs) != r.levels) || (len(r.reps) != 0 && len(r.reps) != r.levels) {
			return false, fmt.Errorf("page has %d values, %d definition and %d repetition levels", r.levels, len(r.defs), len(r.reps))
		}
		if r.values, err = pageValues(page, r.kind); err != nil {
			return false, err
		}
	}
	return true, nil
}

// run is a stretch of levels of one page.
type run struct {
	levels int
	defs   []byte // nil where every level is a value
	reps   []byte // empty where there is no list
	value  int    // number of the first value that is present, among those of the page
	values int    // how many are present
}

// take consumes so many levels of the page.
func (r *leafReader) take(levels int) run {
	u := run{levels: levels, value: r.value, values: levels}
	if len(r.defs) != 0 {
		u.defs = r.defs[r.level : r.level+levels]
		if u.values = bytes.Count(u.defs, []byte{r.maxDef}); u.values == levels {
			u.defs = nil
		}
	}
	if len(r.reps) != 0 {
		u.reps = r.reps[r.level : r.level+levels]
	}
	r.level += levels
	r.value += u.values
	return u
}

// errShortColumn means that a column chunk holds fewer rows than its row group.
var errShortColumn = errors.New("column ends before the row group")

// runs walks n rows of a column without lists; visit gets the number of the run's first row.
func (r *leafReader) runs(n int, visit func(row int, u run)) error {
	for row := 0; row < n; {
		more, err := r.fill()
		if err != nil {
			return err
		}
		if !more {
			return errShortColumn
		}
		u := r.take(min(n-row, r.levels-r.level))
		visit(row, u)
		row += u.levels
	}
	return nil
}

// listRuns walks n rows of a column with one list; visit gets the number of the row that the run's first level belongs to, of
// which a page before may hold the beginning.
func (r *leafReader) listRuns(n int, visit func(row int, u run)) error {
	for rows := 0; ; {
		more, err := r.fill()
		if err != nil {
			return err
		}
		if !more && rows == n {
			return nil
		}
		if !more || len(r.reps) == 0 {
			return errShortColumn
		}
		first, end := rows, r.level
		if r.reps[end] != 0 {
			first--
		}
		for ; end < r.levels && (rows < n || r.reps[end] != 0); end++ {
			if r.reps[end] == 0 {
				rows++
			}
		}
		if first < 0 {
			return errors.New("a list begins in the middle")
		}
		if end > r.level {
			visit(first, r.take(end-r.level))
		}
		if r.level < r.levels {
			return nil
		}
	}
}

// indexes appends where the values of a run are among those of its page, or -1 where there is none; keep, if any, says of which
// levels to tell.
func (r *leafReader) indexes(to []int32, u run, keep []bool) []int32 {
	next := u.value
	for i := range u.levels {
		at := int32(-1)
		if u.defs == nil || u.defs[i] == r.maxDef {
			at = r.values.at(next)
			next++
		}
		if keep == nil || keep[i] {
			to = append(to, at)
		}
	}
	return to
}

// rows walks n rows of a column without lists; visit gets the row's number and its value's index or -1.
func (r *leafReader) rows(n int, visit func(row, value int)) error {
	var at []int32
	return r.runs(n, func(row int, u run) {
		at = r.indexes(at[:0], u, nil)
		for i, value := range at {
			visit(row+i, int(value))
		}
	})
}

// values gives access to the present values of a page, plain or through a dictionary.
type values struct {
	index   []int32 // into the dictionary; nil where values are plain
	bits    []byte
	int32s  []int32
	int64s  []int64
	doubles []float64
	bytes   []byte
	offsets []uint32
}

// at is where the n-th present value of the page is.
func (v *values) at(n int) int32 {
	if v.index != nil {
		return v.index[n]
	}
	return int32(n)
}

func (v *values) bool(i int) bool   { return v.bits[i/8]>>(i%8)&1 != 0 }
func (v *values) text(i int) []byte { return v.bytes[v.offsets[i]:v.offsets[i+1]] }

func pageValues(page parquet.Page, kind parquet.Kind) (values, error) {
	data := page.Data()
	var v values
	if dictionary := page.Dictionary(); dictionary != nil {
		v.index = data.Int32()
		data = dictionary.Page().Data()
	}
	return v, v.set(data, kind)
}

func (v *values) set(data encoding.Values, kind parquet.Kind) error {
	switch kind {
	case parquet.Boolean:
		v.bits = data.Boolean()
	case parquet.Int32:
		v.int32s = data.Int32()
	case parquet.Int64:
		v.int64s = data.Int64()
	case parquet.Double:
		v.doubles = data.Double()
	case parquet.ByteArray:
		v.bytes, v.offsets = data.ByteArray()
	default:
		return fmt.Errorf("no reader for Parquet type %s", kind)
	}
	return nil
}
