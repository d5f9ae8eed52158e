// Package historyfile opens files with a past in every format that import and evaluation take. It belongs to the lake because
// Parquet does.
package historyfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/internal/history"
)

// parquetRows reads the rows of a Parquet file as the JSON objects that the same rows would be in a file of JSON lines, so
// that nested columns, digests and event ids are the same in both.
type parquetRows struct {
	file   io.Closer
	schema *parquet.Schema
	rows   *parquet.GenericReader[any]
	next   [1]any
	number int64 // of the row read last, from 1
}

// Open opens a file. The caller closes the reader.
func Open(path string, format history.Format) (*history.Reader, error) {
	if format != history.Parquet {
		return history.Open(path, format)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	info, err := f.Stat()
	var rows *parquetRows
	if err == nil {
		rows, err = newParquetRows(f, info.Size())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open history %s: %w", path, err), f.Close())
	}
	rows.file = f
	return history.NewObjectReader(rows), nil
}

// newParquetRows reads the head of a file of size bytes. It refuses what the library reads wrongly.
func newParquetRows(src io.ReaderAt, size int64) (p *parquetRows, err error) {
	defer damaged(&err)
	file, err := parquet.OpenFile(src, size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true))
	if err != nil {
		return nil, fmt.Errorf("not a Parquet file, or a damaged one: %w", err)
	}
	if n := len(file.Schema().Columns()); n > history.MaxColumns {
		return nil, fmt.Errorf("%d columns, at most %d", n, history.MaxColumns)
	}
	for _, group := range file.Metadata().RowGroups {
		for _, column := range group.Columns {
			if codec := column.MetaData.Codec.String(); strings.HasPrefix(codec, "LZ4") {
				return nil, fmt.Errorf("column %s is compressed with %s, which cannot be read back safely: write the file with zstd or snappy",
					strings.Join(column.MetaData.PathInSchema, "."), codec)
			}
		}
	}
	return &parquetRows{schema: file.Schema(), rows: parquet.NewGenericReader[any](file)}, nil
}

// damaged makes an error of a panic: the library has some for files that say one thing here and another there.
func damaged(err *error) {
	if cause := recover(); cause != nil {
		*err = fmt.Errorf("the Parquet file is damaged: %v", cause)
	}
}

// Next implements history.Objects.
func (p *parquetRows) Next() (number int64, text []byte, err error) {
	text, err = p.read()
	return p.number, text, err
}

func (p *parquetRows) read() (text []byte, err error) {
	defer damaged(&err)
	p.next[0] = nil
	n, err := p.rows.Read(p.next[:])
	if n == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("read row %d: %w", p.number+1, err)
	}
	p.number++
	value, err := plain(p.schema, p.next[0])
	if err == nil {
		text, err = json.Marshal(value)
	}
	if err == nil && len(text) > history.MaxRowBytes {
		err = history.ErrTooLong
	}
	if err != nil {
		return nil, &history.RowError{Line: p.number, Err: err}
	}
	return text, nil
}

// Close implements history.Objects.
func (p *parquetRows) Close() error { return errors.Join(p.closeRows(), p.file.Close()) }

func (p *parquetRows) closeRows() (err error) {
	defer damaged(&err)
	return p.rows.Close()
}
