package lake

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/parquet-go/parquet-go"
)

// scanBatchRows is how many rows of a file go into one record batch, before the row filter: small enough to stay in the
// processor's cache a few columns at a time.
const scanBatchRows = 8192

// Scan yields the matching rows as Arrow record batches of the requested columns, in no order that may be relied on. A column is
// a dotted path to a leaf, at most one list on the way: "user_id", "rec.rec_id", or "items.item_id", which becomes a list column;
// no columns means every flat column outside structs. A row of a file that is older than a column has null there; one inside a
// list then has as many nulls as the list has elements. A batch is released when the loop goes on: Retain it to keep it. Batches are never
// empty. An error ends the scan.
//
// Only the pages of the wanted columns are decoded, one page a column at a time, so memory does not grow with the table.
func (l *Lake) Scan(ctx context.Context, req ScanRequest) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		p, err := l.plan(ctx, req)
		if err != nil {
			yield(nil, err)
			return
		}
		s, err := l.newScanner(p, req.Columns)
		if err != nil {
			yield(nil, err)
			return
		}
		defer s.release()
		for _, f := range p.files {
			more, err := s.file(ctx, l.files, f, yield)
			if err != nil {
				yield(nil, fmt.Errorf("scan data file %s: %w", f.location, err))
				return
			}
			if !more {
				return
			}
		}
	}
}

// scanner reads files into one set of vectors.
type scanner struct {
	columns   []column
	filter    rowFilter
	site      column // what the filter looks at
	time      column
	who       identities // where the filter has erased people
	schema    *arrow.Schema
	appenders []*appender // of its columns
	keep      []bool
	at        []int32 // scratch
}

func (l *Lake) newScanner(p *plan, paths []string) (*scanner, error) {
	if len(paths) == 0 {
		for _, f := range p.schema.Fields() {
			if _, flat := arrowType(f.Type); flat {
				paths = append(paths, f.Name)
			}
		}
	}
	s := &scanner{filter: p.filter, keep: make([]bool, scanBatchRows)}
	var fields []arrow.Field
	for _, path := range paths {
		c, err := resolveColumn(p.schema, path)
		if err != nil {
			return nil, fmt.Errorf("scan of %s: %w", p.spec.name, err)
		}
		s.columns, fields = append(s.columns, c), append(fields, c.field())
	}
	var err error
	if s.site, err = resolveColumn(p.schema, "site"); err != nil {
		return nil, err
	}
	if s.time, err = resolveColumn(p.schema, p.spec.time); err != nil {
		return nil, err
	}
	if p.spec.people {
		if s.who, err = newIdentities(p.spec, p.schema); err != nil {
			return nil, err
		}
	}
	s.schema = arrow.NewSchema(fields, nil)
	for _, c := range s.columns {
		a, err := newAppender(l.allocator, c)
		if err != nil {
			s.release()
			return nil, fmt.Errorf("column %s: %w", c.path, err)
		}
		s.appenders = append(s.appenders, a)
	}
	return s, nil
}

