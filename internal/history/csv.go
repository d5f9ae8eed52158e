package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// RFC 4180 with two liberties that real files need: lines may end with LF alone, and empty lines are skipped. A quote
// inside a field that does not start with one is an error of the row, as the RFC has it.

var (
	errBareQuote = errors.New(`quote in a field that does not start with one: put the field in quotes and double the quote inside`)
	errAfter     = errors.New(`text after a closing quote: double the quotes inside a quoted field`)
	errOpenQuote = errors.New(`a quoted field is never closed`)
)

func (r *Reader) readHeader() error {
	_, values, err := r.readRecord()
	if errors.Is(err, io.EOF) {
		return errors.New("the file is empty: its first line must name the columns")
	}
	if err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	for i := range values {
		values[i] = strings.TrimSpace(values[i])
	}
	r.columns, err = newColumns(values)
	if err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	return nil
}

func (r *Reader) nextCSV() (Row, error) {
	number, values, err := r.readRecord()
	if err != nil {
		return Row{}, err
	}
	if len(values) != len(r.columns.names) {
		return Row{}, &RowError{Line: number, Err: fmt.Errorf("%d fields where the header has %d", len(values), len(r.columns.names))}
	}
	return Row{Line: number, columns: r.columns, values: values}, nil
}

// readRecord returns the fields of the next record and its first line.
func (r *Reader) readRecord() (int64, []string, error) {
	first, err := r.firstLine()
	if err != nil {
		return 0, nil, err
	}
	if first.err != nil {
		return 0, nil, &RowError{Line: first.number, Err: first.err}
	}
	p := &r.parser
	p.reset()
	size := len(first.text)
	done, err := p.line(first.text)
	var more []line
	for err == nil && !done {
		var next line
		next, err = r.lines.next()
		if errors.Is(err, io.EOF) {
			err = errOpenQuote
			break
		}
		if err != nil {
			return 0, nil, err
		}
		next.text = bytes.Clone(next.text)
		more = append(more, next)
		if size += len(next.text) + 1; next.err != nil || size > MaxRowBytes {
			err = fmt.Errorf("%w within %d bytes", errOpenQuote, MaxRowBytes)
			break
		}
		done, err = p.line(next.text)
	}
	var fields []string
	if err == nil {
		fields, err = p.fields()
	}
	if err != nil {
		r.lines.unread(more) // a quote too many must not swallow the rows after it
		return 0, nil, &RowError{Line: first.number, Err: err}
	}
	return first.number, fields, nil
}

// firstLine returns the next line that is not empty.
func (r *Reader) firstLine() (line, error) {
	for {
		l, err := r.lines.next()
		if err != nil || l.err != nil || len(l.text) > 0 {
			return l, err
		}
	}
}

// recordParser splits one record, which may run over several lines. It keeps the texts of all fields in one buffer, so
// that a row costs two allocations however many columns it has.
type recordParser struct {
	text   []byte
	ends   []int // of each field in text
	quoted bool  // inside quotes at the end of the last line
}

func (p *recordParser) reset() { p.text, p.ends, p.quoted = p.text[:0], p.ends[:0], false }

// line takes the next line of the record and reports whether the record ends with it.
func (p *recordParser) line(text []byte) (done bool, err error) {
	if p.quoted {
		p.text = append(p.text, '\n')
		if text, err = p.quotedPart(text); err != nil || p.quoted {
			return false, err
		}
		if p.endField(); text == nil {
			return true, nil
		}
	}
	for {
		if len(p.ends) >= MaxColumns {
			return false, fmt.Errorf("more than %d fields", MaxColumns)
		}
		if len(text) > 0 && text[0] == '"' {
			if text, err = p.quotedPart(text[1:]); err != nil || p.quoted {
				return false, err
			}
		} else if text, err = p.plainPart(text); err != nil {
			return false, err
		}
		if p.endField(); text == nil {
			return true, nil
		}
	}
}

// quotedPart reads to the closing quote and the comma after it. The rest is nil at the end of the line; p.quoted says
// whether the field goes on in the next line.
func (p *recordParser) quotedPart(text []byte) ([]byte, error) {
	for i := 0; i < len(text); i++ {
		if text[i] != '"' {
			p.text = append(p.text, text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == '"' {
			p.text = append(p.text, '"')
			i++
			continue
		}
		p.quoted = false
		switch {
		case i+1 == len(text):
			return nil, nil
		case text[i+1] == ',':
			return text[i+2:], nil
		default:
			return nil, errAfter
		}
	}
	p.quoted = true
	return nil, nil
}

// plainPart reads to the next comma; the rest is nil at the end of the line.
func (p *recordParser) plainPart(text []byte) ([]byte, error) {
	for i, c := range text {
		switch c {
		case ',':
			p.text = append(p.text, text[:i]...)
			return text[i+1:], nil
		case '"':
			return nil, errBareQuote
		}
	}
	p.text = append(p.text, text...)
	return nil, nil
}

func (p *recordParser) endField() { p.ends = append(p.ends, len(p.text)) }

// fields returns the finished record.
func (p *recordParser) fields() ([]string, error) {
	all, start := string(p.text), 0
	fields := make([]string, len(p.ends))
	for i, end := range p.ends {
		fields[i], start = all[start:end], end
		if !utf8.ValidString(fields[i]) {
			return nil, fmt.Errorf("field %d is not valid UTF-8", i+1)
		}
	}
	return fields, nil
}
