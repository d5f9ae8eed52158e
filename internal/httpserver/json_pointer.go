package httpserver

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// pointerOf is where the value stands that has the wrong type. encoding/json names the fields on the way to it, but neither the places in
// lists nor the keys of maps; the offset tells those. Where both do not agree, because a type has read itself, the names are all there is.
func pointerOf(body []byte, mismatch *json.UnmarshalTypeError) string {
	var names []string
	if mismatch.Field != "" {
		names = strings.Split(mismatch.Field, ".")
	}
	if path, kind, ok := pathTo(body, mismatch.Offset); ok && strings.HasPrefix(mismatch.Value, kind) && leadsThrough(path, names) {
		return "/" + strings.Join(path, "/")
	}
	if len(names) == 0 {
		return "" // the whole document
	}
	return "/" + strings.Join(names, "/")
}

// leadsThrough reports whether names are on a path, in their order.
func leadsThrough(path, names []string) bool {
	if len(path) == 0 {
		return false
	}
	for _, token := range path {
		if len(names) > 0 && strings.EqualFold(token, EscapePointer(names[0])) {
			names = names[1:]
		}
	}
	return len(names) == 0
}

// pathTo is the path to the value of a document that was begun, or of a scalar ended, at an offset, and what JSON calls it.
func pathTo(body []byte, offset int64) (path []string, kind string, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var within []level
	for {
		token, err := decoder.Token()
		if err != nil || offset <= 0 {
			return nil, "", false
		}
		delim, _ := token.(json.Delim)
		if delim == ']' || delim == '}' {
			within = within[:len(within)-1]
			continue
		}
		isKey := false
		if len(within) > 0 {
			isKey = within[len(within)-1].next(token)
		}
		if decoder.InputOffset() >= offset {
			for i := range within {
				path = append(path, within[i].token())
			}
			return path, kindOfToken(token), !isKey
		}
		if delim != 0 {
			within = append(within, level{isList: delim == '[', at: -1})
		}
	}
}

// level is where a reader stands within a list or an object.
type level struct {
	isList bool
	at     int    // the number of the value in a list
	key    string // in an object
	valued bool   // the token before was the key
}

// next takes the next token at this level, and reports whether it is a key.
func (p *level) next(token json.Token) (isKey bool) {
	if p.isList {
		p.at++
		return false
	}
	if p.valued {
		p.valued = false
		return false
	}
	p.key, p.valued = token.(string) //nolint:errcheck // the decoder has made sure of it
	return true
}

func (p *level) token() string {
	if p.isList {
		return strconv.Itoa(p.at)
	}
	return EscapePointer(p.key)
}

// kindOfToken is what encoding/json calls a value in its errors.
func kindOfToken(token json.Token) string {
	switch token := token.(type) {
	case json.Delim:
		if token == '[' {
			return "array"
		}
		return "object"
	case string:
		return "string"
	case json.Number:
		return "number"
	case bool:
		return "bool"
	}
	return "null"
}
