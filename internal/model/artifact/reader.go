package artifact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/apache/arrow/go/v15/arrow"
)

// Reader reads one artifact, by the names of its sections and in the order of writing, by which the earlier form had them. Errors
// are kept and returned by Close; until then sections after an error are empty. Nothing that was read may be used before Close
// returned nil. Numbers are slices of the file's memory (see File): they must not be changed.
type Reader struct {
	version uint32
	legacy  *legacy           // of a file of the earlier form; else nil
	texts   map[string]string // by key
	columns map[string]column // by name
	err     error
}

// NewReader opens an artifact that must have the given kind and one of the given layout versions.
func NewReader(f File, kind string, versions ...uint32) *Reader {
	in := &Reader{}
	if bytes.HasPrefix(f.Bytes, []byte(magic)) {
		in.legacy = newLegacy(f.Bytes, in.fail)
		in.check(in.legacy.kind, in.legacy.version, kind, versions)
		return in
	}
	var err error
	if in.texts, in.columns, err = open(f.Bytes); err != nil {
		in.fail("%v", err)
		return in
	}
	version, err := strconv.ParseUint(in.texts[versionKey], 10, 32)
	if err != nil {
		in.fail("its version is %q", in.texts[versionKey])
	}
	in.check(in.texts[kindKey], uint32(version), kind, versions)
	return in
}

func (r *Reader) check(kind string, version uint32, wanted string, versions []uint32) {
	if r.version = version; kind != wanted {
		r.fail("it holds a %q, not a %q", kind, wanted)
	}
	if !slices.Contains(versions, version) {
		r.fail("layout version %d of %s, this program reads %d", version, wanted, versions)
	}
}

// Version returns the layout version that the artifact says it has. After an error it may be none of the wanted.
func (r *Reader) Version() uint32 { return r.version }

// Text reads a small text.
func (r *Reader) Text(name string) string {
	switch {
	case r.err != nil:
		return ""
	case r.legacy != nil:
		return string(r.legacy.bytes())
	}
	text, ok := r.texts[metadataPrefix+name]
	if !ok {
		r.fail("it has no %s", metadataPrefix+name)
	}
	return text
}

// JSON reads a small thing into v.
func (r *Reader) JSON(name string, v any) {
	text := r.Text(name)
	if r.err != nil {
		return
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		r.fail("%s is not the expected JSON: %v", name, err)
	}
}

// Int32s reads a section of 32-bit integers.
func (r *Reader) Int32s(name string) []int32 {
	if r.legacy != nil {
		return r.legacy.int32s()
	}
	return arrow.Int32Traits.CastFromBytes(r.section(name, typeInt32s))
}

// Int64s reads a section of 64-bit integers.
func (r *Reader) Int64s(name string) []int64 {
	if r.legacy != nil {
		return r.legacy.int64s()
	}
	return arrow.Int64Traits.CastFromBytes(r.section(name, typeInt64s))
}

// Float32s reads a section of 32-bit floats.
func (r *Reader) Float32s(name string) []float32 {
	if r.legacy != nil {
		return r.legacy.float32s()
	}
	return arrow.Float32Traits.CastFromBytes(r.section(name, typeFloat32s))
}

// Float64s reads a section of 64-bit floats.
func (r *Reader) Float64s(name string) []float64 {
	if r.legacy != nil {
		return r.legacy.float64s()
	}
	return arrow.Float64Traits.CastFromBytes(r.section(name, typeFloat64s))
}

// Strings reads a section of texts. They are copied out of the file's memory, since nobody can follow where ids go.
func (r *Reader) Strings(name string) []string {
	if r.legacy != nil {
		return r.legacy.strings()
	}
	text := string(r.section(name, typeStrings))
	if r.err != nil {
		return nil
	}
	ends := arrow.Int32Traits.CastFromBytes(r.columns[name].offsets)
	if len(ends) == 0 || ends[0] != 0 || int(ends[len(ends)-1]) != len(text) || !slices.IsSorted(ends) {
		r.fail("the texts of %s reach beyond their section", name)
		return nil
	}
	out := make([]string, len(ends)-1)
	for i := range out {
		out[i] = text[ends[i]:ends[i+1]]
	}
	return out
}

// section returns the values of a column that must have a type.
func (r *Reader) section(name string, of byte) []byte {
	if r.err != nil {
		return nil
	}
	c, ok := r.columns[name]
	if !ok || c.of != of {
		r.fail("it has no section %s of the expected type", name)
		return nil
	}
	return c.values
}

// Failf records that the content breaks an invariant of its kind; the error wraps ErrCorrupt. The first error stays.
func (r *Reader) Failf(format string, args ...any) { r.fail(format, args...) }

// Close returns the first error.
func (r *Reader) Close() error {
	if r.legacy != nil {
		r.legacy.end()
	}
	return r.err
}

func (r *Reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
	}
}
