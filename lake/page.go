package lake

import (
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

// next consumes a level: its definition level and, where it is a value, the value's index in r.values, else -1.
func (r *leafReader) next() (def byte, value int) {
	def = r.maxDef
	if len(r.defs) != 0 {
		def = r.defs[r.level]
	}
	r.level++
	if def != r.maxDef {
		return def, -1
	}
	value = r.value
	r.value++
	if r.values.index != nil {
		value = int(r.values.index[value])
	}
	return def, value
}

// continues reports whether the next level belongs to the list that the last one was in.
func (r *leafReader) continues() (bool, error) {
	more, err := r.fill()
	if err != nil || !more {
		return false, err
	}
	return len(r.reps) != 0 && r.reps[r.level] != 0, nil
}

// errShortColumn means that a column chunk holds fewer rows than its row group.
var errShortColumn = errors.New("column ends before the row group")

// rows walks n rows of a column without lists; visit gets the row's number and its value's index or -1.
func (r *leafReader) rows(n int, visit func(row, value int)) error {
	for row := 0; row < n; {
		more, err := r.fill()
		if err != nil {
			return err
		}
		if !more {
			return errShortColumn
		}
		for end := min(n, row+r.levels-r.level); row < end; row++ {
			_, value := r.next()
			visit(row, value)
		}
	}
	return nil
}

// listEntry says what a level of a list column means.
type listEntry int

const (
	listNull  listEntry = iota // the row has no list
	listEmpty                  // the row has a list without elements
	listFirst                  // the list's first element
	listMore                   // a further element
)

// lists walks n rows of a column with one list; visit gets each entry and, for an element, its value's index or -1.
func (r *leafReader) lists(n int, visit func(row int, entry listEntry, value int)) error {
	for row := range n {
		more, err := r.fill()
		if err != nil {
			return err
		}
		if !more {
			return errShortColumn
		}
		def, value := r.next()
		switch {
		case def >= r.listDef:
			visit(row, listFirst, value)
		case def == r.listDef-1:
			visit(row, listEmpty, -1)
		default:
			visit(row, listNull, -1)
		}
		for {
			same, err := r.continues()
			if err != nil {
				return err
			}
			if !same {
				break
			}
			_, value := r.next()
			visit(row, listMore, value)
		}
	}
	return nil
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
