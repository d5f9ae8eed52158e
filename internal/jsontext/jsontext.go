// Package jsontext appends JSON as encoding/json writes it without the escapes of HTML, byte for byte: for what is written
// thousands of times a second. That package is the oracle of its tests.
package jsontext

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendString appends a string in quotes. What is no UTF-8 becomes the replacement character.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0
	for i := 0; i < len(s); {
		size, escape := 1, ""
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			size, escape = escapeRune(s[i:])
		case c < ' ' || c == '"' || c == '\\':
			escape = escapeByte(c)
		}
		if escape != "" {
			b = append(append(b, s[done:i]...), escape...)
			done = i + size
		}
		i += size
	}
	return append(append(b, s[done:]...), '"')
}

// escapeRune returns the size of the first character and its escape, "" where it has none.
func escapeRune(s string) (size int, escape string) {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && size == 1:
		return size, `\ufffd`
	case r == '\u2028':
		return size, `\u2028`
	case r == '\u2029':
		return size, `\u2029`
	}
	return size, ""
}

func escapeByte(c byte) string {
	switch c {
	case '"':
		return `\"`
	case '\\':
		return `\\`
	case '\b':
		return `\b`
	case '\f':
		return `\f`
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	const digits = "0123456789abcdef"
	return `\u00` + digits[c>>4:c>>4+1] + digits[c&15:c&15+1]
}

// AppendFloat64 appends a finite number.
func AppendFloat64(b []byte, f float64) []byte { return appendNumber(b, f, 64) }

// AppendFloat32 appends a finite number in as few digits as a float32 needs.
func AppendFloat32(b []byte, f float32) []byte { return appendNumber(b, float64(f), 32) }

// appendNumber appends a finite number in as few digits as tell it from its neighbours among the numbers of so many bits.
func appendNumber(b []byte, f float64, bits int) []byte {
	abs := math.Abs(f)
	if abs >= 1 && abs < 1<<24 && math.Trunc(f) == f { // most counts are of one event at its time
		return strconv.AppendInt(b, int64(f), 10)
	}
	small, large := abs < 1e-6, abs >= 1e21
	if bits == 32 {
		small, large = float32(abs) < 1e-6, float32(abs) >= 1e21
	}
	if abs == 0 || !small && !large {
		return strconv.AppendFloat(b, f, 'f', -1, bits)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, bits)
	if n := len(b); b[n-4] == 'e' && b[n-2] == '0' { // 1e-09 is written 1e-9
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

// AppendTime appends a time of the years 0 to 9999 as RFC 3339.
func AppendTime(b []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}
