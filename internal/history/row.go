package history

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Row is one row of a file. Fields are texts by column name; an empty field and an absent one are the same.
type Row struct {
	Line  int64  // first line in the file, counted from 1
	Index int64  // number of the row, bad rows counted, from 0: where a resumed import goes on
	Raw   []byte // the JSON text of the row; nil for CSV

	columns *columns
	values  []string
}

// Get returns the value of a column, "" when the row has none.
func (r Row) Get(column string) string {
	if i, ok := r.columns.byName[column]; ok {
		return r.values[i]
	}
	return ""
}

// Has reports whether the row has the column, empty or not.
func (r Row) Has(column string) bool {
	_, ok := r.columns.byName[column]
	return ok
}

// Columns returns the names of the row's columns; the slice must not be changed.
func (r Row) Columns() []string { return r.columns.names }

// Digest identifies the row's content on a site: a hash of the site and of the non-empty fields in the order of their
// column names. Equal rows of a file have equal digests, so an event id also needs the ordinal among equal rows. The
// same content has the same digest whatever the order of the columns, the format, the compression or the line ends.
func (r Row) Digest(site string) [sha256.Size]byte {
	buf := appendText(make([]byte, 0, 256), site)
	for _, i := range r.columns.sorted {
		if r.values[i] != "" {
			buf = appendText(buf, r.columns.names[i])
			buf = appendText(buf, r.values[i])
		}
	}
	return sha256.Sum256(buf)
}

// appendText adds a text with its length before it, so that no two different lists of texts give the same bytes.
func appendText(buf []byte, text string) []byte {
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(text)))
	return append(buf, text...)
}

// columns are the names of a row's fields, shared by all rows of a CSV file.
type columns struct {
	names  []string
	byName map[string]int
	sorted []int // columns in the order of their names
}

func newColumns(names []string) (*columns, error) {
	c := &columns{names: names, byName: make(map[string]int, len(names)), sorted: make([]int, len(names))}
	for i, name := range names {
		if first, ok := c.byName[name]; ok {
			return nil, fmt.Errorf("columns %d and %d are both named %q: give each its own name", first+1, i+1, name)
		}
		c.byName[name] = i
		c.sorted[i] = i
	}
	if len(names) == 0 {
		return nil, errors.New("no columns")
	}
	slices.SortFunc(c.sorted, func(a, b int) int {
		if names[a] < names[b] {
			return -1
		}
		return 1
	})
	return c, nil
}
