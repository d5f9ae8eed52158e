package artifact

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/endian"
)

// column is one section. values and offsets are slices of the file's memory that begin at multiples of 8.
type column struct {
	of      byte
	values  []byte
	offsets []byte // of texts
}

// What the metadata of an Arrow file calls the types of a section (Schema.fbs).
const (
	arrowInt      = 2
	arrowFloat    = 3
	arrowUtf8     = 5
	arrowList     = 12
	recordBatch   = 3 // of the kinds of messages
	continuation  = 0xFFFFFFFF
	blockBytes    = 24
	footerTail    = 4 + 6 // its length and the magic
	messagePrefix = 4 + 4 // continuation and length
)

// open finds the sections in an Arrow file. It reads the metadata itself: the reader of the Arrow library copies every section,
// and takes as much memory as a damaged file asks for.
func open(b []byte) (texts map[string]string, columns map[string]column, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its metadata cannot be followed: %v", p)
		}
	}()
	if len(b) < len(arrowMagic)+footerTail || !bytes.HasPrefix(b, []byte(arrowMagic)) || !bytes.HasSuffix(b, []byte(arrowMagic)) {
		return nil, nil, fmt.Errorf("it does not begin and end with %q", arrowMagic)
	}
	end := len(b) - footerTail
	footer := root(b[end-int(binary.LittleEndian.Uint32(b[end:])) : end])
	schema := footer.table(1)
	if bigEndian := schema.int16(0) == 1; bigEndian != endian.IsBigEndian {
		return nil, nil, errors.New("it was written by a machine of another byte order")
	}
	if texts, err = readTexts(schema); err != nil {
		return nil, nil, err
	}
	at, n := footer.vector(3)
	if n != 1 {
		return nil, nil, fmt.Errorf("it has %d record batches, not one", n)
	}
	block := footer.Bytes[at:][:blockBytes]
	from, length := binary.LittleEndian.Uint64(block), uint64(binary.LittleEndian.Uint32(block[8:]))
	message, body := b[from:][:length:length], b[from+length:][:binary.LittleEndian.Uint64(block[16:])]
	columns, err = readColumns(schema.tables(1), message, body)
	return texts, columns, err
}

func readTexts(schema table) (map[string]string, error) {
	texts := map[string]string{}
	for _, entry := range schema.tables(2) {
		key := entry.text(0)
		if _, ok := texts[key]; ok {
			return nil, fmt.Errorf("its metadata has two values of %s", key)
		}
		texts[key] = entry.text(1)
	}
	return texts, nil
}

func readColumns(fields []table, message, body []byte) (map[string]column, error) {
	if binary.LittleEndian.Uint32(message) != continuation {
		return nil, errors.New("its record batch is not where the footer says")
	}
	header := root(message[messagePrefix:])
	if header.byte(1) != recordBatch {
		return nil, errors.New("its record batch is of another kind")
	}
	batch := header.table(2)
	if batch.slot(3) != 0 {
		return nil, errors.New("its record batch is compressed")
	}
	const arraysOf, buffersOf = 2, 5 // a column has a list and its elements; with texts, two buffers and three
	p := &parts{arrays: batch.pairs(1, arraysOf*maxSections), buffers: batch.pairs(2, buffersOf*maxSections), body: body}
	columns := map[string]column{}
	for _, field := range fields {
		name := field.text(0)
		if _, ok := columns[name]; ok {
			return nil, fmt.Errorf("it has two sections %s", name)
		}
		c, err := p.column(field)
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", name, err)
		}
		columns[name] = c
	}
	return columns, nil
}

// parts are the arrays (length, nulls) and the buffers (offset, length) of a batch that no column has taken yet.
type parts struct {
	arrays, buffers [][2]int64
	body            []byte
}

// column takes the parts of the next column.
func (p *parts) column(field table) (column, error) {
	of, width, err := sectionType(field)
	if err != nil {
		return column{}, err
	}
	rows, n := p.array(), p.array()
	_, bounds := p.buffer(), arrow.Int32Traits.CastFromBytes(p.buffer())
	if rows != 1 || n > math.MaxInt32 || len(bounds) < 2 || bounds[0] != 0 || int64(bounds[1]) != n {
		return column{}, errors.New("it is not one list")
	}
	p.buffer() // of nulls
	c := column{of: of}
	if of == typeStrings {
		c.offsets = p.buffer()[:(n+1)*4]
		width, n = 1, int64(arrow.Int32Traits.CastFromBytes(c.offsets)[n])
	}
	c.values = p.buffer()[: n*width : n*width]
	return c, nil
}

// array takes an array, which has no nulls, and returns its length.
func (p *parts) array() int64 {
	a := p.arrays[0]
	p.arrays = p.arrays[1:]
	if a[0] < 0 || a[1] != 0 {
		panic(fmt.Sprintf("an array of %d values has %d nulls", a[0], a[1]))
	}
	return a[0]
}

// buffer takes a buffer.
func (p *parts) buffer() []byte {
	at := p.buffers[0]
	p.buffers = p.buffers[1:]
	if at[0] < 0 || at[1] < 0 {
		panic(fmt.Sprintf("a buffer of %d bytes begins at %d", at[1], at[0]))
	}
	return aligned(p.body[at[0]:][:at[1]:at[1]])
}

// aligned returns bytes whose numbers can be used where they are: a copy, where they do not begin at a multiple of 8.
func aligned(b []byte) []byte {
	if uintptr(unsafe.Pointer(unsafe.SliceData(b)))%8 == 0 {
		return b
	}
	words := make([]uint64, (len(b)+7)/8)
	out := arrow.Uint64Traits.CastToBytes(words)[:len(b):len(b)]
	copy(out, b)
	return out
}

// sectionType returns the type of a section and the width of its values.
func sectionType(field table) (of byte, width int64, err error) {
	if children := field.tables(5); field.byte(2) == arrowList && len(children) == 1 {
		element := children[0]
		switch element.byte(2) {
		case arrowUtf8:
			return typeStrings, 0, nil
		case arrowInt:
			switch t := element.table(3); {
			case t.byte(1) == 1 && t.int32(0) == 32:
				return typeInt32s, 4, nil
			case t.byte(1) == 1 && t.int32(0) == 64:
				return typeInt64s, 8, nil
			}
		case arrowFloat:
			switch element.table(3).int16(0) {
			case 1:
				return typeFloat32s, 4, nil
			case 2:
				return typeFloat64s, 8, nil
			}
		}
	}
	return 0, 0, errors.New("no list of a type that sections have")
}
