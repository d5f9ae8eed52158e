package feed

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
)

// errNoColumns means that a table's first line names no id.
var errNoColumns = errors.New("the first line of a table names its columns, and one of them is id or item_id")

// parseTable reads a table whose first line names the columns.
func parseTable(from *entryReader, comma rune, yield func(*Entry) error) error {
	in := csv.NewReader(from)
	in.Comma, in.LazyQuotes, in.ReuseRecord, in.FieldsPerRecord = comma, true, true, -1
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return broken(errNoColumns, "as a table")
	}
	if err != nil {
		return broken(err, "as a table")
	}
	names, hasID := make([]string, len(header)), false
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		name = strings.ReplaceAll(strings.TrimPrefix(name, "g:"), " ", "_")
		names[i], hasID = name, hasID || name == "id" || name == "item_id"
	}
	if !hasID {
		return broken(errNoColumns, "as a table")
	}
	for number := 1; ; number++ {
		from.next()
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return broken(err, "as a table at entry %d", number)
		}
		entry := &Entry{Number: number, Columns: make(map[string][]string, len(names))}
		for i, value := range record[:min(len(record), len(names))] {
			if err := entry.add(names[i], strings.Clone(value)); err != nil {
				return broken(err, "as a table at entry %d", number)
			}
		}
		if err := yield(entry); err != nil {
			return err
		}
	}
}
