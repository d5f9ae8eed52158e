package lake

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go/compress/zstd"
)

const (
	// sortBytes is how much the rows may weigh that a sorter holds in memory before it writes them down as a run. What the
	// allocator and the collector add makes it three to four times as much.
	sortBytes = 32 << 20
	// sortFanIn is how many runs are merged at once. Each open one costs one to two megabytes, most of it a page and a
	// read buffer for each of some fifty columns.
	sortFanIn = 12
	// The Parquet files of runs live for minutes and are read once: they are made of small pages, which is what an open
	// run holds in memory, and are hardly compressed.
	runPageBytes, runAheadBytes, runChunkRows, runDictionaryBytes = 16 << 10, 16 << 10, 64, 32 << 10
)

var runProfile = parquetProfile{codec: &zstd.Codec{Level: zstd.SpeedFastest}, pageBytes: runPageBytes, dictionaryBytes: runDictionaryBytes}

// sorter sorts any number of rows within bounded memory: what is too much is written down in sorted runs, and the runs are
// merged. It can be filled again after each.
type sorter[Row any] struct {
	dir     string // where runs are written
	compare func(a, b *Row) int
	limit   int // of what the rows in memory weigh

	rows   []*Row
	weight int
	levels [][]rowSource[Row] // open runs; one of level n+1 was merged from sortFanIn of level n
}

func newSorter[Row any](dir string, limit int, compare func(a, b *Row) int) *sorter[Row] {
	return &sorter[Row]{dir: dir, compare: compare, limit: limit}
}

// add takes a row, which the sorter owns from now on.
func (s *sorter[Row]) add(ctx context.Context, row *Row) error {
	s.rows = append(s.rows, row)
	if s.weight += weigh(row); s.weight < s.limit {
		return nil
	}
	s.sortRows()
	run, err := s.writeRun(ctx, &rowSlice[Row]{rows: s.rows})
	if err != nil {
		return err
	}
	clear(s.rows)
	s.rows, s.weight = s.rows[:0], 0
	return s.addRun(ctx, 0, run)
}

func (s *sorter[Row]) sortRows() { slices.SortFunc(s.rows, s.compare) }

// addRun keeps a run, and merges its level when that is full.
func (s *sorter[Row]) addRun(ctx context.Context, level int, run rowSource[Row]) error {
	if level == len(s.levels) {
		s.levels = append(s.levels, nil)
	}
	s.levels[level] = append(s.levels[level], run)
	if len(s.levels[level]) < sortFanIn {
		return nil
	}
	merged, err := newMerge(ctx, s.levels[level], s.compare)
	if err != nil {
		return err
	}
	larger, err := s.writeRun(ctx, merged)
	if err != nil {
		return err
	}
	err = closeRuns(s.levels[level])
	s.levels[level] = nil
	if err != nil {
		return errors.Join(err, larger.close())
	}
	return s.addRun(ctx, level+1, larger)
}

// each calls yield with all rows in order, equal ones in no order, and leaves the sorter empty. The rows are yield's.
func (s *sorter[Row]) each(ctx context.Context, yield func(*Row) error) error {
	s.sortRows()
	var all rowSource[Row] = &rowSlice[Row]{rows: s.rows}
	if len(s.levels) > 0 {
		merged, err := newMerge(ctx, append(slices.Concat(s.levels...), all), s.compare)
		if err != nil {
			return err
		}
		all = merged
	}
	for {
		row, err := all.next(ctx)
		if err != nil {
			return err
		}
		if row == nil {
			break
		}
		if err := yield(row); err != nil {
			return err
		}
	}
	clear(s.rows)
	s.rows, s.weight = s.rows[:0], 0
	return s.close()
}

// close gives up the runs.
func (s *sorter[Row]) close() error {
	var errs []error
	for _, level := range s.levels {
		errs = append(errs, closeRuns(level))
	}
	s.levels = nil
	return errors.Join(errs...)
}

func closeRuns[Row any](runs []rowSource[Row]) error {
	var errs []error
	for _, r := range runs {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}

// writeRun writes sorted rows to a file that has no name any more when it is open: whatever ends the process, nothing is left.
func (s *sorter[Row]) writeRun(ctx context.Context, rows rowSource[Row]) (run rowSource[Row], err error) {
	file, err := unnamedFile(s.dir, "run-*")
	if err != nil {
		return nil, fmt.Errorf("write sorted run: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write sorted run: %w", err), file.Close())
		}
	}()
	out, err := newRowWriter[Row](file, runProfile)
	if err != nil {
		return nil, err
	}
	defer out.release()
	if err := copyRows(ctx, out, rows); err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return readRows[Row](localFile{file, info.Size()}, "of a sorted run", runChunkRows, runAheadBytes)
}

