// Package feed reads catalogue feeds: files in which a shop lists its articles for others, in the form of Google Merchant Center
// (RSS 2.0 or Atom with the g: namespace) or as a table (CSV, TSV) with the same names of columns, or with those of a catalogue row.
// Open gets a feed by URL or path, Parse takes it apart an entry at a time, and Mapping makes a catalogue row of an entry.
package feed

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Format is the form of a feed.
type Format string

// The formats of feeds. FormatAuto looks at the first bytes.
const (
	FormatAuto Format = "auto"
	FormatXML  Format = "xml"
	FormatCSV  Format = "csv"
	FormatTSV  Format = "tsv"
)

// Formats lists them.
func Formats() []string {
	return []string{string(FormatAuto), string(FormatXML), string(FormatCSV), string(FormatTSV)}
}

const (
	// MaxEntryBytes bounds one entry as it stands in the feed: a long description and twenty pictures fit. It also bounds the memory that
	// a feed takes, whatever it holds.
	MaxEntryBytes = 256 << 10
	// MaxColumns bounds the columns of an entry; Google's specification has some 80.
	MaxColumns = 250
	// sniffBytes is how much of a feed is looked at for its format.
	sniffBytes = 4 << 10
)

// ErrEntryTooLarge means that an entry has more than MaxEntryBytes or MaxColumns.
var ErrEntryTooLarge = fmt.Errorf("an entry has more than %d bytes or %d columns", MaxEntryBytes, MaxColumns)

// Entry is an article as a feed has it. Columns are named in lower case without a namespace; one that comes again has several values.
type Entry struct {
	Number  int // counts from 1
	Columns map[string][]string
}

// first is the first value of the first of some columns that has one.
func (e *Entry) first(names ...string) string {
	for _, name := range names {
		for _, value := range e.Columns[name] {
			if value = strings.TrimSpace(value); value != "" {
				return value
			}
		}
	}
	return ""
}

// Parse calls yield with each entry of a feed in turn, and stops with its error. A feed that breaks off is an error, after the entries
// before that.
func Parse(ctx context.Context, from io.Reader, format Format, yield func(*Entry) error) error {
	in := bufio.NewReaderSize(from, sniffBytes)
	if mark, _ := in.Peek(len(byteOrderMark)); bytes.Equal(mark, byteOrderMark) {
		_, _ = in.Discard(len(byteOrderMark))
	}
	if format == FormatAuto || format == "" {
		format = sniff(in)
	}
	stop := func(e *Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return yield(e)
	}
	limited := &entryReader{from: in, left: MaxEntryBytes}
	switch format {
	case FormatXML:
		return parseXML(limited, stop)
	case FormatCSV:
		return parseTable(limited, ',', stop)
	case FormatTSV:
		return parseTable(limited, '\t', stop)
	}
	return fmt.Errorf("feed format %q is none of %s", format, strings.Join(Formats(), ", "))
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// sniff tells the format of a feed by its first bytes.
func sniff(in *bufio.Reader) Format {
	begin, _ := in.Peek(sniffBytes)
	header, _, _ := bytes.Cut(begin, []byte("\n"))
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(begin), []byte("<")):
		return FormatXML
	case bytes.Count(header, []byte("\t")) > bytes.Count(header, []byte(",")):
		return FormatTSV
	}
	return FormatCSV
}

// entryReader fails when more than MaxEntryBytes are read for one entry.
type entryReader struct {
	from io.Reader
	left int
}

// next begins another entry.
func (r *entryReader) next() { r.left = MaxEntryBytes }

func (r *entryReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, ErrEntryTooLarge
	}
	n, err := r.from.Read(p[:min(len(p), sniffBytes)])
	r.left -= n
	return n, err
}

// broken explains why a feed ended before its end.
func broken(err error, at string, args ...any) error {
	if errors.Is(err, ErrEntryTooLarge) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("read feed "+at+": %w", append(args, err)...)
}
