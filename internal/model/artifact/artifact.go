// Package artifact is the binary form of fitted models: a header, typed sections in a fixed order, a checksum.
//
//	magic     8 bytes  "MILLMODL"
//	format    uint32   1
//	kind      uint32 length, bytes
//	version   uint32   layout of the kind
//	section*  uint8 type, uint64 count, payload
//	end       uint8 0, uint32 CRC-32C of everything before it
//
// All numbers are little-endian. The same values always give the same bytes. Readers allocate no more than the input
// really holds, so a damaged length cannot exhaust memory.
package artifact

import (
	"errors"
	"hash/crc32"
)

// ErrCorrupt is wrapped by every error of a Reader: the bytes are not an intact artifact of the wanted kind and version.
var ErrCorrupt = errors.New("corrupt model artifact")

const (
	magic         = "MILLMODL"
	formatVersion = 1
	maxNameBytes  = 64 // longest kind: kinds are package names

	typeEnd      = 0
	typeBytes    = 1
	typeInt32s   = 2
	typeInt64s   = 3
	typeFloat32s = 4
	typeFloat64s = 5

	// chunkBytes is how much is converted and read at a time; it bounds what a lying count can allocate.
	chunkBytes = 64 << 10
)

// castagnoli is the polynomial that CPUs compute in hardware. The table is built once by the standard library.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
