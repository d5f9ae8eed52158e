// Package history reads files with a past: CSV (RFC 4180) and JSON lines, plain or gzip, row by row. Import and
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
	"sync/atomic"
)

// Format is the form of a file.
type Format string

// The formats.
const (
	CSV   Format = "csv"   // RFC 4180 with a header line
	JSONL Format = "jsonl" // one JSON object a line
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
	Line int64 // first line of the row, counted from 1
	Err  error
}

// Error implements error.
func (e *RowError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the reason.
func (e *RowError) Unwrap() error { return e.Err }

// ParseFormat reads the name of a format.
func ParseFormat(name string) (Format, error) {
	switch f := Format(strings.ToLower(name)); f {
	case CSV, JSONL:
		return f, nil
	case "ndjson", "json":
		return JSONL, nil
	default:
		return "", fmt.Errorf("format %q is not known: use csv or jsonl", name)
	}
}

// DetectFormat tells the format by the file's name, with or without a final .gz.
func DetectFormat(path string) (Format, error) {
	name := strings.TrimSuffix(strings.ToLower(filepath.Base(path)), ".gz")
	format, err := ParseFormat(strings.TrimPrefix(filepath.Ext(name), "."))
	if err != nil {
		return "", fmt.Errorf("cannot tell the format of %s by its name: say csv or jsonl", path)
	}
	return format, nil
}

// Reader reads the rows of one file. It is not safe for concurrent use, except BytesRead.
type Reader struct {
	format  Format
	lines   *lines
	parser  recordParser
	columns *columns // of the CSV header
	index   int64
	file    *os.File
	size    int64
	read    *countingReader
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
	r.file, r.size = f, info.Size()
	return r, nil
}

// NewReader reads rows from a stream. A CSV header is read at once.
func NewReader(src io.Reader, format Format) (*Reader, error) {
	r := &Reader{format: format, read: &countingReader{r: src}}
	text, err := decompress(r.read)
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
		return nil, fmt.Errorf("format %q is not known: use csv or jsonl", format)
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

// Columns returns the header of a CSV file, and nil for JSON lines, whose rows name their own.
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
	if r.format == CSV {
		return r.nextCSV()
	}
	return r.nextJSON()
}

// BytesRead returns how many bytes of the file, compressed as it is, were read so far; for a progress bar.
func (r *Reader) BytesRead() int64 { return r.read.n.Load() }

// Size returns the size of the file in bytes, 0 when it is not known.
func (r *Reader) Size() int64 { return r.size }

// Close closes the file of Open.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	if err := r.file.Close(); err != nil {
		return fmt.Errorf("close history: %w", err)
	}
	return nil
}

type countingReader struct {
	r io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