// copyRows writes all rows of a source and ends the file.
func copyRows[Row any](ctx context.Context, out *rowWriter[Row], rows rowSource[Row]) error {
	chunk := newRowChunk(out)
	for {
		row, err := rows.next(ctx)
		if err != nil {
			return err
		}
		if row == nil {
			return chunk.close()
		}
		if err := chunk.write(row); err != nil {
			return err
		}
	}
}

// rowChunk collects single rows for a rowWriter.
type rowChunk[Row any] struct {
	out  *rowWriter[Row]
	rows []Row
}

func newRowChunk[Row any](out *rowWriter[Row]) *rowChunk[Row] {
	return &rowChunk[Row]{out: out, rows: make([]Row, 0, encodeChunkRows)}
}

func (c *rowChunk[Row]) write(row *Row) error {
	c.rows = append(c.rows, *row)
	if len(c.rows) < encodeChunkRows {
		return nil
	}
	return c.flush()
}

func (c *rowChunk[Row]) flush() error {
	err := c.out.write(c.rows)
	clear(c.rows)
	c.rows = c.rows[:0]
	return err
}

func (c *rowChunk[Row]) close() error {
	if err := c.flush(); err != nil {
		return err
	}
	return c.out.close()
}

// rowSource gives rows one after the other, nil at the end; a row is good until the next call.
type rowSource[Row any] interface {
	next(ctx context.Context) (*Row, error)
	close() error
}

type rowSlice[Row any] struct{ rows []*Row }

func (s *rowSlice[Row]) close() error { return nil }

func (s *rowSlice[Row]) next(context.Context) (*Row, error) {
	if len(s.rows) == 0 {
		return nil, nil
	}
	row := s.rows[0]
	s.rows = s.rows[1:]
	return row, nil
}

// merge merges sorted sources. Its rows belong to the caller.
type merge[Row any] struct {
	compare func(a, b *Row) int
	heads   []mergeHead[Row] // a heap
}

type mergeHead[Row any] struct {
	row    *Row
	source rowSource[Row]
}

func newMerge[Row any](ctx context.Context, sources []rowSource[Row], compare func(a, b *Row) int) (*merge[Row], error) {
	m := &merge[Row]{compare: compare}
	for _, s := range sources {
		row, err := nextOwned(ctx, s)
		if err != nil {
			return nil, err
		}
		if row != nil {
			m.heads = append(m.heads, mergeHead[Row]{row, s})
		}
	}
	heap.Init(m)
	return m, nil
}

// nextOwned is next with a row that stays.
func nextOwned[Row any](ctx context.Context, s rowSource[Row]) (*Row, error) {
	row, err := s.next(ctx)
	if err != nil || row == nil {
		return nil, err
	}
	owned := *row
	return &owned, nil
}

func (m *merge[Row]) next(ctx context.Context) (*Row, error) {
	if len(m.heads) == 0 {
		return nil, nil
	}
	first := m.heads[0].row
	row, err := nextOwned(ctx, m.heads[0].source)
	if err != nil {
		return nil, err
	}
	if row == nil {
		heap.Pop(m)
		return first, nil
	}
	m.heads[0].row = row
	heap.Fix(m, 0)
	return first, nil
}

// close does nothing: the sources belong to who made them.
func (m *merge[Row]) close() error { return nil }

func (m *merge[Row]) Len() int           { return len(m.heads) }
func (m *merge[Row]) Less(i, j int) bool { return m.compare(m.heads[i].row, m.heads[j].row) < 0 }
func (m *merge[Row]) Swap(i, j int)      { m.heads[i], m.heads[j] = m.heads[j], m.heads[i] }

// Push implements heap.Interface; a merge only shrinks.
func (m *merge[Row]) Push(head any) { m.heads = append(m.heads, head.(mergeHead[Row])) }

// Pop implements heap.Interface.
func (m *merge[Row]) Pop() any {
	last := m.heads[len(m.heads)-1]
	m.heads = m.heads[:len(m.heads)-1]
	return last
}
