package event

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// scanner walks one JSON text (RFC 8259) from left to right without building a tree: the collector decodes every event of
// every browser, and the general decoder costs more than all else there. Strings without escapes are returned as parts
// of the text. FuzzScan and FuzzDecode hold it against encoding/json.
type scanner struct {
	s     string
	pos   int
	depth int
}

func (sc *scanner) syntax(what string) *Problem {
	return &Problem{Code: CodeInvalidJSON, Detail: fmt.Sprintf("%s at byte %d", what, sc.pos)}
}

// space skips white space and returns the next byte, 0 at the end.
func (sc *scanner) space() byte {
	for ; sc.pos < len(sc.s); sc.pos++ {
		switch c := sc.s[sc.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// end demands that nothing but white space is left.
func (sc *scanner) end() *Problem {
	if sc.space(); sc.pos < len(sc.s) {
		return sc.syntax("unexpected text after the value")
	}
	return nil
}

func (sc *scanner) enter() *Problem {
	if sc.depth++; sc.depth > MaxDepth {
		return sc.syntax(fmt.Sprintf("nested deeper than %d levels", MaxDepth))
	}
	sc.pos++
	return nil
}

// object reads an object; field is called at each value and must consume it. The caller has seen the '{'.
func (sc *scanner) object(field func(name string) *Problem) *Problem {
	if p := sc.enter(); p != nil {
		return p
	}
	if sc.space() == '}' {
		return sc.leave()
	}
	for {
		if sc.space() != '"' {
			return sc.syntax("expected a field name")
		}
		name, p := sc.text()
		if p != nil {
			return p
		}
		if sc.space() != ':' {
			return sc.syntax("expected ':'")
		}
		sc.pos++
		sc.space()
		if p := field(name); p != nil {
			return p
		}
		switch sc.space() {
		case ',':
			sc.pos++
		case '}':
			return sc.leave()
		default:
			return sc.syntax("expected ',' or '}'")
		}
	}
}

// array reads an array; element is called at each value and must consume it. The caller has seen the '['.
func (sc *scanner) array(element func(index int) *Problem) *Problem {
	if p := sc.enter(); p != nil {
		return p
	}
	if sc.space() == ']' {
		return sc.leave()
	}
	for i := 0; ; i++ {
		sc.space()
		if p := element(i); p != nil {
			return p
		}
		switch sc.space() {
		case ',':
			sc.pos++
		case ']':
			return sc.leave()
		default:
			return sc.syntax("expected ',' or ']'")
		}
	}
}

func (sc *scanner) leave() *Problem {
	sc.depth--
	sc.pos++
	return nil
}

// skip passes over one value of any kind, checking its grammar.
func (sc *scanner) skip() *Problem {
	switch c := sc.space(); {
	case c == '{':
		return sc.object(func(string) *Problem { return sc.skip() })
	case c == '[':
		return sc.array(func(int) *Problem { return sc.skip() })
	case c == '"':
		_, _, p := sc.quoted()
		return p
	case c == '-' || c >= '0' && c <= '9':
		_, p := sc.number()
		return p
	case sc.literal("true"), sc.literal("false"), sc.literal("null"):
		return nil
	}
	return sc.syntax("expected a value")
}

// literal consumes one of the words of JSON.
func (sc *scanner) literal(word string) bool {
	if !strings.HasPrefix(sc.s[sc.pos:], word) {
		return false
	}
	sc.pos += len(word)
	return true
}

// quoted passes over a string and returns it with its quotes, and whether it holds escapes.
func (sc *scanner) quoted() (raw string, escaped bool, p *Problem) {
	start := sc.pos
	for sc.pos++; sc.pos < len(sc.s); sc.pos++ {
		switch c := sc.s[sc.pos]; {
		case c == '"':
			sc.pos++
			return sc.s[start:sc.pos], escaped, nil
		case c == '\\':
			escaped = true
			if n := escapeLength(sc.s[sc.pos:]); n > 0 {
				sc.pos += n - 1
				continue
			}
			return "", false, sc.syntax("invalid escape")
		case c < ' ':
			return "", false, sc.syntax("control character in a string")
		}
	}
	return "", false, sc.syntax("unterminated string")
}

// escapeLength returns the bytes of the escape sequence that s begins with, 0 where there is none.
func escapeLength(s string) int {
	if len(s) < 2 {
		return 0
	}
	if strings.IndexByte(`"\/bfnrt`, s[1]) >= 0 {
		return 2
	}
	if s[1] != 'u' || len(s) < 6 {
		return 0
	}
	if _, err := strconv.ParseUint(s[2:6], 16, 16); err != nil {
		return 0
	}
	return 6
}

// text reads a string. The caller has seen the quote.
func (sc *scanner) text() (string, *Problem) {
	raw, escaped, p := sc.quoted()
	if p != nil {
		return "", p
	}
	if !escaped {
		return raw[1 : len(raw)-1], nil
	}
	var s string
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		return "", sc.syntax("invalid string")
	}
	return s, nil
}

// number passes over a number and returns its text. The caller has seen a digit or '-'.
func (sc *scanner) number() (string, *Problem) {
	start := sc.pos
	if sc.at('-') {
		sc.pos++
	}
	if sc.at('0') {
		sc.pos++
	} else if !sc.digits() {
		return "", sc.syntax("invalid number")
	}
	if sc.at('.') {
		sc.pos++
		if !sc.digits() {
			return "", sc.syntax("invalid number")
		}
	}
	if sc.at('e') || sc.at('E') {
		sc.pos++
		if sc.at('+') || sc.at('-') {
			sc.pos++
		}
		if !sc.digits() {
			return "", sc.syntax("invalid number")
		}
	}
	return sc.s[start:sc.pos], nil
}

func (sc *scanner) at(c byte) bool { return sc.pos < len(sc.s) && sc.s[sc.pos] == c }

func (sc *scanner) digits() bool {
	start := sc.pos
	for sc.pos < len(sc.s) && sc.s[sc.pos] >= '0' && sc.s[sc.pos] <= '9' {
		sc.pos++
	}
	return sc.pos > start
}
