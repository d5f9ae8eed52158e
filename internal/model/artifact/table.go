package artifact

import (
	"fmt"

	flatbuffers "github.com/google/flatbuffers/go"
)

// table is one of the FlatBuffers tables that the metadata of an Arrow file is made of. What leads out of its bytes panics: open
// recovers from that.
type table struct{ flatbuffers.Table }

// root returns the table that a buffer begins with.
func root(b []byte) table {
	return table{flatbuffers.Table{Bytes: b, Pos: flatbuffers.GetUOffsetT(b)}}
}

// slot returns where the value of a field is, 0 where the table has the default.
func (t table) slot(field int) flatbuffers.UOffsetT {
	at := t.Offset(flatbuffers.VOffsetT(4 + 2*field)) // a vtable begins with two sizes of 2 bytes
	if at == 0 {
		return 0
	}
	return t.Pos + flatbuffers.UOffsetT(at)
}

func (t table) byte(field int) byte {
	if at := t.slot(field); at != 0 {
		return t.GetByte(at)
	}
	return 0
}

func (t table) int16(field int) int16 {
	if at := t.slot(field); at != 0 {
		return t.GetInt16(at)
	}
	return 0
}

func (t table) int32(field int) int32 {
	if at := t.slot(field); at != 0 {
		return t.GetInt32(at)
	}
	return 0
}

func (t table) text(field int) string {
	if at := t.slot(field); at != 0 {
		return string(t.ByteVector(at))
	}
	return ""
}

// table returns the table in a field, which must have one.
func (t table) table(field int) table {
	at := t.slot(field)
	if at == 0 {
		panic(fmt.Sprintf("field %d of a table is missing", field))
	}
	return table{flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(at)}}
}

// vector returns where the elements of a field begin, and how many there are.
func (t table) vector(field int) (at flatbuffers.UOffsetT, n int) {
	slot := t.slot(field)
	if slot == 0 {
		return 0, 0
	}
	at = t.Indirect(slot)
	return at + flatbuffers.SizeUOffsetT, int(t.GetUOffsetT(at))
}

// tables returns the tables in a field, at most maxSections.
func (t table) tables(field int) []table {
	at, n := t.vector(field)
	if n > maxSections {
		panic(fmt.Sprintf("%d columns or texts are more than %d", n, maxSections))
	}
	out := make([]table, n)
	for i := range out {
		out[i] = table{flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(at + flatbuffers.UOffsetT(i)*flatbuffers.SizeUOffsetT)}}
	}
	return out
}

// pairs returns the structs in a field that are of two 64-bit numbers, at most limit.
func (t table) pairs(field, limit int) [][2]int64 {
	at, n := t.vector(field)
	if n > limit {
		panic(fmt.Sprintf("%d arrays or buffers are more than %d", n, limit))
	}
	out := make([][2]int64, n)
	for i := range out {
		out[i] = [2]int64{t.GetInt64(at), t.GetInt64(at + 8)}
		at += 16
	}
	return out
}
