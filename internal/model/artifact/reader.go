package artifact

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
)

// Reader reads one artifact, section by section in the order of writing. Errors are kept and returned by Close; until
// then sections after an error are empty. Nothing that was read may be used before Close returned nil, for only then
// the checksum was compared.
type Reader struct {
	r       *bufio.Reader
	version uint32
	crc     uint32
	buf     []byte
	err     error
}

// NewReader opens an artifact that must have the given kind and one of the given layout versions.
func NewReader(r io.Reader, kind string, versions ...uint32) *Reader {
	in := &Reader{r: bufio.NewReaderSize(r, chunkBytes), buf: make([]byte, chunkBytes)}
	if got := string(in.take(len(magic))); in.err == nil && got != magic {
		in.fail("it does not start with %q", magic)
	}
	if got := in.uint32(); in.err == nil && got != formatVersion {
		in.fail("format version %d, this program reads %d", got, formatVersion)
	}
	length := in.uint32()
	if length > maxNameBytes {
		in.fail("kind of %d bytes", length)
	}
	if got := string(in.take(int(length))); in.err == nil && got != kind {
		in.fail("it holds a %q, not a %q", got, kind)
	}
	in.version = in.uint32()
	if in.err == nil && !slices.Contains(versions, in.version) {
		in.fail("layout version %d of %s, this program reads %d", in.version, kind, versions)
	}
	return in
}

// Version returns the layout version that the artifact says it has. After an error it may be none of the wanted.
func (r *Reader) Version() uint32 { return r.version }

// Bytes reads a section of bytes.
func (r *Reader) Bytes() []byte {
	var out []byte
	r.section(typeBytes, 1, func(b []byte) { out = append(out, b...) })
	return out
}

// JSON reads a section of JSON into v.
func (r *Reader) JSON(v any) {
	b := r.Bytes()
	if r.err != nil {
		return
	}
	if err := json.Unmarshal(b, v); err != nil {
		r.fail("section is not the expected JSON: %v", err)
	}
}

// Int32s reads a section of 32-bit integers.
func (r *Reader) Int32s() []int32 {
	var out []int32
	r.section(typeInt32s, 4, func(b []byte) {
		for ; len(b) > 0; b = b[4:] {
			out = append(out, int32(binary.LittleEndian.Uint32(b)))
		}
	})
	return out
}

// Int64s reads a section of 64-bit integers.
func (r *Reader) Int64s() []int64 {
	var out []int64
	r.section(typeInt64s, 8, func(b []byte) {
		for ; len(b) > 0; b = b[8:] {
			out = append(out, int64(binary.LittleEndian.Uint64(b)))
		}
	})
	return out
}

// Float32s reads a section of 32-bit floats.
func (r *Reader) Float32s() []float32 {
	var out []float32
	r.section(typeFloat32s, 4, func(b []byte) {
		for ; len(b) > 0; b = b[4:] {
			out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
	})
	return out
}

// Float64s reads a section of 64-bit floats.
func (r *Reader) Float64s() []float64 {
	var out []float64
	r.section(typeFloat64s, 8, func(b []byte) {
		for ; len(b) > 0; b = b[8:] {
			out = append(out, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	})
	return out
}

// Strings reads what Writer.Strings wrote.
func (r *Reader) Strings() []string {
	lengths := r.Int32s()
	text := string(r.Bytes())
	if r.err != nil {
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

// Failf records that the content breaks an invariant of its kind; the error wraps ErrCorrupt. The first error stays.
func (r *Reader) Failf(format string, args ...any) { r.fail(format, args...) }

// Close checks the end and the checksum and returns the first error. It does not close the underlying reader.
func (r *Reader) Close() error {
	if end := r.take(1); r.err == nil && end[0] != typeEnd {
		r.fail("a section follows where the end should be")
	}
	want := r.crc
	got := r.take(4)
	if r.err == nil && binary.LittleEndian.Uint32(got) != want {
		r.fail("checksum differs")
	}
	if _, err := r.r.ReadByte(); r.err == nil && err != io.EOF {
		r.fail("bytes follow the end")
	}
	return r.err
}

func (r *Reader) section(kind byte, width int, chunk func([]byte)) {
	head := r.take(9)
	if r.err != nil {
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
	for left := int(count) * width; left > 0 && r.err == nil; {
		n := min(left, chunkBytes)
		if b := r.take(n); r.err == nil {
			chunk(b)
		}
		left -= n
	}
}

// take reads n bytes, at most chunkBytes, into the reader's buffer.
func (r *Reader) take(n int) []byte {
	if r.err != nil {
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

func (r *Reader) uint32() uint32 {
	b := r.take(4)
	if r.err != nil {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}

func (r *Reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
	}
}
