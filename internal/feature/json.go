package feature

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// The change feed writes thousands of views a second. What follows appends JSON as encoding/json writes it without the
// escapes of HTML, byte for byte; that package and the View methods are the oracle of the tests.

// appendString appends a string in quotes. What is no UTF-8 becomes the replacement character.
func appendString(b []byte, s string) []byte {
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

func appendFloat64(b []byte, f float64) []byte { return appendNumber(b, f, 64) }

func appendFloat32(b []byte, f float32) []byte { return appendNumber(b, float64(f), 32) }

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

// appendTime appends a time as RFC 3339 in UTC.
func appendTime(b []byte, ms int64) []byte {
	b = append(b, '"')
	return append(time.UnixMilli(ms).UTC().AppendFormat(b, time.RFC3339Nano), '"')
}

// appendValues appends a count at a time.
func appendValues(b []byte, d *Decayed, now int64) []byte {
	return appendHalfLives(b, valuesAt(d, now))
}

func appendHalfLives(b []byte, v HalfLives) []byte {
	b = append(b, `{"14d":`...)
	first := len(b)
	b = appendFloat32(b, v.Fortnight)
	if v.Day == v.Fortnight && v.Hour == v.Fortnight {
		text := b[first:]
		b = append(append(b, `,"1d":`...), text...)
		b = append(append(b, `,"1h":`...), text...)
		return append(b, '}')
	}
	b = appendFloat32(append(b, `,"1d":`...), v.Day)
	b = appendFloat32(append(b, `,"1h":`...), v.Hour)
	return append(b, '}')
}

// appendValuesByName appends the counts that have one of the names wanted, at a time, as an object. They are sorted by
// name, as its keys must be.
func appendValuesByName(b []byte, counts []Count, now int64, wanted func(name string) bool) []byte {
	b = append(b, '{')
	first := len(b)
	for i := range counts {
		if !wanted(counts[i].Name) {
			continue
		}
		if len(b) > first {
			b = append(b, ',')
		}
		b = append(appendString(b, counts[i].Name), ':')
		b = appendValues(b, &counts[i].Decayed, now)
	}
	return append(b, '}')
}

// appendIDs appends the ids of a set as an array.
func appendIDs(b []byte, set []Seen) []byte {
	b = append(b, '[')
	for i := range set {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, set[i].ItemID)
	}
	return append(b, ']')
}

// appendTextField and appendCountField append a field that is left out where it is empty. The name comes with its comma,
// quotes and colon.
func appendTextField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(append(b, name...), value)
}

func appendCountField(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), n, 10)
}
