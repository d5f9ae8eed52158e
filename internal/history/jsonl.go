package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

// nextJSON reads one object a line. Nested objects and arrays become columns with dots: items.0.item_id.
func (r *Reader) nextJSON() (Row, error) {
	l, err := r.firstLine()
	for err == nil && l.err == nil && len(bytes.TrimSpace(l.text)) == 0 {
		l, err = r.firstLine()
	}
	if err != nil {
		return Row{}, err
	}
	if l.err != nil {
		return Row{}, &RowError{Line: l.number, Err: l.err}
	}
	return jsonRow(l.number, bytes.Clone(l.text))
}

// jsonRow makes a row of the text of an object, which it keeps.
func jsonRow(number int64, text []byte) (Row, error) {
	fields, err := flattenObject(text)
	if err != nil {
		return Row{}, &RowError{Line: number, Err: err}
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = fields[name]
	}
	columns, err := newColumns(names)
	if err != nil {
		return Row{}, &RowError{Line: number, Err: err}
	}
	return Row{Line: number, Raw: text, columns: columns, values: values}, nil
}

func flattenObject(text []byte) (map[string]string, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("row is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // the text of a number is kept: ids must not pass through a float
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return nil, fmt.Errorf("row is not a JSON object: %w", err)
	}
	if object == nil {
		return nil, errors.New("row is not a JSON object: null")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text follows the JSON object: write one object a line")
	}
	fields := map[string]string{}
	if err := flatten(fields, "", object); err != nil {
		return nil, err
	}
	return fields, nil
}

func flatten(fields map[string]string, name string, value any) error {
	if len(fields) >= MaxColumns {
		return fmt.Errorf("more than %d fields", MaxColumns)
	}
	prefix := name
	if prefix != "" {
		prefix += "."
	}
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if err := flatten(fields, prefix+key, inner); err != nil {
				return err
			}
		}
		return nil
	case []any:
		for i, inner := range v {
			if err := flatten(fields, prefix+strconv.Itoa(i), inner); err != nil {
				return err
			}
		}
		return nil
	case nil:
		return nil // null is absent
	}
	if _, twice := fields[name]; twice {
		return fmt.Errorf("field %q appears twice", name)
	}
	switch v := value.(type) {
	case string:
		fields[name] = v
	case json.Number:
		fields[name] = v.String()
	case bool:
		fields[name] = strconv.FormatBool(v)
	}
	return nil
}
