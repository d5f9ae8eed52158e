package artifact

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// Writer writes one artifact. Errors are kept and returned by Close, so that an encoder reads as a list of sections.
type Writer struct {
	w   io.Writer
	crc uint32
	buf []byte
	err error
}

// NewWriter starts an artifact of a kind and layout version.
func NewWriter(w io.Writer, kind string, version uint32) *Writer {
	out := &Writer{w: w, buf: make([]byte, 0, chunkBytes+16)}
	if len(kind) == 0 || len(kind) > maxNameBytes {
		out.err = fmt.Errorf("artifact kind %q must have 1 to %d bytes", kind, maxNameBytes)
		return out
	}
	out.buf = append(out.buf, magic...)
	out.buf = binary.LittleEndian.AppendUint32(out.buf, formatVersion)
	out.buf = binary.LittleEndian.AppendUint32(out.buf, uint32(len(kind)))
	out.buf = append(out.buf, kind...)
	out.buf = binary.LittleEndian.AppendUint32(out.buf, version)
	out.flush()
	return out
}

// Bytes writes a section of bytes.
func (w *Writer) Bytes(b []byte) {
	w.head(typeBytes, len(b))
	w.flush()
	w.write(b)
}

// JSON writes a section with the JSON of v, for small things such as a configuration.
func (w *Writer) JSON(v any) {
	b, err := json.Marshal(v)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("encode artifact section: %w", err)
	}
	w.Bytes(b)
}

// Int32s writes a section of 32-bit integers.
func (w *Writer) Int32s(values []int32) {
	w.head(typeInt32s, len(values))
	for _, v := range values {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(v))
		w.flushFull()
	}
	w.flush()
}

// Int64s writes a section of 64-bit integers.
func (w *Writer) Int64s(values []int64) {
	w.head(typeInt64s, len(values))
	for _, v := range values {
		w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(v))
		w.flushFull()
	}
	w.flush()
}

// Float32s writes a section of 32-bit floats.
func (w *Writer) Float32s(values []float32) {
	w.head(typeFloat32s, len(values))
	for _, v := range values {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, math.Float32bits(v))
		w.flushFull()
	}
	w.flush()
}

// Float64s writes a section of 64-bit floats.
func (w *Writer) Float64s(values []float64) {
	w.head(typeFloat64s, len(values))
	for _, v := range values {
		w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(v))
		w.flushFull()
	}
	w.flush()
}

// Strings writes two sections: the length of each string and all their bytes.
func (w *Writer) Strings(values []string) {
	lengths, total := make([]int32, len(values)), 0
	for i, s := range values {
		lengths[i] = int32(len(s))
		total += len(s)
	}
	w.Int32s(lengths)
	w.head(typeBytes, total)
	for _, s := range values {
		w.buf = append(w.buf, s...)
		w.flushFull()
	}
	w.flush()
}

// Close ends the artifact with its checksum and returns the first error of any step. It does not close the underlying
// writer.
func (w *Writer) Close() error {
	w.buf = append(w.buf, typeEnd)
	w.flush()
	w.write(binary.LittleEndian.AppendUint32(nil, w.crc))
	return w.err
}

func (w *Writer) head(kind byte, count int) {
	w.buf = append(w.buf, kind)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(count))
}

func (w *Writer) flushFull() {
	if len(w.buf) >= chunkBytes {
		w.flush()
	}
}

func (w *Writer) flush() {
	w.write(w.buf)
	w.buf = w.buf[:0]
}

func (w *Writer) write(b []byte) {
	if w.err != nil {
		return
	}
	w.crc = crc32.Update(w.crc, castagnoli(), b)
	if _, err := w.w.Write(b); err != nil {
		w.err = fmt.Errorf("write artifact: %w", err)
	}
}
