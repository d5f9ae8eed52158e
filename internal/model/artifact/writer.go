package artifact

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Writer writes one artifact. It keeps what it is given, which must not change, until Close writes all of it. Errors are kept and
// returned by Close, so that an encoder reads as a list of sections. Names are unique within an artifact.
type Writer struct {
	w        io.Writer
	metadata map[string]string
	fields   []arrow.Field
	columns  []arrow.Array
	err      error
}

// NewWriter starts an artifact of a kind and layout version.
func NewWriter(w io.Writer, kind string, version uint32) *Writer {
	out := &Writer{w: w, metadata: map[string]string{}}
	if len(kind) == 0 || len(kind) > maxNameBytes {
		out.fail("kind %q must have 1 to %d bytes", kind, maxNameBytes)
	}
	out.Text("kind", kind)
	out.Text("version", strconv.FormatUint(uint64(version), 10))
	return out
}

// Text writes a small text into the metadata.
func (w *Writer) Text(name, text string) {
	if _, ok := w.metadata[metadataPrefix+name]; ok {
		w.fail("two texts are called %s", name)
	}
	w.metadata[metadataPrefix+name] = text
}

// JSON writes the JSON of v into the metadata, for small things such as a configuration.
func (w *Writer) JSON(name string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		w.fail("%s: %w", name, err)
	}
	w.Text(name, string(b))
}

// Int32s writes a section of 32-bit integers.
func (w *Writer) Int32s(name string, values []int32) {
	w.section(name, arrow.PrimitiveTypes.Int32, len(values), arrow.Int32Traits.CastToBytes(values))
}

// Int64s writes a section of 64-bit integers.
func (w *Writer) Int64s(name string, values []int64) {
	w.section(name, arrow.PrimitiveTypes.Int64, len(values), arrow.Int64Traits.CastToBytes(values))
}

// Float32s writes a section of 32-bit floats.
func (w *Writer) Float32s(name string, values []float32) {
	w.section(name, arrow.PrimitiveTypes.Float32, len(values), arrow.Float32Traits.CastToBytes(values))
}

// Float64s writes a section of 64-bit floats.
func (w *Writer) Float64s(name string, values []float64) {
	w.section(name, arrow.PrimitiveTypes.Float64, len(values), arrow.Float64Traits.CastToBytes(values))
}

// Strings writes a section of texts, of at most 2 GiB together.
func (w *Writer) Strings(name string, values []string) {
	total, offsets := 0, make([]int32, 1, len(values)+1)
	for _, s := range values {
		if total += len(s); total > math.MaxInt32 {
			w.fail("the texts of %s have more than %d bytes", name, math.MaxInt32)
			return
		}
		offsets = append(offsets, int32(total))
	}
	w.section(name, arrow.BinaryTypes.String, len(values), arrow.Int32Traits.CastToBytes(offsets), []byte(strings.Join(values, "")))
}

// Close writes the artifact and returns the first error of any step. It does not close the underlying writer.
func (w *Writer) Close() error {
	if len(w.columns) > maxSections || len(w.metadata) > maxSections {
		w.fail("%d sections and %d texts are more than %d", len(w.columns), len(w.metadata), maxSections)
	}
	if w.err != nil {
		return w.err
	}
	keys := slices.Sorted(maps.Keys(w.metadata))
	values := make([]string, len(keys))
	for i, key := range keys {
		values[i] = w.metadata[key]
	}
	metadata := arrow.NewMetadata(keys, values)
	schema := arrow.NewSchema(w.fields, &metadata)
	out, err := ipc.NewFileWriter(&positioned{w: w.w}, ipc.WithSchema(schema))
	if err == nil {
		err = errors.Join(out.Write(array.NewRecord(schema, w.columns, 1)), out.Close())
	}
	if err != nil {
		return fmt.Errorf("write artifact: %w", err)
	}
	return nil
}

// section adds a column whose one value is a list of n elements in these buffers.
func (w *Writer) section(name string, of arrow.DataType, n int, buffers ...[]byte) {
	if n > math.MaxInt32 {
		w.fail("section %s has %d values, more than %d", name, n, math.MaxInt32)
		return
	}
	if slices.ContainsFunc(w.fields, func(f arrow.Field) bool { return f.Name == name }) {
		w.fail("two sections are called %s", name)
		return
	}
	list := arrow.ListOfNonNullable(of)
	elements := array.NewData(of, n, withoutNulls(buffers...), nil, 0, 0)
	bounds := arrow.Int32Traits.CastToBytes([]int32{0, int32(n)})
	w.fields = append(w.fields, arrow.Field{Name: name, Type: list})
	w.columns = append(w.columns, array.MakeFromData(array.NewData(list, 1, withoutNulls(bounds), []arrow.ArrayData{elements}, 0, 0)))
}

// withoutNulls puts what stands for a bitmap of nulls where there are none before the buffers of an array.
func withoutNulls(buffers ...[]byte) []*memory.Buffer {
	out := []*memory.Buffer{nil}
	for _, b := range buffers {
		out = append(out, memory.NewBufferBytes(b))
	}
	return out
}

func (w *Writer) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("write artifact: "+format, args...)
	}
}

// positioned tells Arrow's writer where it is, which is all that it seeks for.
type positioned struct {
	w  io.Writer
	at int64
}

func (p *positioned) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.at += int64(n)
	return n, err
}

func (p *positioned) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekCurrent {
		return 0, errors.ErrUnsupported
	}
	return p.at, nil
}
