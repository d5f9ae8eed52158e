package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
)

// decodeChunkRows is how many whole rows are decoded at a time.
const decodeChunkRows = 512

// findSlack is how far the time in the id of a list may be from when it was served, which is to the millisecond.
const findSlack = time.Second

// ScanEvents calls yield with every matching row, whole, until yield returns an error, which it returns. Rows come in no
// order that may be relied on: a compacted file is sorted by profile, and one that is not holds what one commit brought. Who
// needs the order of Kafka sorts by EventRow.At. The row belongs to yield. It ignores Columns, and Table may be empty.
func (l *Lake) ScanEvents(ctx context.Context, req ScanRequest, yield func(EventRow) error) error {
	req.Table = TableEvents
	p, err := l.plan(ctx, req)
	if err != nil {
		return err
	}
	return scanRows(ctx, l.files, p, (*eventRow).value, func(r EventRow) error {
		if !p.filter.matches(r.Event.Site, r.Event.OccurredAt.UnixMicro()) || p.filter.erased.Covers(erasure.EventRow(r.Event)) {
			return nil
		}
		return yield(r)
	})
}

// ScanExposures is ScanEvents for exposures.
func (l *Lake) ScanExposures(ctx context.Context, req ScanRequest, yield func(ExposureRow) error) error {
	req.Table = TableExposures
	p, err := l.plan(ctx, req)
	if err != nil {
		return err
	}
	return scanRows(ctx, l.files, p, (*exposureRow).value, func(r ExposureRow) error {
		if !p.filter.matches(r.Exposure.Site, r.Exposure.ServedAt.UnixMicro()) || p.filter.erased.Covers(erasure.ExposureRow(r.Exposure)) {
			return nil
		}
		return yield(r)
	})
}

// errStop ends a scan that has found its row.
var errStop = errors.New("found")

// FindExposure returns the record of a list that was served about then, nil where there is none.
func (l *Lake) FindExposure(ctx context.Context, site, recID string, at time.Time) (found *event.Exposure, err error) {
	err = l.ScanExposures(ctx, ScanRequest{Site: site, From: at.Add(-findSlack), To: at.Add(findSlack)}, func(r ExposureRow) error {
		if r.Exposure.RecID != recID {
			return nil
		}
		found = r.Exposure
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return nil, fmt.Errorf("find list %s: %w", recID, err)
	}
	return found, nil
}

// ScanItems is ScanEvents for the history of the catalogue, which names nobody.
func (l *Lake) ScanItems(ctx context.Context, req ScanRequest, yield func(ItemRow) error) error {
	req.Table = TableItems
	p, err := l.plan(ctx, req)
	if err != nil {
		return err
	}
	return scanRows(ctx, l.files, p, (*catalogueRow).value, func(r ItemRow) error {
		if !p.filter.matches(r.Item.Site, r.Item.UpdatedAt.UnixMicro()) {
			return nil
		}
		return yield(r)
	})
}

// scanRows decodes the planned files, one after the other.
func scanRows[Row, Out any](ctx context.Context, in files, p *plan, value func(*Row) (Out, error), yield func(Out) error) error {
	for _, f := range p.files {
		if err := scanFile(ctx, in, f, value, yield); err != nil {
			return err
		}
	}
	return nil
}

func scanFile[Row, Out any](ctx context.Context, in files, f plannedFile, value func(*Row) (Out, error), yield func(Out) error) (err error) {
	r, err := openRows[Row](ctx, in, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for {
		row, err := r.next(ctx)
		if err != nil || row == nil {
			return err
		}
		out, err := value(row)
		if err != nil {
			return fmt.Errorf("read data file %s: %w", f.location, err)
		}
		if err := yield(out); err != nil {
			return err
		}
	}
}

// rowReader walks the rows of one file.
type rowReader[Row any] struct {
	file   openFile
	name   string
	rows   *parquet.GenericReader[Row]
	buffer []Row
	ready  []Row // the part of buffer that was read and not yet walked
	eof    bool
}

func openRows[Row any](ctx context.Context, in files, f plannedFile) (*rowReader[Row], error) {
	file, err := in.open(ctx, f.location, f.bytes)
	if err != nil {
		return nil, fmt.Errorf("open data file: %w", err)
	}
	r, err := readRows[Row](file, f.location, decodeChunkRows, in.readAhead(f.bytes))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return r, nil
}

// readRows reads an open file, which the reader closes; chunk is how many rows are decoded at a time, and ahead how many
// bytes of each column are read ahead.
func readRows[Row any](file openFile, name string, chunk, ahead int) (*rowReader[Row], error) {
	data, err := openParquet(file, file.bytes(), ahead)
	if err != nil {
		return nil, fmt.Errorf("open data file %s: %w", name, err)
	}
	chunk = int(min(int64(chunk), max(1, data.NumRows())))
	return &rowReader[Row]{file: file, name: name, rows: parquet.NewGenericReader[Row](data), buffer: make([]Row, chunk)}, nil
}

// next returns the next row, nil at the end. The row is good until the next call; what it points at is the caller's.
func (r *rowReader[Row]) next(ctx context.Context) (*Row, error) {
	for len(r.ready) == 0 {
		if r.eof {
			return nil, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		clear(r.buffer) // the decoder keeps what a row does not overwrite, and the last rows' memory was given away
		n, err := r.rows.Read(r.buffer)
		r.eof = errors.Is(err, io.EOF)
		if err != nil && !r.eof {
			return nil, fmt.Errorf("read data file %s: %w", r.name, err)
		}
		r.ready = r.buffer[:n]
	}
	row := &r.ready[0]
	r.ready = r.ready[1:]
	return row, nil
}

func (r *rowReader[Row]) close() error {
	return errors.Join(r.rows.Close(), r.file.Close())
}
