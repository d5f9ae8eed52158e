package event

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

func (w *wire) word() string { return w.reader.word(w.text()) }

// text reads a string.
func (w *wire) text() string {
	if !w.take('"') {
		return ""
	}
	start, ascii := w.pos, true
	for i := start; i < len(w.s); i++ {
		switch c := w.s[i]; {
		case c == '"':
			w.pos = i + 1
			if s := w.s[start:i]; ascii || utf8.ValidString(s) {
				return s
			}
			w.unusual = true
			return ""
		case c == '\\':
			return w.escaped(start, i)
		case c < ' ':
			w.unusual = true
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	w.unusual = true
	return ""
}

// escaped reads a string from start on whose first escape stands at i.
func (w *wire) escaped(start, i int) string {
	b := make([]byte, 0, 2*(i-start)+64)
	b = append(b, w.s[start:i]...)
	for ; i < len(w.s); i++ {
		c := w.s[i]
		switch {
		case c == '"':
			w.pos = i + 1
			if !utf8.Valid(b) {
				w.unusual = true
			}
			return string(b)
		case c < ' ':
			w.unusual = true
			return ""
		case c != '\\':
			b = append(b, c)
			continue
		}
		n := escapeLength(w.s[i:])
		if n == 0 {
			w.unusual = true
			return ""
		}
		if n == 2 {
			b = append(b, unescape(w.s[i+1]))
			i++
			continue
		}
		r := hexRune(w.s[i+2 : i+6])
		i += 5
		if utf16.IsSurrogate(r) { // a pair, or lost
			w.unusual = true
			return ""
		}
		b = utf8.AppendRune(b, r)
	}
	w.unusual = true
	return ""
}

// unescape is what the letter of a short escape stands for.
func unescape(letter byte) byte {
	switch letter {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return letter
}

func hexRune(digits string) rune {
	n, _ := strconv.ParseUint(digits, 16, 16) // escapeLength has checked it
	return rune(n)
}

// number passes over a number and returns its text.
func (w *wire) number() string {
	sc := scanner{s: w.s, pos: w.pos}
	text, p := sc.number()
	if p != nil || w.unusual {
		w.unusual = true
		return "0"
	}
	w.pos = sc.pos
	return text
}

func (w *wire) float() *float64 {
	p := w.reader.floats.one()
	*p = w.real()
	return p
}

func (w *wire) real() float64 {
	f, err := strconv.ParseFloat(w.number(), 64)
	if err != nil {
		w.unusual = true
	}
	return f
}

func (w *wire) integer() *int64 {
	p := w.reader.integers.one()
	*p = w.whole(64)
	return p
}

func (w *wire) whole(bits int) int64 {
	n, err := strconv.ParseInt(w.number(), 10, bits)
	if err != nil {
		w.unusual = true
	}
	return n
}

func (w *wire) index() *int32 {
	p := w.reader.indexes.one()
	*p = int32(w.whole(32))
	return p
}

func (w *wire) flag() bool {
	switch {
	case strings.HasPrefix(w.s[w.pos:], "true"):
		w.pos += 4
		return true
	case strings.HasPrefix(w.s[w.pos:], "false"):
		w.pos += 5
		return false
	}
	w.unusual = true
	return false
}

// time reads a time of the form 2006-01-02T15:04:05Z with up to nine digits of a second's fraction.
func (w *wire) time() time.Time {
	start := w.pos
	s := w.text()
	if w.pos != start+len(s)+2 { // with escapes
		w.unusual = true
	}
	if len(s) < 20 || len(s) > 30 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[len(s)-1] != 'Z' {
		w.unusual = true
		return time.Time{}
	}
	nanos, scale := 0, int(time.Second)
	if fraction := s[19 : len(s)-1]; fraction != "" {
		if fraction[0] != '.' || len(fraction) == 1 {
			w.unusual = true
		}
		for i := 1; i < len(fraction); i++ {
			scale /= 10
			nanos += w.digit(fraction[i]) * scale
		}
	}
	two := func(at int) int { return 10*w.digit(s[at]) + w.digit(s[at+1]) }
	month, day, hour, minute, second := two(5), two(8), two(11), two(14), two(17)
	t := time.Date(100*two(0)+two(2), time.Month(month), day, hour, minute, second, nanos, time.UTC)
	if month < 1 || month > 12 || day < 1 || t.Day() != day || hour > 23 || minute > 59 || second > 59 {
		w.unusual = true
	}
	return t
}

func (w *wire) digit(c byte) int {
	if c < '0' || c > '9' {
		w.unusual = true
		return 0
	}
	return int(c - '0')
}
