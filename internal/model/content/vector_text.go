package content

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
)

// termBytes is what a term takes in a vector's text, before base64.
const termBytes = 8

// MarshalText writes a vector for the record of a list that was chosen by it: base64 of its terms, number and weight, little endian.
// Only vectors of one Live compare.
func (v Vector) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, termBytes*v.terms())
	for i := range v.terms() {
		t := v.term(i)
		raw = binary.LittleEndian.AppendUint32(raw, uint32(t.number))
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(t.weight))
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText is the inverse of MarshalText.
func (v *Vector) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return err
	}
	if len(raw)%termBytes != 0 {
		return errors.New("a vector of broken terms")
	}
	*v = make(Vector, 0, len(raw)/termBytes*termSize)
	for ; len(raw) > 0; raw = raw[termBytes:] {
		number, weight := binary.LittleEndian.Uint32(raw), math.Float32frombits(binary.LittleEndian.Uint32(raw[4:]))
		if number > maxNumber || !(weight > 0 && weight <= 1) {
			return errors.New("a vector of impossible terms")
		}
		*v = appendTerm(*v, term{int32(number), weight})
	}
	return nil
}
