// Package history reads files with a past: CSV (RFC 4180) and JSON lines, plain or gzip, and whatever has rows that can be
// written as JSON objects, row by row. Import and
// evaluation share it, so that both understand a file in the same way. A bad row is an error of that row and does not
// end the reading.
package history

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Format is the form of a file.
type Format string

// The formats.
const (
	CSV     Format = "csv"     // RFC 4180 with a header line
	JSONL   Format = "jsonl"   // one JSON object a line
	Parquet Format = "parquet" // opened by package historyfile
)

// Limits that bound the memory of reading.
const (
	// MaxRowBytes is the longest row; far above any event (32 KiB), and small enough that a missing quote costs little.
	MaxRowBytes = 1 << 20
	// MaxColumns is the most columns of a row, nested JSON fields counted one by one.
	MaxColumns = 4096
)

// RowError is a row that cannot be read. Reading goes on with the next row.
type RowError struct {
	Line int64 // first line of the row, counted from 1; in a Parquet file the row itself
	Err  error
}

// Error implements error.
func (e *RowError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the reason.
func (e *RowError) Unwrap() error { return e.Err }

// ParseFormat reads the name of a format.
func ParseFormat(name string) (Format, error) {
	switch f := Format(strings.ToLower(name)); f {
	case CSV, JSONL, Parquet:
		return f, nil
	case "ndjson", "json":
		return JSONL, nil
	case "pq", "parq":
		return Parquet, nil
	default:
		return "", fmt.Errorf("format %q is not known: use csv, jsonl or parquet", name)
	}
}

// DetectFormat tells the format by the file's name, with or without a final .gz.
func DetectFormat(path string) (Format, error) {
	name := strings.TrimSuffix(strings.ToLower(filepath.Base(path)), ".gz")
	format, err := ParseFormat(strings.TrimPrefix(filepath.Ext(name), "."))
	if err != nil {
		return "", fmt.Errorf("cannot tell the format of %s by its name: say csv, jsonl or parquet", path)
	}
	return format, nil
}

// Reader reads the rows of one file. It is not safe for concurrent use.
type Reader struct {
	format  Format
	lines   *lines
	parser  recordParser
	columns *columns // of the CSV header
	objects Objects
	index   int64
	file    *os.File
}

// Open opens a file. Gzip is recognised by its content, not by its name. The caller closes the reader.
func Open(path string, format Format) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("it is a directory: name the files in it")
	}
	var r *Reader
	if err == nil {
		r, err = NewReader(f, format)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open history %s: %w", path, err), f.Close())
	}
	r.file = f
	return r, nil
}

// Objects are rows that stand in something else than text.
type Objects interface {
	// Next returns the number of the next row, from 1, and the row as the text of a JSON object, io.EOF after the last one, or
	// a *RowError after which it may be called again.
	Next() (number int64, text []byte, err error)
	io.Closer
}

// NewObjectReader reads the rows of objects, which are closed with it.
func NewObjectReader(objects Objects) *Reader { return &Reader{format: Parquet, objects: objects} }

// NewReader reads rows of CSV or JSON lines from a stream. A CSV header is read at once.
func NewReader(src io.Reader, format Format) (*Reader, error) {
	r := &Reader{format: format}
	text, err := decompress(src)
	if err != nil {
		return nil, err
	}
	r.lines = newLines(text)
	switch format {
	case CSV:
		return r, r.readHeader()
	case JSONL:
		return r, nil
	default:
		return nil, fmt.Errorf("format %q is not one of text: use csv or jsonl", format)
	}
}

// decompress returns the text of a plain or gzip stream without a byte order mark.
func decompress(src io.Reader) (*bufio.Reader, error) {
	text := bufio.NewReaderSize(src, 64<<10)
	if head, _ := text.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		unzip, err := gzip.NewReader(text)
		if err != nil {
			return nil, fmt.Errorf("read gzip: %w", err)
		}
		text = bufio.NewReaderSize(unzip, 64<<10)
	}
	if head, _ := text.Peek(3); bytes.Equal(head, []byte("\xef\xbb\xbf")) {
		if _, err := text.Discard(3); err != nil {
			return nil, fmt.Errorf("skip byte order mark: %w", err)
		}
	}
	return text, nil
}

// Columns returns the header of a CSV file, and nil for the other formats, whose rows name their own.
func (r *Reader) Columns() []string {
	if r.columns == nil {
		return nil
	}
	return r.columns.names
}

// Next returns the next row, io.EOF after the last one, or a *RowError after which Next may be called again. Any other
// error is final. The row stays valid.
func (r *Reader) Next() (Row, error) {
	row, err := r.next()
	if err == nil {
		row.Index = r.index
	}
	var bad *RowError
	if err == nil || errors.As(err, &bad) {
		r.index++
	}
	return row, err
}

func (r *Reader) next() (Row, error) {
	switch r.format {
	case CSV:
		return r.nextCSV()
	case Parquet:
		number, text, err := r.objects.Next()
		if err != nil {
			return Row{}, err
		}
		return jsonRow(number, text)
	default:
		return r.nextJSON()
	}
}

// Close closes the file of Open.
func (r *Reader) Close() error {
	var err error
	if r.objects != nil {
		err = r.objects.Close()
	}
	if r.file != nil {
		err = errors.Join(err, r.file.Close())
	}
	if err != nil {
		return fmt.Errorf("close history: %w", err)
	}
	return nil
}
