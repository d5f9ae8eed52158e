package feature

import (
	"strconv"

	"github.com/millrace/millrace/internal/jsontext"
)

// The change feed writes thousands of views a second. What follows appends them as encoding/json would write what the View
// methods return, which is the oracle of the tests.

func appendTime(b []byte, ms int64) []byte { return jsontext.AppendTime(b, instant(ms)) }

// appendValues appends a count at a time.
func appendValues(b []byte, d *Decayed, now int64) []byte {
	return appendHalfLives(b, valuesAt(d, now))
}

func appendHalfLives(b []byte, v HalfLives) []byte {
	b = append(b, `{"14d":`...)
	first := len(b)
	b = jsontext.AppendFloat32(b, v.Fortnight)
	if v.Day == v.Fortnight && v.Hour == v.Fortnight {
		text := b[first:]
		b = append(append(b, `,"1d":`...), text...)
		b = append(append(b, `,"1h":`...), text...)
		return append(b, '}')
	}
	b = jsontext.AppendFloat32(append(b, `,"1d":`...), v.Day)
	b = jsontext.AppendFloat32(append(b, `,"1h":`...), v.Hour)
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
		b = append(jsontext.AppendString(b, counts[i].Name), ':')
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
		b = jsontext.AppendString(b, set[i].ItemID)
	}
	return append(b, ']')
}

// appendTextField and appendCountField append a field that is left out where it is empty. The name comes with its comma,
// quotes and colon.
func appendTextField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return jsontext.AppendString(append(b, name...), value)
}

func appendCountField(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), n, 10)
}
