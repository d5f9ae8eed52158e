package history

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// ErrTooLong is the reason of a row above MaxRowBytes.
var ErrTooLong = fmt.Errorf("row is longer than %d bytes", MaxRowBytes)

// line is one physical line without its end.
type line struct {
	number int64
	text   []byte // valid until the next line is read
	err    error  // why the line has no text: ErrTooLong
}

// lines reads physical lines and takes lines back, so that a row that ran on by mistake is read again from its second
// line.
type lines struct {
	r      *bufio.Reader
	number int64
	long   []byte // a line that does not fit the buffer of r
	back   []line // lines to be read again, next one last
}

func newLines(r *bufio.Reader) *lines { return &lines{r: r} }

// next returns the next line. err is io.EOF at the end, or a failure to read the file.
func (l *lines) next() (line, error) {
	if n := len(l.back); n > 0 {
		out := l.back[n-1]
		l.back = l.back[:n-1]
		return out, nil
	}
	out := line{number: l.number + 1}
	text, err := l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		text, out.err, err = l.readLong(text)
	}
	if errors.Is(err, io.EOF) && len(text) == 0 && out.err == nil {
		return line{}, io.EOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return line{}, fmt.Errorf("read line %d: %w", out.number, err)
	}
	l.number++
	out.text = trimLineEnd(text)
	return out, nil
}

// readLong reads on a line whose first part is given. A line above MaxRowBytes is read to its end and dropped.
func (l *lines) readLong(part []byte) (text []byte, tooLong, err error) {
	l.long = append(l.long[:0], part...)
	for err = bufio.ErrBufferFull; errors.Is(err, bufio.ErrBufferFull); {
		part, err = l.r.ReadSlice('\n')
		if tooLong == nil && len(l.long)+len(part) > MaxRowBytes {
			tooLong = ErrTooLong
		}
		if tooLong == nil {
			l.long = append(l.long, part...)
		}
	}
	if tooLong != nil {
		return nil, tooLong, err
	}
	return l.long, nil, err
}

// unread gives lines back, in the order in which they were read.
func (l *lines) unread(read []line) {
	for i := len(read) - 1; i >= 0; i-- {
		l.back = append(l.back, read[i])
	}
}

func trimLineEnd(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b
}
