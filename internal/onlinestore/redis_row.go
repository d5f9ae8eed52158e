package onlinestore

import (
	"encoding/binary"
	"errors"
)

const (
	// redisRowFormat is the first byte of every row in Redis. It differs from rowFormat, because a script must be able to
	// compare positions and versions: they come first, with a fixed width.
	redisRowFormat = 2
	// redisHeaderBytes is the size of format, epoch, offset and version.
	redisHeaderBytes = 1 + 8 + 8 + 4
	// signBit turns a signed number into an unsigned one of the same order.
	signBit = 1 << 63
)

// appendRedisRow appends a row without its key: format byte, epoch and offset (big endian, sign flipped), version, value.
func appendRedisRow(b []byte, r Row) []byte {
	b = append(b, redisRowFormat)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Epoch)^signBit)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Offset)^signBit)
	b = binary.BigEndian.AppendUint32(b, uint32(r.Version))
	return append(b, r.Value...)
}

// decodeRedisRow reads what appendRedisRow wrote; the value is a copy.
func decodeRedisRow(key, stored string) (Row, error) {
	if len(stored) < redisHeaderBytes || stored[0] != redisRowFormat {
		return Row{}, errors.New("unknown format; it was written by another version of millrace, or by another program")
	}
	header := []byte(stored[1:redisHeaderBytes])
	return Row{
		Key:     key,
		Epoch:   int64(binary.BigEndian.Uint64(header) ^ signBit),
		Offset:  int64(binary.BigEndian.Uint64(header[8:]) ^ signBit),
		Version: int32(binary.BigEndian.Uint32(header[16:])),
		Value:   []byte(stored[redisHeaderBytes:]),
	}, nil
}
