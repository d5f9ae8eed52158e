package lake

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// vector collects the values of a column for one record batch.
type vector interface {
	// span appends n values that lie side by side in a page without a dictionary.
	span(from *values, first, n int)
	// pick appends the values at these places of a page, null at -1.
	pick(from *values, at []int32)
	len() int
	// newArray gives the values away and begins anew.
	newArray() arrow.Array
	release()
}

func newVector(mem memory.Allocator, t arrow.DataType) (vector, error) {
	switch t.ID() {
	case arrow.STRING:
		return &texts{mem: mem}, nil
	case arrow.TIMESTAMP:
		b := array.NewTimestampBuilder(mem, t.(*arrow.TimestampType))
		return &numbers[arrow.Timestamp]{Builder: b, to: b, of: func(v *values) []arrow.Timestamp {
			return arrow.TimestampTraits.CastFromBytes(arrow.Int64Traits.CastToBytes(v.int64s))
		}}, nil
	case arrow.INT64:
		b := array.NewInt64Builder(mem)
		return &numbers[int64]{Builder: b, to: b, of: func(v *values) []int64 { return v.int64s }}, nil
	case arrow.INT32:
		b := array.NewInt32Builder(mem)
		return &numbers[int32]{Builder: b, to: b, of: func(v *values) []int32 { return v.int32s }}, nil
	case arrow.FLOAT64:
		b := array.NewFloat64Builder(mem)
		return &numbers[float64]{Builder: b, to: b, of: func(v *values) []float64 { return v.doubles }}, nil
	case arrow.BOOL:
		return flags{array.NewBooleanBuilder(mem)}, nil
	default:
		return nil, fmt.Errorf("no vector for a %s", t)
	}
}

// numbers appends to one of the library's builders.
type numbers[N any] struct {
	array.Builder
	to interface {
		AppendValues(values []N, valid []bool)
	}
	of     func(*values) []N
	picked []N
	valid  []bool
}

func (v *numbers[N]) len() int              { return v.Len() }
func (v *numbers[N]) newArray() arrow.Array { return v.NewArray() }
func (v *numbers[N]) release()              { v.Release() }

func (v *numbers[N]) span(from *values, first, n int) {
	v.to.AppendValues(v.of(from)[first:first+n], nil)
}

func (v *numbers[N]) pick(from *values, at []int32) {
	v.picked, v.valid = v.picked[:0], v.valid[:0]
	all := v.of(from)
	for _, i := range at {
		var n N
		if i >= 0 {
			n = all[i]
		}
		v.picked, v.valid = append(v.picked, n), append(v.valid, i >= 0)
	}
	v.to.AppendValues(v.picked, v.valid)
}

type flags struct{ *array.BooleanBuilder }

func (v flags) len() int              { return v.Len() }
func (v flags) newArray() arrow.Array { return v.NewArray() }
func (v flags) release()              { v.Release() }

func (v flags) span(from *values, first, n int) {
	for i := range n {
		v.Append(from.bool(first + i))
	}
}

func (v flags) pick(from *values, at []int32) {
	for _, i := range at {
		if i < 0 {
			v.AppendNull()
		} else {
			v.Append(from.bool(int(i)))
		}
	}
}

// texts lays strings out itself: the library's builder takes them one by one, which is most of what a scan would do.
type texts struct {
	mem  memory.Allocator
	data []byte
	ends []int32
	presence
}

func (v *texts) len() int { return len(v.ends) }
func (v *texts) release() {} // its memory is the collector's until newArray

func (v *texts) span(from *values, first, n int) {
	shift := int32(len(v.data)) - int32(from.offsets[first])
	v.data = append(v.data, from.bytes[from.offsets[first]:from.offsets[first+n]]...)
	for _, end := range from.offsets[first+1 : first+n+1] {
		v.ends = append(v.ends, int32(end)+shift)
	}
	v.add(n, true)
}

func (v *texts) pick(from *values, at []int32) {
	for _, i := range at {
		if i >= 0 {
			v.data = append(v.data, from.text(int(i))...)
		}
		v.ends = append(v.ends, int32(len(v.data)))
		v.add(1, i >= 0)
	}
}

func (v *texts) newArray() arrow.Array {
	data := newBuffer(v.mem, len(v.data))
	copy(data.Bytes(), v.data)
	buffers := []*memory.Buffer{v.bitmap(v.mem), offsetBuffer(v.mem, v.ends), data}
	out := array.NewData(arrow.BinaryTypes.String, len(v.ends), buffers, nil, v.nulls, 0)
	defer out.Release()
	releaseAll(buffers)
	v.data, v.ends = v.data[:0], v.ends[:0]
	v.reset()
	return array.NewStringData(out)
}

// lists has the lists of a column; their elements are in a vector of their own.
type lists struct {
	mem      memory.Allocator
	typ      arrow.DataType // of an element
	elements vector
	starts   []int32
	presence
}

// begin begins the list of the next row, whose elements will be those of the vector from this one on.
func (v *lists) begin(element int, valid bool) {
	v.starts = append(v.starts, int32(element))
	v.add(1, valid)
}

func (v *lists) newArray() arrow.Array {
	elements := v.elements.len()
	ends := append(v.starts, int32(elements))[1:] // a list ends where the next one begins
	child := v.elements.newArray()
	defer child.Release()
	buffers := []*memory.Buffer{v.bitmap(v.mem), offsetBuffer(v.mem, ends)}
	out := array.NewData(arrow.ListOf(v.typ), len(v.starts), buffers, []arrow.ArrayData{child.Data()}, v.nulls, 0)
	defer out.Release()
	releaseAll(buffers)
	v.starts = v.starts[:0]
	v.reset()
	return array.NewListData(out)
}

// presence knows which values are null.
type presence struct {
	valid []bool
	nulls int
}

func (p *presence) add(n int, valid bool) {
	for range n {
		p.valid = append(p.valid, valid)
	}
	if !valid {
		p.nulls += n
	}
}

func (p *presence) reset() { p.valid, p.nulls = p.valid[:0], 0 }

// bitmap is nil where nothing is null.
func (p *presence) bitmap(mem memory.Allocator) *memory.Buffer {
	if p.nulls == 0 {
		return nil
	}
	out := newBuffer(mem, int(bitutil.BytesForBits(int64(len(p.valid)))))
	clear(out.Bytes())
	for i, valid := range p.valid {
		if valid {
			bitutil.SetBit(out.Bytes(), i)
		}
	}
	return out
}

func newBuffer(mem memory.Allocator, n int) *memory.Buffer {
	out := memory.NewResizableBuffer(mem)
	out.Resize(n)
	return out
}

func offsetBuffer(mem memory.Allocator, ends []int32) *memory.Buffer {
	out := newBuffer(mem, arrow.Int32Traits.BytesRequired(len(ends)+1))
	offsets := arrow.Int32Traits.CastFromBytes(out.Bytes())
	offsets[0] = 0
	copy(offsets[1:], ends)
	return out
}

// releaseAll leaves the buffers to who has retained them.
func releaseAll(buffers []*memory.Buffer) {
	for _, b := range buffers {
		if b != nil {
			b.Release()
		}
	}
}
