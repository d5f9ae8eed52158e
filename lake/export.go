package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ExportFormat is a form in which rows leave the lake.
type ExportFormat string

const (
	// ExportParquet is one Parquet file with the columns of FORMAT.md.
	ExportParquet ExportFormat = "parquet"
	// ExportJSONL is one JSON object a line, as the events API takes them and `import events` reads them.
	ExportJSONL ExportFormat = "jsonl"
)

// Export writes the rows of a scan to w, in no order, and returns how many there were. Columns are ignored. progress, if not nil, is
// called now and then with the rows so far.
func (l *Lake) Export(ctx context.Context, req ScanRequest, format ExportFormat, w io.Writer, progress func(rows int64)) (int64, error) {
	switch req.Table {
	case TableEvents:
		return exportRows(ctx, format, w, progress, (*eventRow).fill, func(r EventRow) any { return r.Event }, func(ctx context.Context, yield func(EventRow) error) error {
			return l.ScanEvents(ctx, req, yield)
		})
	case TableExposures:
		return exportRows(ctx, format, w, progress, (*exposureRow).fill, func(r ExposureRow) any { return r.Exposure }, func(ctx context.Context, yield func(ExposureRow) error) error {
			return l.ScanExposures(ctx, req, yield)
		})
	case TableItems:
		return exportRows(ctx, format, w, progress, (*catalogueRow).fill, func(r ItemRow) any { return r.Item }, func(ctx context.Context, yield func(ItemRow) error) error {
			return l.ScanItems(ctx, req, yield)
		})
	}
	_, err := specByName(req.Table)
	return 0, err
}

// exportEvery is how many rows lie between two calls of progress.
const exportEvery = 10_000

// rowSink takes rows one after the other.
type rowSink[In any] struct {
	write func(In) error
	close func() error
}

func exportRows[In, Row any](ctx context.Context, format ExportFormat, w io.Writer, progress func(int64), fill func(*Row, In) error,
	value func(In) any, scan func(context.Context, func(In) error) error,
) (n int64, err error) {
	var out rowSink[In]
	switch format {
	case ExportParquet:
		if out, err = parquetSink(w, fill); err != nil {
			return 0, err
		}
	case ExportJSONL:
		lines := json.NewEncoder(w)
		out = rowSink[In]{write: func(in In) error { return lines.Encode(value(in)) }, close: func() error { return nil }}
	default:
		return 0, fmt.Errorf("no export format %q: use %s or %s", format, ExportParquet, ExportJSONL)
	}
	err = scan(ctx, func(in In) error {
		if n++; progress != nil && n%exportEvery == 0 {
			progress(n)
		}
		return out.write(in)
	})
	return n, errors.Join(err, out.close())
}

func parquetSink[In, Row any](w io.Writer, fill func(*Row, In) error) (rowSink[In], error) {
	file, err := newRowWriter[Row](w, compactedProfile)
	if err != nil {
		return rowSink[In]{}, err
	}
	chunk := newRowChunk(file)
	return rowSink[In]{
		write: func(in In) error {
			row := new(Row)
			if err := fill(row, in); err != nil {
				return err
			}
			return chunk.write(row)
		},
		close: chunk.close,
	}, nil
}
