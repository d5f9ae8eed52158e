package serving

import (
	"bytes"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/httpserver"
)

// longListBytes is the least length of a body whose list is cut out of it. In a shorter one there is nothing to gain.
const longListBytes = 1 << 10

// longList is a member of a request that may hold a thousand ids. The general decoder goes over them twice and asks for memory for each,
// which takes longer than all else that they are for. So they are cut out of the body, in one piece of memory, and it reads what is left.
// Anything that is not a list of plain texts is left to it, and so is every body that something is wrong with.
type longList struct {
	name string
	ids  *[]string
}

// read reads the body of a request into dst, of which the list is a member, as httpserver.ReadJSON does.
func (l longList) read(w http.ResponseWriter, r *http.Request, dst any) *httpserver.Problem {
	return httpserver.ReadBody(w, r, MaxRequestBytes, func(body []byte) *httpserver.Problem { return l.decode(body, dst) })
}

func (l longList) decode(body []byte, dst any) *httpserver.Problem {
	if len(body) >= longListBytes {
		if ids, rest, ok := cutList(body, l.name); ok && httpserver.DecodeJSON(rest, dst) == nil {
			*l.ids = ids
			return nil
		}
	}
	return httpserver.DecodeJSON(body, dst)
}

// cutList takes the texts of a member's list out of an object, and returns the object with an empty list in its place: that is JSON exactly
// where the body is. It is not ok where the member is not there once, or is anything else.
func cutList(body []byte, name string) (texts []string, rest []byte, ok bool) {
	c := cutter{body: body}
	if c.space() != '{' {
		return nil, nil, false
	}
	for next := byte(','); next == ','; next = c.space() {
		c.at++
		key, plain := c.key()
		switch {
		case !plain:
			return nil, nil, false // it may be the member's by another spelling
		case string(key) == name && rest == nil:
			start := c.at
			if texts, ok = c.texts(); !ok {
				return nil, nil, false
			}
			rest = append(append(append(make([]byte, 0, len(body)-(c.at-start)+len("[]")), body[:start]...), "[]"...), body[c.at:]...)
		case strings.EqualFold(string(key), name):
			return nil, nil, false // the last one counts, whatever its letters
		default:
			c.skip()
		}
	}
	return texts, rest, rest != nil
}

// cutter goes over the members of a JSON object. It looks for what it is after and judges nothing else.
type cutter struct {
	body []byte
	at   int
}

// space skips white space and returns the next byte, 0 at the end.
func (c *cutter) space() byte {
	for ; c.at < len(c.body); c.at++ {
		switch b := c.body[c.at]; b {
		case ' ', '\t', '\n', '\r':
		default:
			return b
		}
	}
	return 0
}

// key reads the name of a member and goes to its value. A plain one has only letters of ASCII.
func (c *cutter) key() (key []byte, plain bool) {
	if c.space() != '"' {
		return nil, false
	}
	start := c.at + 1
	size := bytes.IndexByte(c.body[start:], '"')
	if size < 0 {
		return nil, false
	}
	key, c.at = c.body[start:start+size], start+size+1
	if c.space() != ':' {
		return nil, false
	}
	c.at++
	c.space()
	return key, bytes.IndexFunc(key, func(r rune) bool { return r == '\\' || r >= utf8.RuneSelf }) < 0
}

// skip goes to the end of a value.
func (c *cutter) skip() {
	for depth := 0; c.at < len(c.body); c.at++ {
		switch c.body[c.at] {
		case '"':
			c.skipText()
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return
			}
			depth--
		case ',':
			if depth == 0 {
				return
			}
		}
	}
}

// skipText goes to the quote that ends a text.
func (c *cutter) skipText() {
	for c.at++; c.at < len(c.body) && c.body[c.at] != '"'; c.at++ {
		if c.body[c.at] == '\\' {
			c.at++
		}
	}
}

// texts reads a list of texts that mean what they say: without escapes, and of UTF-8.
func (c *cutter) texts() (texts []string, ok bool) {
	if c.at >= len(c.body) || c.body[c.at] != '[' {
		return nil, false
	}
	all := string(c.body[c.at:])
	texts = make([]string, 0, strings.Count(all, `"`)/2)
	start := c.at
	for next := byte(','); next == ','; next = c.space() {
		c.at++
		if c.space() != '"' {
			return nil, false
		}
		size := plainText(all[c.at+1-start:])
		if size < 0 {
			return nil, false
		}
		texts = append(texts, all[c.at+1-start:c.at+1-start+size])
		c.at += size + len(`""`)
	}
	if c.space() != ']' {
		return nil, false
	}
	c.at++
	return texts, true
}

// plainText is the length of a text that a quote ends, below 0 where it is not a plain one.
func plainText(s string) int {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"':
			if !ascii && !utf8.ValidString(s[:i]) {
				return -1
			}
			return i
		case c < ' ' || c == '\\':
			return -1
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return -1
}
