package onlinestore

import (
	"encoding/binary"
	"errors"
)

// rowFormat is the first byte of every encoded row.
const rowFormat = 1

// AppendRow appends the row without its key to b: format byte, version, epoch and offset as varints, then the value as it
// is. Adapters that store bytes, and the stream's state, write rows so.
func AppendRow(b []byte, r Row) []byte {
	b = append(b, rowFormat)
	b = binary.AppendVarint(b, int64(r.Version))
	b = binary.AppendVarint(b, r.Epoch)
	b = binary.AppendVarint(b, r.Offset)
	return append(b, r.Value...)
}

// DecodeRow reads what AppendRow wrote; Key is empty and the value points into b.
func DecodeRow(b []byte) (Row, error) {
	if len(b) == 0 || b[0] != rowFormat {
		return Row{}, errors.New("decode online row: unknown format; it was written by another version of millrace")
	}
	rest := b[1:]
	var header [3]int64
	for i := range header {
		v, n := binary.Varint(rest)
		if n <= 0 {
			return Row{}, errors.New("decode online row: cut short")
		}
		header[i], rest = v, rest[n:]
	}
	return Row{Version: int32(header[0]), Epoch: header[1], Offset: header[2], Value: rest}, nil
}

// position is a row's place in Kafka, and the version that wrote it.
type position struct {
	epoch, offset int64
	version       int32
}

func (p position) before(o position) bool {
	switch {
	case p.epoch != o.epoch:
		return p.epoch < o.epoch
	case p.offset != o.offset:
		return p.offset < o.offset
	}
	return p.version < o.version
}
