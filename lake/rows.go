package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/parquet-go/parquet-go"
)

// decodeChunkRows is how many whole rows are decoded at a time.
const decodeChunkRows = 512

// ScanEvents calls yield with every matching row, whole, until yield returns an error, which it returns. Rows come in the
// order of commits; inside a commit by epoch, partition and offset, so that the rows of one partition come in the order
// of Kafka. The row belongs to yield. It ignores Columns, and Table may be empty.
func (l *Lake) ScanEvents(ctx context.Context, req ScanRequest, yield func(EventRow) error) error {
	req.Table = TableEvents
	p, err := l.plan(ctx, req)
	if err != nil {
		return err
	}
	return scanRows(ctx, p, (*eventRow).value, func(r EventRow) error {
		if !p.filter.matches(r.Event.Site, r.Event.OccurredAt.UnixMicro()) {
			return nil
		}
		return yield(r)
	}, func(r EventRow) Position { return r.At })
}

// ScanExposures is ScanEvents for exposures.
func (l *Lake) ScanExposures(ctx context.Context, req ScanRequest, yield func(ExposureRow) error) error {
	req.Table = TableExposures
	p, err := l.plan(ctx, req)
	if err != nil {
		return err
	}
	return scanRows(ctx, p, (*exposureRow).value, func(r ExposureRow) error {
		if !p.filter.matches(r.Exposure.Site, r.Exposure.ServedAt.UnixMicro()) {
			return nil
		}
		return yield(r)
	}, func(r ExposureRow) Position { return r.At })
}

// scanRows decodes the planned files. Files of one commit (one a day) are merged by position.
func scanRows[Row, Out any](ctx context.Context, p *plan, value func(*Row) (Out, error), yield func(Out) error, at func(Out) Position) error {
	for files := p.files; len(files) > 0; {
		n := 1
		for n < len(files) && files[n].sequence == files[0].sequence {
			n++
		}
		if err := mergeFiles(ctx, files[:n], value, yield, at); err != nil {
			return err
		}
		files = files[n:]
	}
	return nil
}

func mergeFiles[Row, Out any](ctx context.Context, files []plannedFile, value func(*Row) (Out, error), yield func(Out) error, at func(Out) Position) (err error) {
	var open []*rowReader[Row, Out]
	defer func() {
		for _, r := range open {
			err = errors.Join(err, r.close())
		}
	}()
	for _, f := range files {
		r, err := openRows(f, value)
		if err != nil {
			return err
		}
		open = append(open, r)
		if err := r.next(ctx); err != nil {
			return err
		}
	}
	for {
		var first *rowReader[Row, Out]
		for _, r := range open { // few: one file a day
			if !r.done && (first == nil || comparePositions(at(r.row), at(first.row)) < 0) {
				first = r
			}
		}
		if first == nil {
			return nil
		}
		if err := yield(first.row); err != nil {
			return err
		}
		if err := first.next(ctx); err != nil {
			return err
		}
	}
}

// rowReader walks the rows of one file.
type rowReader[Row, Out any] struct {
	file   *os.File
	path   string
	rows   *parquet.GenericReader[Row]
	value  func(*Row) (Out, error)
	buffer []Row
	ready  []Row // the part of buffer that was read and not yet walked
	eof    bool

	row  Out
	done bool
}

func openRows[Row, Out any](f plannedFile, value func(*Row) (Out, error)) (*rowReader[Row, Out], error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("open data file: %w", err)
	}
	data, err := openParquet(file, f.bytes)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open data file %s: %w", f.path, err), file.Close())
	}
	return &rowReader[Row, Out]{
		file: file, path: f.path, value: value, rows: parquet.NewGenericReader[Row](data), buffer: make([]Row, decodeChunkRows),
	}, nil
}

// next moves to the next row or sets done.
func (r *rowReader[Row, Out]) next(ctx context.Context) error {
	for len(r.ready) == 0 {
		if r.eof {
			r.done = true
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		clear(r.buffer) // the decoder keeps what a row does not overwrite, and the last rows' memory was given away
		n, err := r.rows.Read(r.buffer)
		r.eof = errors.Is(err, io.EOF)
		if err != nil && !r.eof {
			return fmt.Errorf("read data file %s: %w", r.path, err)
		}
		r.ready = r.buffer[:n]
	}
	var err error
	if r.row, err = r.value(&r.ready[0]); err != nil {
		return fmt.Errorf("read data file %s: %w", r.path, err)
	}
	r.ready = r.ready[1:]
	return nil
}

func (r *rowReader[Row, Out]) close() error {
	return errors.Join(r.rows.Close(), r.file.Close())
}
