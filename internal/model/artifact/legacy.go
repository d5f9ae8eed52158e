package artifact

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
)

// The form of earlier versions: a header, typed sections in a fixed order, a checksum.
//
//	magic     8 bytes  "MILLMODL"
//	format    uint32   1
//	kind      uint32 length, bytes
//	version   uint32   layout of the kind
//	section*  uint8 type, uint64 count, payload
//	end       uint8 0, uint32 CRC-32C of everything before it
//
// All numbers are little-endian. A text of the metadata is a section of bytes; texts are two sections, their lengths and their
// bytes.
const (
	magic         = "MILLMODL"
	formatVersion = 1

	typeEnd      = 0
	typeBytes    = 1
	typeInt32s   = 2
	typeInt64s   = 3
	typeFloat32s = 4
	typeFloat64s = 5
	typeStrings  = 6 // only of the present form

	// chunkBytes is how much is converted at a time; it bounds what a lying count can allocate.
	chunkBytes = 64 << 10
)

// legacy reads the sections of a file in that form, one after the other. What is wrong is told to failed, which keeps the first.
type legacy struct {
	kind    string
	version uint32

	r      *bufio.Reader
	crc    uint32
	buf    []byte
	broken bool
	failed func(format string, args ...any)
}

func newLegacy(b []byte, failed func(format string, args ...any)) *legacy {
	in := &legacy{r: bufio.NewReaderSize(bytes.NewReader(b), chunkBytes), buf: make([]byte, chunkBytes), failed: failed}
	in.take(len(magic))
	if got := in.uint32(); !in.broken && got != formatVersion {
		in.fail("format version %d, this program reads %d", got, formatVersion)
	}
	length := in.uint32()
	if length > maxNameBytes {
		in.fail("kind of %d bytes", length)
	}
	in.kind = string(in.take(int(length)))
	in.version = in.uint32()
	return in
}

func (r *legacy) bytes() []byte {
	var out []byte
	r.section(typeBytes, 1, func(b []byte) { out = append(out, b...) })
	return out
}

func (r *legacy) int32s() []int32 {
	var out []int32
	r.section(typeInt32s, 4, func(b []byte) {
		for ; len(b) > 0; b = b[4:] {
			out = append(out, int32(binary.LittleEndian.Uint32(b)))
		}
	})
	return out
}

func (r *legacy) int64s() []int64 {
	var out []int64
	r.section(typeInt64s, 8, func(b []byte) {
		for ; len(b) > 0; b = b[8:] {
			out = append(out, int64(binary.LittleEndian.Uint64(b)))
		}
	})
	return out
}

func (r *legacy) float32s() []float32 {
	var out []float32
	r.section(typeFloat32s, 4, func(b []byte) {
		for ; len(b) > 0; b = b[4:] {
			out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
	})
	return out
}

func (r *legacy) float64s() []float64 {
	var out []float64
	r.section(typeFloat64s, 8, func(b []byte) {
		for ; len(b) > 0; b = b[8:] {
			out = append(out, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	})
	return out
}

func (r *legacy) strings() []string {
	lengths := r.int32s()
	text := string(r.bytes())
	if r.broken {
		return nil
	}
	out := make([]string, len(lengths))
	for i, n := range lengths {
		if n < 0 || int(n) > len(text) {
			r.fail("string %d reaches beyond its section", i)
			return nil
		}
		out[i], text = text[:n], text[n:]
	}
	if text != "" {
		r.fail("%d bytes belong to no string", len(text))
	}
	return out
}

// end checks the end and the checksum.
func (r *legacy) end() {
	if end := r.take(1); !r.broken && end[0] != typeEnd {
		r.fail("a section follows where the end should be")
	}
	want := r.crc
	got := r.take(4)
	if !r.broken && binary.LittleEndian.Uint32(got) != want {
		r.fail("checksum differs")
	}
	if _, err := r.r.ReadByte(); !r.broken && err != io.EOF {
		r.fail("bytes follow the end")
	}
}

func (r *legacy) section(kind byte, width int, chunk func([]byte)) {
	head := r.take(9)
	if r.broken {
		return
	}
	if head[0] != kind {
		r.fail("section of type %d where %d should be", head[0], kind)
		return
	}
	count := binary.LittleEndian.Uint64(head[1:])
	if count > math.MaxInt32 {
		r.fail("section of %d values", count)
		return
	}
	for left := int(count) * width; left > 0 && !r.broken; {
		n := min(left, chunkBytes)
		if b := r.take(n); !r.broken {
			chunk(b)
		}
		left -= n
	}
}

// take reads n bytes, at most chunkBytes, into the reader's buffer.
func (r *legacy) take(n int) []byte {
	if r.broken {
		return nil
	}
	b := r.buf[:n]
	if _, err := io.ReadFull(r.r, b); err != nil {
		r.fail("it ends too early: %v", err)
		return nil
	}
	r.crc = crc32.Update(r.crc, castagnoli(), b)
	return b
}

func (r *legacy) uint32() uint32 {
	b := r.take(4)
	if r.broken {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}

func (r *legacy) fail(format string, args ...any) {
	r.broken = true
	r.failed(format, args...)
}

// castagnoli is the polynomial that CPUs compute in hardware. The table is built once by the standard library.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
