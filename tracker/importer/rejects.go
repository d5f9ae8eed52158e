package importer

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/millrace/millrace/internal/history"
)

// rejectFile collects the rows that could not be imported as CSV: line, reason, row (a JSON object; empty where the
// line could not even be taken apart). Every run writes it anew beside its final name and gives it that name when the
// source has been read to its end; without a bad row there is none.
type rejectFile struct {
	path  string
	file  *os.File
	buf   *bufio.Writer
	csv   *csv.Writer
	count int64
}

// rejectPath names the reject file of a source: its base name makes it recognisable, the digest keeps two sources of
// one name apart.
func rejectPath(dir, source, digest string) string {
	const digestChars = 12
	return filepath.Join(dir, filepath.Base(source)+"."+digest[:min(digestChars, len(digest))]+".rejected.csv")
}

// add records a bad row; row is nil for a line that is no row at all.
func (r *rejectFile) add(line int64, reason string, row *history.Row) error {
	if r.file == nil {
		if err := r.open(); err != nil {
			return err
		}
	}
	text, err := rowText(row)
	if err != nil {
		return fmt.Errorf("encode rejected line %d: %w", line, err)
	}
	if err := r.csv.Write([]string{strconv.FormatInt(line, 10), reason, text}); err != nil {
		return fmt.Errorf("write reject file: %w", err)
	}
	r.count++
	return nil
}

func rowText(row *history.Row) (string, error) {
	if row == nil {
		return "", nil
	}
	if row.Raw != nil {
		return string(row.Raw), nil
	}
	fields := make(map[string]string, len(row.Columns()))
	for _, c := range row.Columns() {
		fields[c] = row.Get(c)
	}
	text, err := json.Marshal(fields)
	return string(text), err
}

func (r *rejectFile) open() error {
	if err := os.MkdirAll(filepath.Dir(r.path), 0o755); err != nil {
		return fmt.Errorf("create reject file: %w", err)
	}
	f, err := os.Create(r.path + ".partial")
	if err != nil {
		return fmt.Errorf("create reject file: %w", err)
	}
	r.file, r.buf = f, bufio.NewWriter(f)
	r.csv = csv.NewWriter(r.buf)
	if err := r.csv.Write([]string{"line", "reason", "row"}); err != nil {
		return fmt.Errorf("write reject file: %w", err)
	}
	return nil
}

// finish gives the file its name and returns it, or "" when no row was rejected.
func (r *rejectFile) finish() (string, error) {
	if r.file == nil {
		return "", nil
	}
	f := r.file
	r.file = nil
	r.csv.Flush()
	if err := errors.Join(r.csv.Error(), r.buf.Flush(), f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("write reject file: %w", err)
	}
	if err := os.Rename(f.Name(), r.path); err != nil {
		return "", fmt.Errorf("name reject file: %w", err)
	}
	return r.path, nil
}

// abandon drops what an interrupted run has written; the next run starts the file again. After finish it does nothing.
func (r *rejectFile) abandon() error {
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file = nil
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return fmt.Errorf("drop reject file: %w", err)
	}
	return nil
}