// file yields the batches of one file; more is false when the consumer has had enough.
func (s *scanner) file(ctx context.Context, in files, planned plannedFile, yield func(arrow.Record, error) bool) (more bool, err error) {
	f, err := in.open(ctx, planned.location, planned.bytes)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := openParquet(f, planned.bytes, in.readAhead(planned.bytes))
	if err != nil {
		return false, err
	}
	for _, group := range data.RowGroups() {
		if more, err := s.rowGroup(ctx, data, group, yield); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// groupReaders are the open columns of one row group; nil where the file lacks the column or the filter needs none.
type groupReaders struct {
	columns    []*leafReader
	site, time *leafReader
	who        *identityReader
}

func (s *scanner) open(file *parquet.File, group parquet.RowGroup) (*groupReaders, error) {
	g := &groupReaders{}
	one := func(c column) (*leafReader, error) {
		l, ok, err := c.findLeaf(file)
		if err != nil || !ok {
			return nil, err
		}
		return newLeafReader(l, group), nil
	}
	for _, c := range s.columns {
		r, err := one(c)
		if err != nil {
			return nil, errors.Join(err, g.close())
		}
		g.columns = append(g.columns, r)
	}
	var err error
	if s.filter.site != "" {
		if g.site, err = one(s.site); err != nil {
			return nil, errors.Join(err, g.close())
		}
	}
	if s.filter.from != minMicros || s.filter.to != maxMicros {
		if g.time, err = one(s.time); err != nil {
			return nil, errors.Join(err, g.close())
		}
	}
	if s.filter.erased != nil {
		if g.who, err = s.who.open(s.filter.erased, file, group); err != nil {
			return nil, errors.Join(err, g.close())
		}
	}
	return g, nil
}

func (g *groupReaders) close() error {
	var errs []error
	for _, r := range append(g.columns, g.site, g.time) {
		if r != nil {
			errs = append(errs, r.close())
		}
	}
	if g.who != nil {
		errs = append(errs, g.who.close())
	}
	return errors.Join(errs...)
}

func (s *scanner) rowGroup(ctx context.Context, file *parquet.File, group parquet.RowGroup, yield func(arrow.Record, error) bool) (more bool, err error) {
	g, err := s.open(file, group)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	for left := int(group.NumRows()); left > 0; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := min(left, scanBatchRows)
		left -= n
		kept, err := s.selectRows(g, n)
		if err != nil {
			return false, err
		}
		for i, c := range s.columns {
			if err := s.appenders[i].rows(g.columns[i], n, kept, s.keep); err != nil {
				return false, fmt.Errorf("column %s: %w", c.path, err)
			}
		}
		if kept == 0 {
			continue
		}
		record := s.newRecord(kept)
		more := yield(record, nil)
		record.Release()
		if !more {
			return false, nil
		}
	}
	return true, nil
}

func (s *scanner) newRecord(rows int) arrow.Record {
	arrays := make([]arrow.Array, len(s.appenders))
	for i, a := range s.appenders {
		arrays[i] = a.newArray()
		defer arrays[i].Release() // the record retains it
	}
	return array.NewRecord(s.schema, arrays, int64(rows))
}

func (s *scanner) release() {
	for _, a := range s.appenders {
		a.values.release()
	}
}

// selectRows decides which of the next n rows are wanted and returns how many; a file without the filter's columns cannot exist,
// because both are required.
func (s *scanner) selectRows(g *groupReaders, n int) (kept int, err error) {
	keep := s.keep[:n]
	for i := range keep {
		keep[i] = true
	}
	if g.site != nil {
		err := g.site.runs(n, func(row int, u run) { s.keepSite(g.site, u, keep[row:]) })
		if err != nil {
			return 0, err
		}
	}
	if g.time != nil {
		err := g.time.runs(n, func(row int, u run) { s.keepTimes(g.time, u, keep[row:]) })
		if err != nil {
			return 0, err
		}
	}
	if g.who != nil {
		rows, err := g.who.next(n)
		if err != nil {
			return 0, err
		}
		for row := range rows {
			keep[row] = keep[row] && !g.who.covers(rows[row])
		}
	}
	for _, k := range keep {
		if k {
			kept++
		}
	}
	return kept, nil
}

// keepSite compares each string of the page's dictionary once for rows that follow each other, as those of a site mostly do.
func (s *scanner) keepSite(r *leafReader, u run, keep []bool) {
	last, same := int32(-1), false
	s.at = r.indexes(s.at[:0], u, nil)
	for i, at := range s.at {
		if at != last && at >= 0 {
			last, same = at, string(r.values.text(int(at))) == s.filter.site
		}
		keep[i] = at >= 0 && same
	}
}

func (s *scanner) keepTimes(r *leafReader, u run, keep []bool) {
	s.at = r.indexes(s.at[:0], u, nil)
	for i, at := range s.at {
		if at < 0 || r.values.int64s[at] < s.filter.from || r.values.int64s[at] >= s.filter.to {
			keep[i] = false
		}
	}
}
