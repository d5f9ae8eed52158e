package erasure

import "bytes"

// rawSeparators are what surrounds ids in JSON, CSV, query strings and record keys.
const rawSeparators = "\"',;=&?/\\ \t\r\n{}[]()<>|:"

// Mentions reports whether a text that cannot be decoded has an identity of the ledger as one of its words, on any site and
// whenever it was. It is for records that nobody can use, and may mention somebody by accident: a short id is a word, too.
func (l *Ledger) Mentions(text []byte) bool {
	if l == nil {
		return false
	}
	asked := make(map[string]bool)
	for _, word := range bytes.FieldsFunc(text, func(r rune) bool { return r < 0x80 && bytes.IndexByte([]byte(rawSeparators), byte(r)) >= 0 }) {
		if asked[string(word)] {
			continue
		}
		asked[string(word)] = true
		for site := range l.sites {
			for _, kind := range []Kind{KindUser, KindLinked, KindBrowser} {
				if _, ok := l.until[l.Hash(kind, site, string(word))]; ok {
					return true
				}
			}
		}
	}
	return false
}
