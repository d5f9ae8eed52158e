package lake

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// appender moves the rows of a column from its pages to its vector, as many at a time as a page allows.
type appender struct {
	column
	values vector
	lists  *lists  // nil where the column has no list
	at     []int32 // scratch
}

func newAppender(mem memory.Allocator, c column) (*appender, error) {
	values, err := newVector(mem, c.typ)
	if err != nil {
		return nil, err
	}
	a := &appender{column: c, values: values}
	if c.list {
		a.lists = &lists{mem: mem, typ: c.typ, elements: values}
	}
	return a, nil
}

// newArray gives away what was appended.
func (a *appender) newArray() arrow.Array {
	if a.lists != nil {
		return a.lists.newArray()
	}
	return a.values.newArray()
}

// rows appends the next n rows but those that keep refuses. kept is the number of true entries in keep[:n]; a nil reader stands
// for a column that the file does not have.
func (a *appender) rows(r *leafReader, n, kept int, keep []bool) error {
	switch {
	case r == nil:
		a.nulls(kept)
		return nil
	case a.lists != nil:
		return r.listRuns(n, func(row int, u run) { a.appendLists(r, row, u, keep) })
	case kept == n:
		return r.runs(n, func(_ int, u run) { a.run(r, u, nil) })
	default:
		return r.runs(n, func(row int, u run) { a.run(r, u, keep[row:]) })
	}
}

func (a *appender) nulls(n int) {
	a.at = a.at[:0]
	for range n {
		if a.lists != nil {
			a.lists.begin(a.values.len(), false)
		} else {
			a.at = append(a.at, -1)
		}
	}
	a.values.pick(&values{}, a.at)
}

func (a *appender) run(r *leafReader, u run, keep []bool) {
	if u.defs == nil && keep == nil && r.values.index == nil {
		a.values.span(&r.values, u.value, u.levels)
		return
	}
	a.at = r.indexes(a.at[:0], u, keep)
	a.values.pick(&r.values, a.at)
}

// appendLists appends the lists that begin in a run, and all elements in it. Below listDef a list has no element, and just below
// it is there nevertheless.
func (a *appender) appendLists(r *leafReader, row int, u run, keep []bool) {
	if u.reps[0] == 0 {
		row-- // which the first level takes back
	}
	a.at = a.at[:0]
	next, before := u.value, a.values.len()
	for i, rep := range u.reps {
		def, at := r.maxDef, int32(-1)
		if u.defs != nil {
			def = u.defs[i]
		}
		if def == r.maxDef && !r.absent {
			at = r.values.at(next)
			next++
		}
		if rep == 0 {
			row++
		}
		if !keep[row] {
			continue
		}
		if rep == 0 {
			a.lists.begin(before+len(a.at), def+1 >= r.listDef)
		}
		if def >= r.listDef {
			a.at = append(a.at, at)
		}
	}
	a.values.pick(&r.values, a.at)
}
