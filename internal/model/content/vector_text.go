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
	raw := make([]byte, 0, termBytes*len(v))
	for _, t := range v {
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
	*v = make(Vector, len(raw)/termBytes)
	for i := range *v {
		at := raw[i*termBytes:]
		(*v)[i] = term{int32(binary.LittleEndian.Uint32(at)), math.Float32frombits(binary.LittleEndian.Uint32(at[4:]))}
	}
	return nil
}
