package feature

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Encoded values are: one byte Version, then the fields in the order of their struct. Integers are zig-zag varints, times
// inside lists the difference to the entry before, floats 8 bytes little endian, texts and lists a length and what it
// counts. A decayed count is a byte 0 where it is zero, else its reference time and the value per half-life: all of them
// behind a byte 1, a single one that is the same for each behind a byte 2, as after one event.

// ErrVersion means that a value was encoded with another Version: it must be computed again.
var ErrVersion = errors.New("features were computed by another version")

var errCut = errors.New("value is cut short or damaged")

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendFloat(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

func appendDecayed(b []byte, d Decayed) []byte {
	if d.IsZero() {
		return append(b, 0)
	}
	if d.Values[Hour] == d.Values[Day] && d.Values[Day] == d.Values[Fortnight] {
		return appendFloat(binary.AppendVarint(append(b, 2), d.At), d.Values[Hour])
	}
	b = append(b, 1)
	b = binary.AppendVarint(b, d.At)
	for _, v := range d.Values {
		b = appendFloat(b, v)
	}
	return b
}

func appendSeen(b []byte, set []Seen) []byte {
	b = binary.AppendUvarint(b, uint64(len(set)))
	var last int64
	for _, s := range set {
		b = appendText(b, s.ItemID)
		b = binary.AppendVarint(b, s.At-last)
		last = s.At
	}
	return b
}

func appendCounts(b []byte, counts []Count) []byte {
	b = binary.AppendUvarint(b, uint64(len(counts)))
	for _, c := range counts {
		b = appendText(b, c.Name)
		b = appendDecayed(b, c.Decayed)
	}
	return b
}

// decoder reads fields one after the other and remembers the first error. Texts are parts of one string: decoding a
// profile allocates once for all of them.
type decoder struct {
	rest string
	err  error
}

func newDecoder(b []byte) *decoder {
	d := &decoder{rest: string(b)}
	if version := d.byte(); d.err == nil && version != Version {
		d.err = fmt.Errorf("%w: %d, this program computes %d", ErrVersion, version, Version)
	}
	return d
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errCut
	}
}

func (d *decoder) take(n int) string {
	if d.err == nil && (n < 0 || n > len(d.rest)) {
		d.err = errCut
	}
	if d.err != nil {
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) byte() byte {
	if d.err != nil || d.rest == "" {
		d.fail()
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) flag() bool {
	b := d.byte()
	if b > 1 {
		d.fail()
	}
	return b == 1
}

func (d *decoder) uint() uint64 {
	if d.err != nil {
		return 0
	}
	var v uint64
	for i := range min(len(d.rest), binary.MaxVarintLen64) {
		b := d.rest[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			d.rest = d.rest[i+1:]
			return v
		}
	}
	d.fail()
	return 0
}

func (d *decoder) int() int64 {
	u := d.uint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) fixed() uint64 {
	s := d.take(8)
	if s == "" {
		return 0
	}
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func (d *decoder) float() float64 { return math.Float64frombits(d.fixed()) }

func (d *decoder) text() string { return d.take(d.length(math.MaxInt32)) }

// length reads a count and refuses one above its bound, so that damaged bytes cannot ask for memory.
func (d *decoder) length(bound int) int {
	n := d.uint()
	if n > uint64(bound) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) decayed() (v Decayed) {
	form := d.byte()
	if form == 0 {
		return v
	}
	v.At = d.int()
	switch form {
	case 1:
		for h := range v.Values {
			v.Values[h] = d.float()
		}
	case 2:
		one := d.float()
		v.Values = [halfLives]float64{one, one, one}
	default:
		d.fail()
	}
	return v
}

// list reads the length of a list of at most bound entries, then each entry, into the memory of a list. It has room for one
// more, which is what an event mostly adds.
func list[E any](d *decoder, memory []E, bound int, entry func() E) []E {
	n := d.length(bound)
	if n == 0 {
		return memory[:0]
	}
	entries := slices.Grow(memory[:0], n+1)
	for range n {
		e := entry()
		if d.err != nil {
			return nil
		}
		entries = append(entries, e)
	}
	return entries
}

func (d *decoder) seen(memory []Seen, bound int) []Seen {
	var last int64
	return list(d, memory, bound, func() Seen {
		s := Seen{ItemID: d.text()}
		last += d.int()
		s.At = last
		return s
	})
}

func (d *decoder) counts(memory []Count, bound int) []Count {
	return list(d, memory, bound, func() Count { return Count{Name: d.text(), Decayed: d.decayed()} })
}

// end returns the first error; bytes that nobody asked for are one.
func (d *decoder) end() error {
	if d.err == nil && d.rest != "" {
		d.err = errCut
	}
	return d.err
}
