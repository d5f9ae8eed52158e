package event

import (
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// The readers of this file take one value of a known kind. JSON null means an absent field everywhere.

// maxExactInteger is the largest integer that every JSON reader keeps exactly (2^53 - 1).
const maxExactInteger = 1<<53 - 1

// minUnixMillis is where a number stops being milliseconds: below it (1973) it is certainly a time in seconds.
const minUnixMillis = 100_000_000_000

// maxUnixMillis is the end of the year 9999, the last that RFC 3339 can write.
const maxUnixMillis = 253_402_300_799_999

func (sc *scanner) null() bool {
	return sc.at('n') && sc.literal("null")
}

func (sc *scanner) wrongType(want string) *Problem {
	start := sc.pos
	if p := sc.skip(); p != nil {
		return p
	}
	got := "a number"
	switch sc.s[start] {
	case '{':
		got = "an object"
	case '[':
		got = "an array"
	case '"':
		got = "a string"
	case 't', 'f':
		got = "a boolean"
	}
	return &Problem{Code: CodeWrongType, Detail: "must be " + want + ", not " + got}
}

// stringInto reads a string of any length; Admit checks ids.
func (sc *scanner) stringInto(dst *string) *Problem {
	if sc.null() {
		return nil
	}
	if !sc.at('"') {
		return sc.wrongType("a string")
	}
	s, p := sc.text()
	if p == nil {
		*dst = s
	}
	return p
}

// nameInto reads descriptive text and cuts it to max bytes.
func (sc *scanner) nameInto(dst *string, max int) *Problem {
	p := sc.stringInto(dst)
	*dst = cut(*dst, max)
	return p
}

// cut shortens text to max bytes without splitting a character.
func cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}

func (sc *scanner) floatInto(dst **float64) *Problem {
	f, ok, p := sc.float()
	if ok {
		*dst = &f
	}
	return p
}

// float reads a number; ok is false for null.
func (sc *scanner) float() (f float64, ok bool, p *Problem) {
	if sc.null() {
		return 0, false, nil
	}
	if !sc.at('-') && (sc.pos >= len(sc.s) || sc.s[sc.pos] < '0' || sc.s[sc.pos] > '9') {
		return 0, false, sc.wrongType("a number")
	}
	text, p := sc.number()
	if p != nil {
		return 0, false, p
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, false, &Problem{Code: CodeInvalidNumber, Detail: "must be a finite number"}
	}
	return f, true, nil
}

// integer reads a whole number from 0 to max; ok is false for null.
func (sc *scanner) integer(max int64) (n int64, ok bool, p *Problem) {
	f, ok, p := sc.float()
	if !ok {
		return 0, false, p
	}
	if f < 0 || f > float64(max) || f != math.Trunc(f) {
		return 0, false, &Problem{Code: CodeInvalidNumber, Detail: fmt.Sprintf("must be a whole number from 0 to %d", max)}
	}
	return int64(f), true, nil
}

func (sc *scanner) indexInto(dst **int32) *Problem {
	n, ok, p := sc.integer(math.MaxInt32)
	if ok {
		index := int32(n)
		*dst = &index
	}
	return p
}

func (sc *scanner) boolInto(dst **bool) *Problem {
	if sc.null() {
		return nil
	}
	value := sc.literal("true")
	if !value && !sc.literal("false") {
		return sc.wrongType("true or false")
	}
	*dst = &value
	return nil
}

// time reads RFC 3339 text or Unix milliseconds, as UTC with millisecond precision; null is the zero time.
func (sc *scanner) time() (time.Time, *Problem) {
	if sc.at('"') {
		s, p := sc.text()
		if p != nil {
			return time.Time{}, p
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return time.Time{}, &Problem{Code: CodeInvalidTime, Detail: "must be RFC 3339, such as 2026-01-31T12:00:00.000Z, or Unix milliseconds"}
		}
		return t.UTC().Truncate(time.Millisecond), nil
	}
	ms, ok, p := sc.float()
	if !ok {
		return time.Time{}, p
	}
	if ms < minUnixMillis || ms > maxUnixMillis {
		return time.Time{}, &Problem{Code: CodeInvalidTime, Detail: "a number must be Unix milliseconds; this one is out of range (seconds?)"}
	}
	return time.UnixMilli(int64(ms)).UTC(), nil
}
